"""One five-tuple to a server: bytes out, whole frames in, over UDP, TCP, TLS or DTLS."""

import os
import selectors
import shutil
import socket
import ssl
import struct
import subprocess
import time
from contextlib import suppress
from typing import Protocol

from conformance.clauses import SkippedError
from conformance.stun import HEADER, Endpoint

USED: set[int] = set()  # ports of clients
PATIENCE = 5.0  # seconds for whatever must come


def family_of(host: str) -> socket.AddressFamily:
    """The address family of a literal."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def frame_size(first: int, length: int) -> int:
    """The size of a frame on a stream: ChannelData is padded to four there (RFC 8656, section 12.5)."""
    return 4 + length + -length % 4 if first & 0xC000 else HEADER + length


class Link(Protocol):
    """What a client needs of its transport."""

    transport: str
    retransmits: bool

    @property
    def address(self) -> Endpoint:
        """This end."""

    def send(self, data: bytes) -> None:
        """Send a datagram, or write to the stream."""

    def receive(self, timeout: float) -> bytes:
        """The next whole frame; TimeoutError when none comes, EOFError at the end of a stream."""

    def close(self) -> None:
        """Let it go."""


def fresh_socket(family: socket.AddressFamily, source: str) -> socket.socket:
    """A datagram socket on a port that the suite has not used: an allocation of an old client may be there still."""
    while True:
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.bind((source, 0))
        if (port := made.getsockname()[1]) not in USED:
            USED.add(port)
            return made
        made.close()


class UdpLink:
    """A connected datagram socket."""

    transport = "udp"
    retransmits = True

    def __init__(self, server: Endpoint, source: str | None = None) -> None:
        self.socket = fresh_socket(family_of(server[0]), source or "")
        self.socket.connect(server)

    @property
    def address(self) -> Endpoint:
        """This end."""
        host, port = self.socket.getsockname()[:2]
        return host, port

    def send(self, data: bytes) -> None:
        """One datagram."""
        self.socket.send(data)

    def receive(self, timeout: float) -> bytes:
        """The next datagram; an ICMP error means that nobody answers."""
        self.socket.settimeout(max(timeout, 0.001))
        try:
            return self.socket.recv(65536)
        except ConnectionRefusedError:
            raise EOFError from None

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class StreamLink:
    """TCP, and TLS over it."""

    retransmits = False

    def __init__(self, server: Endpoint, context: ssl.SSLContext | None = None, source: str | None = None) -> None:
        self.transport = "tls" if context else "tcp"
        made = socket.create_connection(server, PATIENCE, (source, 0) if source else None)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: socket.socket = context.wrap_socket(made, server_hostname="localhost") if context else made
        self.unread = b""

    @property
    def address(self) -> Endpoint:
        """This end."""
        host, port = self.socket.getsockname()[:2]
        return host, port

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self.socket.settimeout(PATIENCE)
        self.socket.sendall(data)

    def receive(self, timeout: float) -> bytes:
        """The next frame of the stream."""
        end = time.monotonic() + timeout
        while True:
            if len(self.unread) >= 4:
                size = frame_size(*struct.unpack_from("!HH", self.unread))
                if len(self.unread) >= size:
                    frame, self.unread = self.unread[:size], self.unread[size:]
                    return frame
            self.unread += self.read(end - time.monotonic())

    def read(self, timeout: float) -> bytes:
        """Whatever comes, unframed; EOFError at the end."""
        self.socket.settimeout(max(timeout, 0.001))
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            raise EOFError from None
        if not data:
            raise EOFError
        return data

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


class DtlsLink:
    """DTLS through `openssl s_client`, for Python's own ssl knows none."""

    transport = "dtls"
    retransmits = True

    def __init__(self, server: Endpoint) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            raise SkippedError("DTLS needs the program openssl")
        host = f"[{server[0]}]" if ":" in server[0] else server[0]
        command = [openssl, "s_client", "-dtls", "-quiet", "-connect", f"{host}:{server[1]}"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        self.unread = b""

    @property
    def address(self) -> Endpoint:
        """Unknown: openssl holds the socket."""
        raise SkippedError("openssl holds the socket")

    def send(self, data: bytes) -> None:
        """One record."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def receive(self, timeout: float) -> bytes:
        """The next frame; records come one after the other through the pipe."""
        assert self.process.stdout is not None
        end = time.monotonic() + timeout
        while True:
            if len(self.unread) >= 4:
                first, length = struct.unpack_from("!HH", self.unread)
                size = 4 + length if first & 0xC000 else HEADER + length
                if len(self.unread) >= size:
                    frame, self.unread = self.unread[:size], self.unread[size:]
                    return frame
            with selectors.DefaultSelector() as ready:
                ready.register(self.process.stdout, selectors.EVENT_READ)
                if not ready.select(max(end - time.monotonic(), 0)):
                    raise TimeoutError
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise EOFError
            self.unread += data

    def close(self) -> None:
        """End openssl."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
