"""A link to the server in asyncio: datagrams, a TCP connection or TLS over one. What comes waits in a bounded queue."""

import asyncio
import socket
import ssl
from typing import cast

from hairpin.turnclient.failure import LinkError
from hairpin.turnclient.framing import frames

WAITING = 256  # frames; what comes beyond is dropped, as a full socket would
Endpoint = tuple[str, int]


class Link:
    """Sends messages to the server, and hands on what comes; broken for good after the first LinkError."""

    def __init__(self) -> None:
        """Not connected yet."""
        self._inbox: asyncio.Queue[bytes | LinkError] = asyncio.Queue(WAITING)

    async def receive(self) -> bytes:
        """The next message; LinkError where none can come any more."""
        came = await self._inbox.get()
        if isinstance(came, LinkError):
            raise came
        return came

    def send(self, data: bytes) -> None:
        """Send a message; what goes wrong is told by `receive`."""
        raise NotImplementedError

    def close(self) -> None:
        """Be gone."""
        self.transport.close()

    @property
    def transport(self) -> asyncio.BaseTransport:
        """What asyncio calls it."""
        raise NotImplementedError

    @property
    def local(self) -> Endpoint:
        """The address of this machine that it is bound to."""
        found: Endpoint = self.transport.get_extra_info("sockname")[:2]
        return found

    def _put(self, came: bytes | LinkError) -> None:
        if not self._inbox.full():
            self._inbox.put_nowait(came)


class Datagrams(Link, asyncio.DatagramProtocol):
    """A UDP socket, connected to the server or open to all."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is bound."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    @property
    def transport(self) -> asyncio.DatagramTransport:
        """What asyncio calls it."""
        return self._transport

    def send(self, data: bytes) -> None:
        """To the server."""
        self._transport.sendto(data)

    def send_to(self, data: bytes, place: Endpoint) -> None:
        """To anyone, where the socket is not connected."""
        self._transport.sendto(data, place)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        """Keep it."""
        self._put(data)

    def error_received(self, exc: Exception) -> None:
        """What ICMP or the kernel says."""
        self._put(LinkError(exc if isinstance(exc, OSError) else None))


class Stream(Link, asyncio.Protocol):
    """A TCP connection, perhaps with TLS."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        super().__init__()
        self._unread = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is connected, and TLS is spoken where it was asked for."""
        self._transport = cast(asyncio.Transport, transport)

    @property
    def transport(self) -> asyncio.Transport:
        """What asyncio calls it."""
        return self._transport

    def send(self, data: bytes) -> None:
        """ChannelData is padded (RFC 8656, section 12.5)."""
        self._transport.write(data + bytes(-len(data) % 4))

    def data_received(self, data: bytes) -> None:
        """Cut it into messages."""
        self._unread += data
        for frame in frames(self._unread):
            self._put(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        self._put(LinkError(exc if isinstance(exc, OSError) else None))


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
