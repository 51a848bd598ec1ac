//! Datagrams that wait for the end of the batch in hand: neighbours on one socket leave with one system call.
//!
//! Order is kept on each socket. A socket is never closed while the outbox holds its descriptor: the worker flushes first.

use crate::batch::Batch;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;

const GATHER: usize = 64;
const CONTROL: usize = 48;

/// One datagram: bytes of a place of the batch, and where they go.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// The socket.
    pub fd: RawFd,
    /// Where to.
    pub to: SocketAddr,
    /// The source address to send from, where the socket is bound to all of them.
    pub source: Option<IpAddr>,
    /// The bytes.
    pub place: usize,
    /// Where they begin in the place.
    pub start: usize,
    /// How many.
    pub length: usize,
    /// Whose figures a refusal changes.
    pub slot: Option<u32>,
    /// Towards the client, or towards a peer.
    pub to_client: bool,
}

/// The waiting datagrams: towards clients by the few listeners, which gather well, and towards peers.
#[derive(Default)]
pub struct Outbox {
    clients: Vec<Datagram>,
    peers: Vec<Datagram>,
}

#[repr(C, align(8))]
struct Control([u8; CONTROL]);

impl Outbox {
    /// Add a datagram.
    pub fn push(&mut self, datagram: Datagram) {
        if datagram.to_client {
            self.clients.push(datagram)
        } else {
            self.peers.push(datagram)
        }
    }

    /// Send all of them; what the kernel refuses is handed to `refused`.
    pub fn flush(&mut self, batch: &Batch, mut refused: impl FnMut(&Datagram)) {
        for waiting in [&mut self.clients, &mut self.peers] {
            for run in waiting.chunk_by(|first, second| first.fd == second.fd) {
                run.chunks(GATHER).for_each(|chunk| send(chunk, batch, &mut refused));
            }
            waiting.clear();
        }
    }
}

fn send(datagrams: &[Datagram], batch: &Batch, refused: &mut impl FnMut(&Datagram)) {
    match datagrams {
        [] => {}
        [one] if one.source.is_none() => {
            if !send_one(one, batch) {
                refused(one);
            }
        }
        many => send_many(many, batch, refused),
    }
}

fn send_one(datagram: &Datagram, batch: &Batch) -> bool {
    let bytes = batch.bytes(datagram.place, datagram.start, datagram.length);
    let (name, length) = name(datagram.to);
    loop {
        // SAFETY: buffer and name live through the call, with their true lengths; the descriptor is open (see the head of this file).
        let sent = unsafe {
            libc::sendto(
                datagram.fd,
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT,
                (&raw const name).cast(),
                length,
            )
        };
        if sent >= 0 {
            return true;
        }
        if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return false;
        }
    }
}

fn send_many(datagrams: &[Datagram], batch: &Batch, refused: &mut impl FnMut(&Datagram)) {
    // SAFETY: all-zero bytes are a valid value of these C structures.
    let mut headers: [libc::mmsghdr; GATHER] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut vectors: [libc::iovec; GATHER] = unsafe { zeroed() };
    let mut names = [const { std::mem::MaybeUninit::<libc::sockaddr_storage>::uninit() }; GATHER];
    let mut controls = [const { Control([0; CONTROL]) }; GATHER];
    for (index, datagram) in datagrams.iter().enumerate() {
        let bytes = batch.bytes(datagram.place, datagram.start, datagram.length);
        let (address, length) = name(datagram.to);
        vectors[index] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let header = &mut headers[index].msg_hdr;
        header.msg_name = std::ptr::from_mut(names[index].write(address)).cast();
        header.msg_namelen = length;
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        if let Some(source) = datagram.source {
            header.msg_controllen = write_source(&mut controls[index], source, datagram.to);
            header.msg_control = (&raw mut controls[index]).cast();
        }
    }
    let mut done = 0;
    while done < datagrams.len() {
        let rest = (datagrams.len() - done) as libc::c_uint;
        // SAFETY: `rest` headers from `done` are in bounds and point to values that live through the call; the kernel only reads them.
        let sent = unsafe { libc::sendmmsg(datagrams[0].fd, headers[done..].as_mut_ptr(), rest, libc::MSG_DONTWAIT) };
        if let Ok(sent @ 1..) = usize::try_from(sent) {
            done += sent;
        } else if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            refused(&datagrams[done]);
            done += 1;
        }
    }
}

fn name(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all-zero bytes are a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: a sockaddr_storage is large and aligned enough for every address structure.
            let name = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in>() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = address.port().to_be();
            name.sin_addr.s_addr = u32::from(*address.ip()).to_be();
            (storage, size_of::<libc::sockaddr_in>() as libc::socklen_t)
        }
        SocketAddr::V6(address) => {
            // SAFETY: as above.
            let name = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in6>() };
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = address.port().to_be();
            name.sin6_addr.s6_addr = address.ip().octets();
            name.sin6_scope_id = address.scope_id();
            (storage, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
        }
    }
}

/// IP_PKTINFO or IPV6_PKTINFO with the source address, and the link where it belongs to one: the header of 16 bytes, then the
/// structure, padded to 8.
fn write_source(control: &mut Control, source: IpAddr, to: SocketAddr) -> usize {
    let (level, kind, length, space) = match source {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO, 16 + 12, 32),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, 16 + 20, 40),
    };
    control.0[..8].copy_from_slice(&usize::to_ne_bytes(length));
    control.0[8..12].copy_from_slice(&i32::to_ne_bytes(level));
    control.0[12..16].copy_from_slice(&i32::to_ne_bytes(kind));
    match source {
        IpAddr::V4(ip) => control.0[20..24].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => {
            let link = if let SocketAddr::V6(to) = to { to.scope_id() } else { 0 };
            control.0[16..32].copy_from_slice(&ip.octets());
            control.0[32..36].copy_from_slice(&link.to_ne_bytes());
        }
    }
    space
}
