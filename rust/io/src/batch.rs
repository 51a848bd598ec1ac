//! Many datagrams for one system call: the buffers that a worker receives into and sends from.
//!
//! A place has headroom, so that a packet is given its new header where it lies. Invariant: headers, vectors, names and control
//! blocks are boxed and never move; header `i` points to place `i` for good.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;

/// Room before a datagram for the largest header (a Data indication with an IPv6 peer takes 48 bytes).
pub const HEADROOM: usize = 64;
/// The largest frame: a STUN message of 65,535 bytes behind its header.
pub const DATA: usize = 65_556;
const STRIDE: usize = HEADROOM + DATA + 64;
/// How many datagrams a worker holds at once.
pub const PLACES: usize = 128;
const CONTROL: usize = 64;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// The places, and what the kernel needs to fill them.
pub struct Batch {
    memory: Box<[u8]>,
    headers: Box<[libc::mmsghdr]>,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    _vectors: Box<[libc::iovec]>,
    used: usize,
}

/// One datagram that was received.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Its bytes.
    pub length: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// The address of ours that it was sent to, where the socket tells.
    pub to: Option<IpAddr>,
}

impl Batch {
    /// Empty places; memory is only touched when used.
    pub fn new() -> Self {
        let mut memory = vec![0u8; STRIDE * PLACES].into_boxed_slice();
        // SAFETY: all-zero bytes are a valid value of these C structures.
        let (header, name) =
            unsafe { (std::mem::zeroed::<libc::mmsghdr>(), std::mem::zeroed::<libc::sockaddr_storage>()) };
        let mut names = vec![name; PLACES].into_boxed_slice();
        let mut controls = vec![Control([0; CONTROL]); PLACES].into_boxed_slice();
        let mut vectors: Box<[libc::iovec]> = memory
            .chunks_exact_mut(STRIDE)
            .map(|place| libc::iovec { iov_base: place[HEADROOM..].as_mut_ptr().cast(), iov_len: DATA })
            .collect();
        let mut headers = vec![header; PLACES].into_boxed_slice();
        for (index, header) in headers.iter_mut().enumerate() {
            header.msg_hdr.msg_name = (&raw mut names[index]).cast();
            header.msg_hdr.msg_iov = &raw mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = (&raw mut controls[index]).cast();
        }
        Self { memory, headers, names, controls, _vectors: vectors, used: 0 }
    }

    /// How many places are free.
    pub fn room(&self) -> usize {
        PLACES - self.used
    }

    /// All places are free again: whatever was to be sent has been.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Take a place for bytes that come from elsewhere, and copy them to `HEADROOM`; None where no place is free or they are too many.
    pub fn put(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.used == PLACES || bytes.len() > DATA {
            return None;
        }
        let place = self.used;
        self.used += 1;
        self.bytes_mut(place, HEADROOM, bytes.len()).copy_from_slice(bytes);
        Some(place)
    }

    /// Bytes of a place.
    pub fn bytes(&self, place: usize, start: usize, length: usize) -> &[u8] {
        &self.memory[place * STRIDE + start..][..length]
    }

    /// Bytes of a place, to be written.
    pub fn bytes_mut(&mut self, place: usize, start: usize, length: usize) -> &mut [u8] {
        &mut self.memory[place * STRIDE + start..][..length]
    }

    /// Receive at most `limit` datagrams that are already there; returns the first place and how many.
    pub fn receive(&mut self, fd: RawFd, limit: usize) -> (usize, usize) {
        let first = self.used;
        let limit = limit.min(self.room());
        for header in &mut self.headers[first..first + limit] {
            header.msg_hdr.msg_namelen = std::mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = CONTROL;
        }
        let start = self.headers[first..].as_mut_ptr();
        // SAFETY: `limit` headers from `start` are in bounds; each points to memory of `self` that does not move, with its true sizes.
        let count =
            unsafe { libc::recvmmsg(fd, start, limit as libc::c_uint, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        let count = usize::try_from(count).unwrap_or(0);
        self.used += count;
        (first, count)
    }

    /// What lies in a place after `receive`; None for an address family that we do not know or a datagram that did not fit.
    pub fn received(&self, place: usize) -> Option<Received> {
        let header = &self.headers[place];
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let from = read_name(&self.names[place])?;
        let to = (header.msg_hdr.msg_controllen != 0).then(|| self.destination(place)).flatten();
        Some(Received { length: header.msg_len as usize, from, to })
    }

    /// IP_PKTINFO or IPV6_PKTINFO, by their layout: a control message's header of 16 bytes, then the structure.
    fn destination(&self, place: usize) -> Option<IpAddr> {
        let control = &self.controls[place].0;
        let word = |at: usize| control.get(at..at + 4).map(|word| [word[0], word[1], word[2], word[3]]);
        match (i32::from_ne_bytes(word(8)?), i32::from_ne_bytes(word(12)?)) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => Some(Ipv4Addr::from(word(24)?).into()),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                Some(Ipv6Addr::from(<[u8; 16]>::try_from(control.get(16..32)?).ok()?).into())
            }
            _ => None,
        }
    }
}

// SAFETY: the raw pointers inside point only to memory that the batch itself owns.
unsafe impl Send for Batch {}
// SAFETY: a shared batch is only read.
unsafe impl Sync for Batch {}

fn read_name(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a sockaddr_in, which is smaller than a sockaddr_storage and no more aligned.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that this is a sockaddr_in6, which is smaller than a sockaddr_storage and no more aligned.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let (ip, port) = (Ipv6Addr::from(name.sin6_addr.s6_addr), u16::from_be(name.sin6_port));
            Some(match ip.to_canonical() {
                IpAddr::V4(ip) => SocketAddrV4::new(ip, port).into(),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, link(ip, name.sin6_scope_id)).into(),
            })
        }
        _ => None,
    }
}

/// A scope belongs to an address only where it is link-local.
fn link(ip: Ipv6Addr, scope: u32) -> u32 {
    if ip.segments()[0] & 0xFFC0 == 0xFE80 {
        scope
    } else {
        0
    }
}
