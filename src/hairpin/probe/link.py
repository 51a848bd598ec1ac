"""A link to the server in asyncio: datagrams, a TCP connection or TLS over one. What comes waits in a bounded queue."""

import asyncio
import socket
import ssl
from typing import Generic, TypeAlias, TypeVar, cast

from hairpin.turnclient.failure import LinkError
from hairpin.turnclient.framing import frames

WAITING = 256  # frames; what comes beyond is dropped, as a full socket would
Endpoint: TypeAlias = tuple[str, int]
TRANSPORT = TypeVar("TRANSPORT", bound=asyncio.BaseTransport)


class _Inbox(Generic[TRANSPORT]):
    """What comes over a transport of asyncio, until somebody receives it."""

    transport: TRANSPORT

    def __init__(self) -> None:
        """Not connected yet."""
        self._came: asyncio.Queue[bytes | LinkError] = asyncio.Queue(WAITING)

    async def receive(self) -> bytes:
        """The next message; LinkError for what the network said instead of one."""
        came = await self._came.get()
        if isinstance(came, LinkError):
            raise came
        return came

    def close(self) -> None:
        """Be gone."""
        self.transport.close()

    @property
    def local(self) -> Endpoint:
        """The address of this machine that it is bound to."""
        found: Endpoint = self.transport.get_extra_info("sockname")[:2]
        return found

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is bound, and connected with TLS where that was asked for."""
        self.transport = cast(TRANSPORT, transport)

    def _put(self, came: bytes | LinkError) -> None:
        if not self._came.full():
            self._came.put_nowait(came)


class Datagrams(_Inbox[asyncio.DatagramTransport], asyncio.DatagramProtocol):
    """A UDP socket, connected to the server or open to all."""

    def send(self, data: bytes) -> None:
        """Send to the server; what goes wrong is told by `receive`."""
        self.transport.sendto(data)

    def send_to(self, data: bytes, place: Endpoint) -> None:
        """Send to anyone, where the socket is not connected."""
        self.transport.sendto(data, place)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  as asyncio tells it
        """Keep it."""
        self._put(data)

    def error_received(self, exc: Exception) -> None:
        """What ICMP or the kernel says."""
        self._put(LinkError(exc if isinstance(exc, OSError) else None))


class Stream(_Inbox[asyncio.Transport], asyncio.Protocol):
    """A TCP connection, perhaps with TLS."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        super().__init__()
        self._unread = bytearray()

    def send(self, data: bytes) -> None:
        """Send to the server, ChannelData padded (RFC 8656, section 12.5); `receive` tells what goes wrong."""
        self.transport.write(data + bytes(-len(data) % 4))

    def data_received(self, data: bytes) -> None:
        """Cut it into messages."""
        self._unread += data
        for frame in frames(self._unread):
            self._put(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        self._put(LinkError(exc if isinstance(exc, OSError) else None))


Link: TypeAlias = Datagrams | Stream


async def connect_datagrams(place: Endpoint) -> Datagrams:
    """A link over UDP; OSError where this machine has no way there."""
    _, link = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, remote_addr=place)
    return link


async def connect_stream(
    place: Endpoint, preface: bytes = b"", tls: ssl.SSLContext | None = None, host: str = ""
) -> Stream:
    """A link over TCP that begins with `preface`, then TLS for `host`; OSError, ssl.SSLError among them."""
    loop = asyncio.get_running_loop()
    carrier = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        carrier.setblocking(False)
        await loop.sock_connect(carrier, place)
        await loop.sock_sendall(carrier, preface)
        _, link = await loop.create_connection(Stream, sock=carrier, ssl=tls, server_hostname=host if tls else None)
    except BaseException:
        carrier.close()
        raise
    return link


async def open_socket(ip: str) -> Datagrams:
    """A UDP socket of this machine that hears everyone."""
    loop = asyncio.get_running_loop()
    _, datagrams = await loop.create_datagram_endpoint(Datagrams, local_addr=(ip, 0))
    return datagrams
