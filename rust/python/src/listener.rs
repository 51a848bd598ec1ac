//! What to listen on, and the certificates that clients are shown.

use crate::address::{parse_ip, Address};
use crate::options;
use hairpin_io::association::can_sign;
use hairpin_io::certificates::{self, Fault};
use hairpin_io::server::{Proxies, Wanted};
use hairpin_proto::flow::Transport;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::SocketAddr;
use std::sync::Arc;

/// A chain and its private key, from PEM. ValueError's arguments: "cert" or "key", and what is wrong with it.
#[pyclass(frozen, module = "hairpin._core")]
pub struct Certificate(Arc<certificates::Certificate>);

#[pymethods]
impl Certificate {
    #[new]
    fn new(cert: &[u8], key: &[u8]) -> PyResult<Self> {
        match certificates::Certificate::from_pem(cert, key) {
            Ok(made) => Ok(Self(Arc::new(made))),
            Err(Fault::Chain(problem)) => Err(PyValueError::new_err(("cert", problem))),
            Err(Fault::Key(problem)) => Err(PyValueError::new_err(("key", problem))),
        }
    }

    #[getter]
    fn serves_dtls(&self) -> bool {
        can_sign(&self.0)
    }
}

/// An address that clients use: UDP or TCP. With certificates TLS (the first one is for who names no server), and TCP too where
/// `plain`. Connections from `proxies`, networks by their first and last IP, begin with a header of the PROXY protocol.
#[pyclass(frozen, module = "hairpin._core")]
pub struct Listener {
    transport: Transport,
    address: SocketAddr,
    certificates: Vec<Arc<certificates::Certificate>>,
    plain: bool,
    proxies: Proxies,
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (transport, address, certificates=Vec::new(), plain=false, proxies=Vec::new()))]
    fn new(
        transport: u8,
        address: &Address,
        certificates: Shown<'_>,
        plain: bool,
        proxies: Vec<(String, String)>,
    ) -> PyResult<Self> {
        let proxies = proxies.iter().map(|(first, last)| Ok(parse_ip(first)?..=parse_ip(last)?));
        Ok(Self {
            transport: options::transport(transport)?,
            address: address.0,
            certificates: shown(&certificates),
            plain,
            proxies: proxies.collect::<PyResult<_>>()?,
        })
    }
}

impl Listener {
    /// As the workers are told.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            transport: self.transport,
            address: self.address,
            certificates: self.certificates.clone(),
            plain: self.plain,
            proxies: Arc::clone(&self.proxies),
        }
    }
}

/// Certificates as Python hands them over.
pub type Shown<'py> = Vec<PyRef<'py, Certificate>>;

/// As the workers are told.
pub fn shown(certificates: &Shown<'_>) -> Vec<Arc<certificates::Certificate>> {
    certificates.iter().map(|one| Arc::clone(&one.0)).collect()
}
