//! Errors that a socket has been told of by ICMP (IP_RECVERR), out of its error queue.

use crate::control::{self, Trouble};
use crate::name;
use hairpin_proto::flow::Family;
use hairpin_proto::icmp::Icmp;
use std::mem::{size_of_val, zeroed};
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// Room for the error and the address of who told it, IPv6's.
const CONTROL: usize = 128;

/// What the queue holds next; None where it is empty.
pub fn next(fd: RawFd) -> Option<Report> {
    // SAFETY: all-zero bytes are a valid value of these C structures.
    let (mut header, mut name) = unsafe { (zeroed::<libc::msghdr>(), zeroed::<libc::sockaddr_storage>()) };
    let mut control = [0u64; CONTROL / 8]; // aligned as control messages want it
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = size_of_val(&name) as libc::socklen_t;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = CONTROL;
    // SAFETY: the header points to values that live through the call, with their true sizes; there is no room for the datagram itself.
    let received = unsafe { libc::recvmsg(fd, &raw mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    (received >= 0).then(|| {
        let bytes: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let trouble = control::trouble(&bytes[..header.msg_controllen.min(CONTROL)]);
        Report { to: name::read(&name), trouble }
    })
}

/// An error, and the datagram's destination.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    to: Option<SocketAddr>,
    trouble: Option<Trouble>,
}

impl Report {
    /// The peer and what its client is told; None for errors of other kinds.
    pub fn icmp(self) -> Option<(SocketAddr, Icmp)> {
        let (to, trouble) = (self.to?, self.trouble?);
        let family = Family::of(to.ip());
        let icmp = match trouble.origin {
            libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => {
                Icmp::new(family, trouble.kind, trouble.code, trouble.info)?
            }
            libc::SO_EE_ORIGIN_LOCAL if trouble.errno == libc::EMSGSIZE as u32 => Icmp::too_big(family, trouble.info),
            _ => return None,
        };
        Some((SocketAddr::new(to.ip(), to.port()), icmp))
    }
}
