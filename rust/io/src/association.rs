//! One DTLS association (RFC 6347) with a client that is where it claims to be: records in, messages out, and back.
//!
//! dimpl does the handshake, the records and their timers. It would make a cookie of its own, after it has made state for a
//! stranger; ours was checked before there is an association (`hairpin_proto::dtls_cookie`). So it is shown a ClientHello
//! without a cookie first, which has it count messages as the client does, and is then told that the client's cookie is the right one.

use crate::certificates::{Certificate, Certificates};
use dimpl::crypto::{rust_crypto, CryptoProvider, HashAlgorithm, HmacProvider};
use dimpl::{Config, CryptoError, Dtls, DtlsCertificate, Error, Output};
use hairpin_proto::dtls::{is_encrypted, ClientHello, HANDSHAKE, LARGEST_EXPANSION, LARGEST_PLAINTEXT};
use hairpin_proto::dtls_cookie::Cookie;
use hairpin_proto::flow::FiveTuple;
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Room for whatever one poll gives: a record with its header, or a flight's datagram.
pub const ROOM: usize = LARGEST_PLAINTEXT + LARGEST_EXPANSION;
/// A flight's datagram passes every link that IPv6 does (1280 bytes), and tunnels.
const FLIGHT: usize = 1200;
/// ECDHE_ECDSA with AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305: what dimpl speaks.
const SUITES: [u16; 3] = [0xC02B, 0xC02C, 0xCCA9];
/// As long as a stranger has to prove its credentials.
const HANDSHAKE_TIME: Duration = Duration::from_nanos(crate::stream::PATIENCE);

/// What a listener's handshakes are made with.
pub struct Settings {
    certificates: Certificates,
    config: Arc<Config>,
}

impl Settings {
    /// Of these certificates, whose keys dimpl can sign with.
    pub fn new(certificates: Vec<Arc<Certificate>>) -> Result<Arc<Self>, Error> {
        let provider = CryptoProvider { hmac_provider: &CHECKED, ..rust_crypto::default_provider() };
        let config = Config::builder()
            .with_crypto_provider(provider)
            .require_client_certificate(false)
            .mtu(FLIGHT)
            .handshake_timeout(HANDSHAKE_TIME)
            .build()?;
        Ok(Arc::new(Self { certificates: Certificates(certificates), config: Arc::new(config) }))
    }

    fn shown_to(&self, hello: &ClientHello<'_>) -> Option<DtlsCertificate> {
        let chosen = self.certificates.choose(hello.server_name())?;
        let certificate = chosen.chain.first()?.to_vec();
        Some(DtlsCertificate { certificate, private_key: chosen.key.secret_der().to_vec() })
    }
}

/// Whether DTLS can be spoken with a certificate: dimpl signs with ECDSA alone.
pub fn can_sign(certificate: &Certificate) -> bool {
    rust_crypto::default_provider().key_provider.load_private_key(certificate.key.secret_der()).is_ok()
}

/// A client's association.
pub struct Association {
    /// The client's address and ours.
    pub five_tuple: FiveTuple,
    /// The client's place in the table, from the end of the handshake on.
    pub slot: Option<u32>,
    /// Since when it has proved nothing; None once it has.
    pub stranger_since: Option<u64>,
    dtls: Dtls,
    random: [u8; 32],
    /// Of the last encrypted record before the handshake was complete: epoch and sequence number.
    premature: [u8; 8],
    connected: bool,
    heard: bool,
}

/// What an association has to say.
pub enum Said<'a> {
    /// A datagram to be sent.
    Datagram(&'a [u8]),
    /// A message of the client.
    Message(&'a [u8]),
    /// The handshake is complete.
    Connected,
    /// The client is leaving.
    Closed,
    /// What only WebRTC makes use of.
    Other,
}

impl Association {
    /// With a client whose ClientHello brought this cookie back.
    pub fn begin(
        settings: &Settings,
        five_tuple: FiveTuple,
        (datagram, hello, cookie): (&[u8], &ClientHello<'_>, Cookie),
        (now, instant): (u64, Instant),
    ) -> Option<Self> {
        if !hello.may_speak(&SUITES) {
            return None; // dimpl would not say so
        }
        let mut dtls = Dtls::new_12(Arc::clone(&settings.config), settings.shown_to(hello)?, instant);
        dtls.handle_timeout(instant).ok()?;
        dtls.handle_packet(&UNCHECKED_HELLO).ok()?;
        while !matches!(dtls.poll_output(&mut [0; FLIGHT]), Output::Timeout(_)) {}
        COOKIE.set(Some(cookie));
        let accepted = contained(|| dtls.handle_packet(datagram));
        COOKIE.set(None);
        accepted?.ok()?;
        Some(Self {
            five_tuple,
            slot: None,
            stranger_since: Some(now),
            dtls,
            random: *hello.random,
            premature: [0; 8],
            connected: false,
            heard: false,
        })
    }

    /// Whether a ClientHello is the one that it began with, sent again.
    pub fn began_with(&self, hello: &ClientHello<'_>) -> bool {
        self.random == *hello.random
    }

    /// Take a record, if it can be of the client; None ends the association.
    pub fn receive(&mut self, record: &[u8], now: Instant) -> Option<()> {
        if !self.expects(record) {
            return Some(());
        }
        contained(|| self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(record)))?.ok()
    }

    /// Once the client was heard encrypted, its flights are behind it, and what is not encrypted may be of anybody. Before, only
    /// Finished is encrypted; dimpl keeps it until it has the keys, and must not be given the same twice.
    fn expects(&mut self, record: &[u8]) -> bool {
        let Some(&[kind, _, _, ref place @ ..]) = record.first_chunk::<11>() else { return false };
        if !is_encrypted(record) {
            return !self.heard;
        }
        let first_epoch = place[..2] == [0, 1];
        if self.connected {
            return first_epoch;
        }
        let expected = first_epoch && kind == HANDSHAKE && *place > self.premature;
        if expected {
            self.premature = *place;
        }
        expected
    }

    /// Encrypt a message.
    pub fn send(&mut self, message: &[u8]) -> Option<()> {
        contained(|| self.dtls.send_application_data(message).map(drop))?.ok()
    }

    /// Send again what the client did not answer.
    pub fn tick(&mut self, now: Instant) -> Option<()> {
        contained(|| self.dtls.handle_timeout(now))?.ok()
    }

    /// Say that no more comes.
    pub fn close(&mut self) {
        let _ = contained(|| self.dtls.close()); // whether it can still say so or not
    }

    /// What it has to say next.
    pub fn poll<'a>(&mut self, room: &'a mut [u8]) -> Option<Said<'a>> {
        match contained(|| self.dtls.poll_output(room))? {
            Output::Packet(datagram) => Some(Said::Datagram(datagram)),
            Output::ApplicationData(message) => {
                self.heard = true;
                Some(Said::Message(message))
            }
            Output::Connected => {
                self.connected = true;
                Some(Said::Connected)
            }
            Output::CloseNotify => Some(Said::Closed),
            Output::Timeout(_) | Output::BufferTooSmall { .. } => None, // nothing is larger than `ROOM`
            _ => Some(Said::Other),
        }
    }
}

/// What a client sends must not end the process: where dimpl panics over it, the association is broken and goes, and nothing else.
fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

thread_local! {
    /// The cookie that was checked, while the ClientHello with it is handed over.
    static COOKIE: Cell<Option<Cookie>> = const { Cell::new(None) };
}

/// dimpl asks for an HMAC where it wants to know which cookie is right, and nowhere else.
#[derive(Debug)]
struct Checked;

static CHECKED: Checked = Checked;

impl HmacProvider for Checked {
    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8], out: &mut [u8]) -> Result<usize, CryptoError> {
        match (COOKIE.get(), out.first_chunk_mut()) {
            (Some(cookie), Some(out)) => {
                *out = cookie;
                Ok(cookie.len())
            }
            _ => rust_crypto::default_provider().hmac_provider.hmac(hash, key, data, out),
        }
    }
}

/// The shortest ClientHello of DTLS 1.2: no cookie, one cipher suite (0xC02B), no extension.
#[rustfmt::skip]
const UNCHECKED_HELLO: [u8; 67] = [
    22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54,
    1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42,
    0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 2, 0xC0, 0x2B, 1, 0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_over_what_a_client_sent_is_contained() {
        std::panic::set_hook(Box::new(|_| {}));
        assert_eq!(contained(|| -> u8 { panic!("a record that nobody thought of") }), None);
        let _ = std::panic::take_hook();
        assert_eq!(contained(|| 7), Some(7));
    }
}
