//! Sockets as a relay wants them.

use rustix::fd::OwnedFd;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

/// What the kernel is asked for, for a listener and for a relay.
pub const LISTENER_BUFFER: usize = 4 << 20;
const RELAY_BUFFER: usize = 1 << 20;
const BACKLOG: i32 = 1024;
const ETHERNET_MTU: usize = 1500;
const RELAY_BACKLOG: i32 = 64;

/// The socket of one relayed transport address.
pub struct RelaySocket(pub OwnedFd);

impl RelaySocket {
    /// Bind one; it shares its port with nobody, and keeps the ICMP errors that its datagrams meet.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = open(address, Type::DGRAM)?;
        datagram_options(&socket, address, RELAY_BUFFER);
        set_option(socket.as_raw_fd(), address, (libc::IP_RECVERR, libc::IPV6_RECVERR), 1)?;
        socket.bind(&SockAddr::from(address))?;
        Ok(Self(socket.into()))
    }

    /// Listen on one for TCP (RFC 6062, section 5.1); it is first bound alone, so that a port that another holds is found out.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        bound_alone(address, Type::STREAM)?;
        let socket = bound_again(address)?;
        socket.listen(RELAY_BACKLOG)?;
        Ok(Self(socket.into()))
    }

    /// The descriptor.
    pub fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Begin to connect to a peer from a relayed transport address that listens (RFC 6062, section 5.2).
pub fn connect(relay: &RelaySocket, peer: SocketAddr) -> io::Result<OwnedFd> {
    let address = rustix::net::getsockname(&relay.0)?;
    let address = SocketAddr::try_from(address).map_err(|_| io::ErrorKind::AddrNotAvailable)?;
    let socket = bound_again(address)?;
    stream_options(&socket)?;
    match socket.connect(&SockAddr::from(peer)) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Two sockets that are one another's peer, for clients of this server that meet.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    Ok((one.into(), other.into()))
}

/// What an accepted connection needs: to wait for nobody, and for no more bytes either.
pub fn stream_options(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)
}

/// A listener of each worker on one address.
pub struct Bound {
    /// The address, with the port that the kernel chose where 0 was asked for.
    pub address: SocketAddr,
    /// Bytes that the kernel holds for a UDP listener; 0 for TCP.
    pub receive_buffer: usize,
    /// A socket for each worker.
    pub sockets: Vec<Socket>,
}

/// Bind an address for all workers; it is first bound alone, so that a second server is told that the port is taken.
pub fn listen(address: SocketAddr, stream: bool, workers: usize) -> io::Result<Bound> {
    let kind = if stream { Type::STREAM } else { Type::DGRAM };
    let address = bound_alone(address, kind)?;
    let sockets = (0..workers).map(|_| listener(address, kind)).collect::<io::Result<Vec<_>>>()?;
    let receive_buffer = match sockets.first() {
        Some(socket) if !stream => socket.recv_buffer_size()? / 2,
        _ => 0,
    };
    Ok(Bound { address, receive_buffer, sockets })
}

fn bound_alone(address: SocketAddr, kind: Type) -> io::Result<SocketAddr> {
    let socket = open(address, kind)?;
    socket.set_reuse_address(kind == Type::STREAM)?;
    socket.bind(&SockAddr::from(address))?;
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

fn listener(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    if kind == Type::STREAM {
        let socket = bound_again(address)?;
        socket.listen(BACKLOG)?;
        return Ok(socket);
    }
    let socket = open(address, kind)?;
    socket.set_reuse_port(true)?;
    datagram_options(&socket, address, LISTENER_BUFFER);
    if address.ip().is_unspecified() {
        set_option(socket.as_raw_fd(), address, (libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO), 1)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// A TCP socket on an address that others of this process are bound to as well.
fn bound_again(address: SocketAddr) -> io::Result<Socket> {
    let socket = open(address, Type::STREAM)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn open(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Several datagrams at once from one sender where the kernel can (UDP_GRO), large buffers, and no path-MTU discovery: a spoofed ICMP must not make us lose packets. The kernel may give less.
fn datagram_options(socket: &Socket, address: SocketAddr, buffer: usize) {
    let size = i32::try_from(buffer).unwrap_or(i32::MAX);
    for (force, ask) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        if raw_option(socket.as_raw_fd(), libc::SOL_SOCKET, force, size).is_err() {
            let _ = raw_option(socket.as_raw_fd(), libc::SOL_SOCKET, ask, size);
        }
    }
    let _ = raw_option(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, 1);
    keep_whole(socket.as_raw_fd(), address, false);
}

/// Whether datagrams leave with DF set, and are refused where they are larger than the link takes whole; the kernel's memory of paths,
/// which anybody's ICMP may change, does not count. `address` is one of the socket's family.
pub fn keep_whole(fd: RawFd, address: SocketAddr, whole: bool) {
    let names = (libc::IP_MTU_DISCOVER, libc::IPV6_MTU_DISCOVER);
    let value = if whole { libc::IP_PMTUDISC_PROBE } else { libc::IP_PMTUDISC_OMIT };
    if set_option(fd, address, names, value).is_err() {
        let _ = set_option(fd, address, names, libc::IP_PMTUDISC_DONT);
    }
}

fn set_option(fd: RawFd, address: SocketAddr, names: (i32, i32), value: i32) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => raw_option(fd, libc::IPPROTO_IP, names.0, value),
        SocketAddr::V6(_) => raw_option(fd, libc::IPPROTO_IPV6, names.1, value),
    }
}

fn raw_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let size = std::mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: the descriptor is open for the call, and the option's value is an int that outlives it.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Every IP address of this host's interfaces.
pub fn host_addresses() -> io::Result<Vec<std::net::IpAddr>> {
    Ok(if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect())
}

/// The MTU of the interface with this IP; that of Ethernet where there is none to be asked.
pub fn mtu(ip: std::net::IpAddr) -> usize {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let name = interfaces.iter().find(|interface| interface.ip() == ip).map(|interface| &interface.name);
    let told = name.and_then(|name| std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok());
    told.and_then(|told| told.trim().parse().ok()).unwrap_or(ETHERNET_MTU)
}
