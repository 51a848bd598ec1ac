"""Sockets of the load: a link carries STUN messages and ChannelData to the server, over UDP or TCP."""

import socket
import struct
from collections.abc import Sequence

from hairpin.turnclient import ArgumentError
from hairpin.turnclient.failure import LinkError
from hairpin.turnclient.framing import frames

Endpoint = tuple[str, int] | tuple[str, int, int, int]
DATAGRAM = 2048
CHUNK = 65_536
MOST_WAITING = 262_144  # bytes that a slow TCP connection may owe
ROOM = 4 << 20
SO_MEMINFO, MEMINFO = 55, struct.Struct("9I")  # linux/sock_diag.h: the last one is SK_MEMINFO_DROPS


def datagram_socket(family: int) -> socket.socket:
    """A UDP socket that holds what comes in a burst, as far as the machine allows."""
    made = _socket(family, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    return made


def overflowed(sock: socket.socket) -> int:
    """How many datagrams this machine dropped because the socket was full."""
    found = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size)
    return int(MEMINFO.unpack(found)[-1]) if len(found) == MEMINFO.size else 0


class Datagrams:
    """A UDP socket connected to the server."""

    def __init__(self, family: int, server: Endpoint) -> None:
        self.socket = datagram_socket(family)
        self.waiting = False
        self._server = server

    def connect(self) -> None:
        """From here on only the server is heard."""
        try:
            self.socket.connect(self._server)
        except OSError as error:
            raise LinkError(error) from None

    def send(self, data: bytes | bytearray) -> bool:
        """Whether the datagram left."""
        try:
            self.socket.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            raise LinkError(error) from None
        return True

    def flush(self) -> None:
        """Nothing waits here."""

    def receive(self) -> Sequence[bytes]:
        """The next datagram, where there is one."""
        try:
            return (self.socket.recv(DATAGRAM),)
        except BlockingIOError:
            return ()
        except OSError as error:
            raise LinkError(error) from None

    def overflowed(self) -> int:
        """How many datagrams found the socket full."""
        return overflowed(self.socket)


class Connection:
    """A TCP connection to the server, which may still be under way."""

    def __init__(self, family: int, server: Endpoint) -> None:
        self.socket = _socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = server
        self._unsent, self._unread = bytearray(), bytearray()

    def connect(self) -> None:
        """Begin to; what is sent meanwhile waits."""
        try:
            self.socket.connect(self._server)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkError(error) from None

    @property
    def waiting(self) -> bool:
        """Whether `flush` has something to do when the socket can be written."""
        return bool(self._unsent)

    def send(self, data: bytes | bytearray) -> bool:
        """Whether there was room for it; ChannelData is padded (RFC 8656, section 12.5)."""
        if len(self._unsent) > MOST_WAITING:
            return False
        self._unsent += data
        self._unsent += bytes(-len(data) % 4)
        self.flush()
        return True

    def flush(self) -> None:
        """Write what waits, as far as it goes."""
        try:
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkError(error) from None

    def receive(self) -> Sequence[bytes]:
        """The frames that are whole by now."""
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return ()
        except OSError as error:
            raise LinkError(error) from None
        if not data:
            raise LinkError
        self._unread += data
        return frames(self._unread)

    def overflowed(self) -> int:
        """TCP drops nothing."""
        return 0


Link = Datagrams | Connection


def _socket(family: int, kind: int) -> socket.socket:
    try:
        made = socket.socket(family, kind)
    except OSError as error:
        raise ArgumentError(f"this machine grants no more sockets: {error.strerror}") from None
    made.setblocking(False)
    return made
