//! Certificates and their private keys, read from PEM, and which of several a client is shown.

use rustls::client::verify_server_name;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// A chain with the private key of its first certificate.
#[derive(Debug)]
pub struct Certificate {
    /// The chain, the server's own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
    signer: Arc<CertifiedKey>,
}

/// Which of the two files will not do, and why.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// The chain.
    Chain(String),
    /// The key.
    Key(String),
}

impl Certificate {
    /// Read both; what is wrong is found here and not in the first handshake.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Fault> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| Fault::Chain(unreadable(&error)))?;
        let first = chain.first().ok_or_else(|| Fault::Chain("holds no certificate in PEM".into()))?;
        ParsedCertificate::try_from(first).map_err(|_| Fault::Chain("holds a certificate that is broken".into()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => Fault::Key("holds no private key in PEM without a passphrase".into()),
            error => Fault::Key(unreadable(&error)),
        })?;
        let signer = default_provider().key_provider.load_private_key(key.clone_key());
        let signer = signer.map_err(|_| Fault::Key("is neither an RSA, an ECDSA nor an Ed25519 key".into()))?;
        let signer = CertifiedKey::new(chain.clone(), signer);
        signer.keys_match().map_err(|_| Fault::Key("is not the key of the certificate".into()))?;
        Ok(Self { chain, key, signer: Arc::new(signer) })
    }

    fn is_for(&self, name: &ServerName<'_>) -> bool {
        let own = self.chain.first().and_then(|first| ParsedCertificate::try_from(first).ok());
        own.is_some_and(|own| verify_server_name(&own, name).is_ok())
    }
}

fn unreadable(error: &pem::Error) -> String {
    format!("is no PEM: {error}")
}

/// The certificates of a listener. A client that names a server (RFC 6066, section 3) is shown the first one for that name;
/// one that names none, or one that we are not, the first of all.
#[derive(Debug)]
pub struct Certificates(pub Vec<Arc<Certificate>>);

impl Certificates {
    /// The one for a name.
    pub fn choose(&self, name: Option<&str>) -> Option<&Arc<Certificate>> {
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| self.0.iter().find(|one| one.is_for(&name)));
        named.or_else(|| self.0.first())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name()).map(|one| Arc::clone(&one.signer))
    }
}
