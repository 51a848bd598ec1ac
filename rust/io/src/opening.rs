//! How a connection begins: with a proxy's header where one is awaited, then with TLS or without.

use crate::stream::{End, Layer};
use crate::tls::Tls;
use crate::worker::{Listener, Security, Worker};
use hairpin_proto::counters::Reason;
use hairpin_proto::proxy::{self, Header};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{recv, RecvFlags};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The first byte of a TLS handshake (RFC 8446, section 5.1). No frame begins with it (RFC 8656, section 12).
const HANDSHAKE: u8 = 0x16;

/// What has to come before the frames.
#[derive(Debug)]
pub enum Opening {
    /// A proxy's header; what there is of it.
    Header(Vec<u8>),
    /// The first byte.
    FirstByte,
    /// Nothing more.
    Done,
}

impl Opening {
    /// How a connection from this address begins.
    pub fn of(listener: &Listener, from: IpAddr) -> Self {
        match listener.security {
            _ if listener.trusts(from) => Opening::Header(Vec::new()),
            Security::Tls(_) => Opening::FirstByte,
            Security::None | Security::Dtls(_) => Opening::Done,
        }
    }
}

impl Worker {
    /// Whether a connection's frames may come: whose it is, and what lies between them and the socket, is known by then.
    pub(crate) fn open(&mut self, place: u32, room: &mut [u8]) -> Result<bool, End> {
        let Some(stream) = self.streams.get(place) else { return Ok(false) };
        match &mut stream.opening {
            Opening::Done => return Ok(true),
            Opening::FirstByte => {}
            Opening::Header(header) => {
                let Header::Whole(_, client) = read_header(&stream.socket, header, room)? else { return Ok(false) };
                stream.opening = Opening::FirstByte;
                if let Some(client) = client {
                    self.rename(place, client)?;
                }
            }
        }
        self.choose_layer(place)
    }

    /// The proxy says whose the connection is: from now on that is its client, to whom all limits apply.
    fn rename(&mut self, place: u32, client: SocketAddr) -> Result<(), End> {
        let Some(slot) = self.streams.get(place).map(|stream| stream.slot) else { return Ok(()) };
        let Some(session) = self.table.session_mut(slot) else { return Ok(()) };
        let proxy = std::mem::replace(&mut session.five_tuple.client, client);
        let admitted = self.streams.strangers.admits(client.ip());
        self.streams.strangers.remove(proxy.ip());
        self.streams.strangers.add(client.ip());
        admitted.then_some(()).ok_or(End::Refused(Reason::OverSource))
    }

    /// TLS or not, by the first byte where the listener takes both. To begin a handshake is an answer to a stranger, and a costly one.
    fn choose_layer(&mut self, place: u32) -> Result<bool, End> {
        let Some(stream) = self.streams.get(place) else { return Ok(false) };
        let mut first = [0];
        if peek(&stream.socket, &mut first)?.is_none() {
            return Ok(false);
        }
        stream.opening = Opening::Done;
        let Some(five_tuple) = self.table.session(stream.slot).map(|session| session.five_tuple) else {
            return Ok(false);
        };
        let Some(listener) = self.listeners.get(usize::from(five_tuple.listener)) else { return Ok(false) };
        let settings = match &listener.security {
            Security::Tls(settings) if !listener.plain || first == [HANDSHAKE] => Some(settings),
            _ => None,
        };
        if let Some(settings) = settings {
            if !self.table.context.sources.allow_source(five_tuple.client.ip(), self.now) {
                return Err(End::Refused(Reason::OverSource));
            }
            let tls = Tls::new(Arc::clone(settings)).map_err(|_| End::Refused(Reason::Tls))?;
            stream.layer = Layer::Tls(Box::new(tls));
        }
        Ok(true)
    }
}

/// Take more of a header out of the socket, and nothing of what is behind it.
fn read_header(socket: &OwnedFd, header: &mut Vec<u8>, room: &mut [u8]) -> Result<Header, End> {
    let Some(count) = peek(socket, &mut room[..proxy::LONGEST])? else { return Ok(Header::NeedMore) };
    let known = header.len();
    header.extend_from_slice(&room[..count]);
    let read = proxy::read(header);
    let taken = match read {
        Header::NeedMore => count,
        Header::Whole(size, _) => size - known,
        Header::Broken => return Err(End::Refused(Reason::ProxyHeader)),
    };
    rustix::io::read(socket, &mut room[..taken]).map_err(|_| End::Disconnected)?;
    Ok(read)
}

/// What is there, without taking it; None where there is nothing yet.
fn peek(socket: &OwnedFd, room: &mut [u8]) -> Result<Option<usize>, End> {
    match recv(socket, room, RecvFlags::PEEK) {
        Ok((0, _)) => Err(End::Disconnected),
        Ok((count, _)) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(_) => Err(End::Disconnected),
    }
}
