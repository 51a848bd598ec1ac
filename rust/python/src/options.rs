//! What the packet path is told once, and how Python's words become its types.

use crate::address::{parse_ip, Address};
use hairpin_io::sockets::mtu;
use hairpin_proto::discovery::Corner;
use hairpin_proto::dtls_cookie::Cookies;
use hairpin_proto::flow::{Family, Flow, Transport};
use hairpin_proto::index::RelayIndex;
use hairpin_proto::limiter::Buckets;
use hairpin_proto::nonce::Nonces;
use hairpin_proto::session::{Channel, Credentials, Permission, Reach};
use hairpin_proto::table::Context;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::{IpAddr, SocketAddr};

/// What the packet path must know: `relays` pairs bind IPs with announced IPs, `closed` are never peers, `squares` are
/// listeners, by number and announced address, on A1:P1, A1:P2, A2:P1 and A2:P2 (RFC 5780); `classic` answers RFC 3489's Binding;
/// `third_party` is the name that access tokens are made for (RFC 7635).
#[pyclass(frozen, module = "hairpin._core")]
#[derive(Clone)]
pub struct Options {
    realm: String,
    nonce_secret: [u8; 32],
    limiter_seed: u64,
    relays: Vec<(IpAddr, IpAddr)>,
    closed: Vec<SocketAddr>,
    squares: Vec<[(u16, SocketAddr); 4]>,
    classic: bool,
    third_party: Option<String>,
}

#[pymethods]
impl Options {
    #[new]
    #[pyo3(signature = (*, realm, nonce_secret, limiter_seed, relays, closed=Vec::new(), squares=Vec::new(), classic=false,
        third_party=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn new(
        realm: String,
        nonce_secret: [u8; 32],
        limiter_seed: u64,
        relays: Vec<(String, String)>,
        closed: Vec<Address>,
        squares: Vec<[(u16, Address); 4]>,
        classic: bool,
        third_party: Option<String>,
    ) -> PyResult<Self> {
        let relays = relays.iter().map(|(bind, external)| Ok((parse_ip(bind)?, parse_ip(external)?)));
        Ok(Self {
            realm,
            nonce_secret,
            limiter_seed,
            relays: relays.collect::<PyResult<_>>()?,
            closed: closed.into_iter().map(|address| address.0).collect(),
            squares: squares.iter().map(|square| square.map(|(listener, address)| (listener, address.0))).collect(),
            classic,
            third_party,
        })
    }
}

impl Options {
    /// What the workers share; the listeners' own addresses are closed as peers, by their announced names too.
    pub fn context(&self, listeners: &[SocketAddr]) -> Context {
        let index = RelayIndex::new(&self.relays);
        let bound: Vec<SocketAddr> = self.closed.iter().chain(listeners).copied().collect();
        let announced: Vec<SocketAddr> = bound.iter().map(|address| index.canonical(*address)).collect();
        Context {
            index,
            realm: self.realm.as_str().into(),
            third_party: self.third_party.as_deref().map(Into::into),
            nonces: Nonces::new(self.nonce_secret),
            cookies: Cookies::new(self.nonce_secret),
            closed: bound.into_iter().chain(announced).collect(),
            squares: self.squares.iter().map(|square| square.map(|place| corner(place, listeners))).collect(),
            classic: self.classic,
            sources: Buckets::new(0, self.limiter_seed),
            users: Buckets::new(0, !self.limiter_seed),
        }
    }
}

fn corner((listener, announced): (u16, SocketAddr), listeners: &[SocketAddr]) -> Corner {
    let bound = listeners.get(usize::from(listener)).unwrap_or(&announced);
    Corner { listener, announced, mtu: mtu(bound.ip()) }
}

/// 0 is UDP, 1 is TCP.
pub fn transport(number: u8) -> PyResult<Transport> {
    match number {
        0 => Ok(Transport::Udp),
        1 => Ok(Transport::Tcp),
        _ => Err(PyValueError::new_err("transport is 0 (UDP) or 1 (TCP)")),
    }
}

/// 4 or 6.
pub fn family(version: u8) -> PyResult<Family> {
    match version {
        4 => Ok(Family::V4),
        6 => Ok(Family::V6),
        _ => Err(PyValueError::new_err("version is 4 or 6")),
    }
}

/// A flow that came up before.
pub fn flow(number: u64) -> PyResult<Flow> {
    Flow::from_number(number).ok_or_else(|| PyValueError::new_err("not a flow"))
}

/// See `Core.install_key`.
pub fn credentials(username: &str, algorithm: u16, key: &[u8]) -> Credentials {
    Credentials { username: username.into(), algorithm, key: key.into() }
}

/// See `Core.permit`.
pub fn permission(ip: &str, reaches: &[(u16, u16, u8)], deadline: u64) -> PyResult<Permission> {
    let reaches = reaches.iter().map(|&(first, last, number)| Ok((first, last, reach(number)?)));
    Ok(Permission { ip: parse_ip(ip)?, reaches: reaches.collect::<PyResult<_>>()?, deadline })
}

/// How far data may go.
pub fn reach(number: u8) -> PyResult<Reach> {
    match number {
        0 => Ok(Reach::Outside),
        1 => Ok(Reach::Inside),
        2 => Ok(Reach::Both),
        _ => Err(PyValueError::new_err("reach is 0 to 2")),
    }
}

/// See `Core.bind_channel`.
pub fn channel(number: u16, peer: &Address, deadline: u64) -> Channel {
    Channel { number, peer: peer.0, deadline }
}
