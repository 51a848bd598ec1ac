//! What to listen on, and the certificates that clients are shown.

use crate::address::Address;
use crate::options::transport;
use hairpin_io::certificates::{self, Fault};
use hairpin_io::server::Wanted;
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
}

/// An address that clients use: UDP or TCP; with certificates TLS (the first one is for who names no server).
#[pyclass(frozen, module = "hairpin._core")]
pub struct Listener {
    transport: Transport,
    address: SocketAddr,
    certificates: Vec<Arc<certificates::Certificate>>,
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (transport, address, certificates=Vec::new()))]
    fn new(#[pyo3(from_py_with = number)] transport: Transport, address: &Address, certificates: Shown<'_>) -> Self {
        Self { transport, address: address.0, certificates: shown(&certificates) }
    }
}

impl Listener {
    /// As the workers are told.
    pub fn wanted(&self) -> Wanted {
        Wanted { transport: self.transport, address: self.address, certificates: self.certificates.clone() }
    }
}

/// Certificates as Python hands them over.
pub type Shown<'py> = Vec<PyRef<'py, Certificate>>;

/// As the workers are told.
pub fn shown(certificates: &Shown<'_>) -> Vec<Arc<certificates::Certificate>> {
    certificates.iter().map(|one| Arc::clone(&one.0)).collect()
}

fn number(value: &Bound<'_, PyAny>) -> PyResult<Transport> {
    transport(value.extract()?)
}
