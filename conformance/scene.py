"""The stage of one check: a server under test, its clients and peers, all closed at the end."""

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from conformance.clauses import BrokenError, SkippedError, expect
from conformance.client import GRACE, Client, Credentials, Value, family
from conformance.links import PATIENCE, DtlsLink, Link, StreamLink, UdpLink, family_of
from conformance.stun import Endpoint

IP_RECVTTL = 12  # linux/in.h; Python's socket does not name it


@dataclass(frozen=True)
class Target:
    """A server under test, and what is known of how it was started; what is None is not tried."""

    name: str
    address: Endpoint
    user: Credentials
    other: Credentials | None = None
    beyond_ascii: Credentials | None = None  # the password holds letters beyond ASCII
    address6: Endpoint | None = None
    tls: Endpoint | None = None
    dtls: Endpoint | None = None
    cramped: Endpoint | None = None  # a second server with two relay ports, and one allocation a user
    redirecting: Endpoint | None = None  # one that sends clients elsewhere
    tokens: Endpoint | None = None  # one that takes access tokens, where that is not the server itself
    quota: int | None = None  # allocations a user

    @property
    def is_local(self) -> bool:
        """Whether the server is on loopback, where a client may have many addresses."""
        return ip_address(self.address[0]).is_loopback


@dataclass(frozen=True)
class Datagram:
    """What a peer received, with the fields of its IP header that a socket tells."""

    data: bytes
    source: Endpoint
    tos: int
    ttl: int


class Peer:
    """A UDP socket on the far side of a relay."""

    def __init__(self, host: str) -> None:
        self.socket = socket.socket(family_of(host), socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        v6 = ":" in host
        level, tos, ttl = (
            (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, socket.IPV6_RECVHOPLIMIT)
            if v6
            else (socket.IPPROTO_IP, socket.IP_RECVTOS, IP_RECVTTL)
        )
        self.socket.setsockopt(level, tos, 1)
        self.socket.setsockopt(level, ttl, 1)

    @property
    def address(self) -> Endpoint:
        """Where it is."""
        host, port = self.socket.getsockname()[:2]
        return host, port

    def send(self, data: bytes, relay: Endpoint) -> None:
        """A datagram to a relayed transport address."""
        self.socket.sendto(data, relay)

    def receives(self, timeout: float = GRACE) -> Datagram | None:
        """The next datagram, or None."""
        self.socket.settimeout(timeout)
        try:
            data, extra, _, source = self.socket.recvmsg(65536, 256)
        except TimeoutError:
            return None
        seen = {(level, kind): int.from_bytes(value[:1], "little") for level, kind, value in extra}
        tos = seen.get((socket.IPPROTO_IP, socket.IP_TOS), seen.get((socket.IPPROTO_IPV6, socket.IPV6_TCLASS), -1))
        ttl = seen.get((socket.IPPROTO_IP, socket.IP_TTL), seen.get((socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT), -1))
        return Datagram(data, source[:2], tos, ttl)

    def receive(self, data: bytes, timeout: float = PATIENCE) -> Datagram:
        """The next datagram, which must hold this."""
        got = self.receives(timeout)
        if got is None:
            raise BrokenError(f"{len(data)} bytes did not come to the peer")
        expect(got.data == data, f"{len(got.data)} other bytes came to the peer instead of {len(data)}")
        return got

    def nothing(self) -> None:
        """No datagram came."""
        got = self.receives()
        expect(got is None, "a datagram came to the peer")

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class Scene:
    """Clients and peers of one check."""

    def __init__(self, target: Target, stack: ExitStack) -> None:
        self.target = target
        self._stack = stack

    def client(
        self,
        transport: str = "udp",
        *,
        credentials: Credentials | None = None,
        source: str | None = None,
        server: Endpoint | None = None,
    ) -> Client:
        """A client that has not said anything yet."""
        made = Client(self.link(transport, source, server), credentials or self.target.user)
        self._stack.callback(made.close)
        return made

    def link(self, transport: str, source: str | None = None, server: Endpoint | None = None) -> Link:
        """The transport below one; whoever asks for it closes it."""
        match transport:
            case "udp":
                return UdpLink(server or self.target.address, source)
            case "tcp":
                return StreamLink(server or self.target.address, source=source)
            case "tls":
                return StreamLink(known(server or self.target.tls, "no TLS listener was named"), trusting())
            case "dtls":
                return DtlsLink(known(server or self.target.dtls, "no DTLS listener was named"))
        raise ValueError(transport)

    def allocated(self, *values: Value, transport: str = "udp", version: int = 4) -> Client:
        """A client with an allocation of that family."""
        made = self.client(transport)
        made.allocate(*([family(6)] if version == 6 else []), *values)
        return made

    def peer(self, host: str | None = None) -> Peer:
        """A peer where the server can reach it."""
        made = Peer(host or self.peer_host)
        self._stack.callback(made.close)
        return made

    def other(self) -> Credentials:
        """A second user."""
        if self.target.other is None:
            raise SkippedError("no second user was named")
        return self.target.other

    @property
    def peer_host(self) -> str:
        """The address of this machine that the server can send to."""
        with UdpLink(self.target.address).socket as probe:
            host: str = probe.getsockname()[0]
        return host

    def elsewhere(self) -> str:
        """A second address of this machine."""
        if not self.target.is_local:
            raise SkippedError("this machine has one address for a server elsewhere")
        return "127.0.0.2"

    def address6(self) -> Endpoint:
        """Where the server listens on IPv6."""
        return known(self.target.address6, "no IPv6 listener was named")

    def keep(self, closing: "socket.socket") -> "socket.socket":
        """Close this socket at the end of the check."""
        self._stack.callback(closing.close)
        return closing


@contextmanager
def staged(target: Target) -> Iterator[Scene]:
    """A scene, taken down at its end."""
    with ExitStack() as stack:
        yield Scene(target, stack)


def known(endpoint: Endpoint | None, otherwise: str) -> Endpoint:
    """The endpoint, where there is one."""
    if endpoint is None:
        raise SkippedError(otherwise)
    return endpoint


def trusting(*protocols: str) -> ssl.SSLContext:
    """A TLS context that takes any certificate, and offers these ALPN protocols."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def channel_data(channel: int, data: bytes, claimed: int | None = None) -> bytes:
    """ChannelData as on UDP, with a length that may lie."""
    return struct.pack("!HH", channel, len(data) if claimed is None else claimed) + data
