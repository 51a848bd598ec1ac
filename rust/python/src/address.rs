//! An IP address and a port, as Python sees them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::{IpAddr, SocketAddr};

/// An IP address and a port; frozen, hashable, ordered. A v4-mapped IPv6 address is its IPv4 address.
#[pyclass(frozen, eq, ord, hash, module = "hairpin._core")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub SocketAddr);

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

#[pymethods]
impl Address {
    #[new]
    fn new(ip: &str, port: u16) -> PyResult<Self> {
        Ok(SocketAddr::new(parse_ip(ip)?, port).into())
    }

    /// From `ip:port` or `[v6]:port`; ValueError where it is neither.
    #[staticmethod]
    fn parse(text: &str) -> PyResult<Self> {
        let address: SocketAddr =
            text.parse().map_err(|_| PyValueError::new_err(format!("not an ip:port or [v6]:port: {text:?}")))?;
        Ok(address.into())
    }

    #[getter]
    fn ip(&self) -> String {
        self.0.ip().to_string()
    }

    #[getter]
    fn port(&self) -> u16 {
        self.0.port()
    }

    #[getter]
    fn version(&self) -> u8 {
        if self.0.is_ipv4() {
            4
        } else {
            6
        }
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("Address('{}', {})", self.0.ip(), self.0.port())
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (String, u16))> {
        Ok((py.get_type::<Self>().into_any().unbind(), (self.ip(), self.port())))
    }
}

/// An IP address; ValueError where it is none.
pub fn parse_ip(text: &str) -> PyResult<IpAddr> {
    let ip: IpAddr = text.parse().map_err(|_| PyValueError::new_err(format!("not an IP address: {text:?}")))?;
    Ok(ip.to_canonical())
}
