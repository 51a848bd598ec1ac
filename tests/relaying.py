"""A client with a TCP allocation (RFC 6062), its data connections, and peers that listen."""

import os
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from client import (
    ALLOCATE,
    FAMILY,
    LIFETIME,
    REFRESH,
    TRANSPORT,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Answer,
    Client,
    Endpoint,
    TurnError,
    mask,
    parse,
)

CONNECT, CONNECTION_BIND, CONNECTION_ATTEMPT, CONNECTION_ID = 0x0A, 0x0B, 0x0C, 0x2A
TCP_RELAY = bytes([6, 0, 0, 0])


class Control(Client):
    """A control connection."""

    def allocate(self, *, version: int = 4, lifetime: int | None = None) -> Endpoint:
        """Allocate a TCP relay."""
        attributes = [(TRANSPORT, TCP_RELAY)] + [(FAMILY, bytes([2, 0, 0, 0]))] * (version == 6)
        if lifetime is not None:
            attributes.append((LIFETIME, struct.pack("!I", lifetime)))
        self.relay = self.request(ALLOCATE, attributes).address(XOR_RELAYED_ADDRESS)
        return self.relay

    def connect(self, peer: Endpoint) -> int:
        """Connect: the CONNECTION-ID."""
        return number(self.succeed(self.exchange(self.connecting(peer))))

    def connecting(self, peer: Endpoint) -> bytes:
        """A Connect request."""
        transaction = os.urandom(12)
        return self.sign(CONNECT, [(XOR_PEER_ADDRESS, mask(peer, transaction))], transaction)

    def attempted(self) -> tuple[Endpoint, int]:
        """The next frame, a ConnectionAttempt: who, and its CONNECTION-ID."""
        indication = parse(self.frame(10))
        assert (indication.method, indication.kind) == (CONNECTION_ATTEMPT, 0x10), indication
        return indication.address(XOR_PEER_ADDRESS), number(indication)

    def succeed(self, answer: Answer) -> Answer:
        """The answer of a success."""
        if answer.error:
            raise TurnError(answer)
        assert answer.signed(self.key or b"")
        return answer

    def data(self, number: int, behind: bytes = b"", tls: ssl.SSLContext | None = None) -> "Data":
        """A new connection to the same server that is bound to a peer, with bytes right behind the request."""
        made = Data(self.server, self.user, self.password, tcp=True, tls=tls)
        made.realm, made.nonce, made.key = self.realm, self.nonce, self.key
        try:
            made.bind_data(number, behind)
        except BaseException:
            made.socket.close()
            raise
        return made

    @property
    def server(self) -> Endpoint:
        """Where it is connected to."""
        name: Endpoint = self.socket.getpeername()[:2]
        return name


class Data(Client):
    """A data connection, once it is bound."""

    def bind_data(self, number: int, behind: bytes = b"") -> None:
        """ConnectionBind, with realm and nonce of the control connection, or those that a refused one has brought."""
        if self.key is None:
            self.learn(self.exchange(self.sign(CONNECTION_BIND, [])))
        message = self.sign(CONNECTION_BIND, [(CONNECTION_ID, struct.pack("!I", number))])
        answer = self.exchange(message + behind)
        if answer.error:
            raise TurnError(answer)
        assert answer.signed(self.key or b"")

    def read(self, size: int) -> bytes:
        """Exactly so many raw bytes; fewer where it ends."""
        self.socket.settimeout(20)
        got, self.unread = bytearray(self.unread[:size]), self.unread[size:]
        while len(got) < size and (more := self.socket.recv(min(size - len(got), 1 << 20))):
            got += more
        return bytes(got)

    def is_over(self) -> bool:
        """Whether nothing comes any more, be it an end or a reset."""
        try:
            return self.read(1) == b""
        except ConnectionResetError:
            return True


def number(answer: Answer) -> int:
    """Its CONNECTION-ID."""
    value = answer.get(CONNECTION_ID)
    assert value is not None
    return int.from_bytes(value, "big")


def over(client: Client) -> None:
    """End a session whose connection goes on."""
    client.request(REFRESH, [(LIFETIME, bytes(4))])


@contextmanager
def listening(ip: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A peer that waits for connections."""
    with socket.create_server((ip, 0), family=socket.AF_INET6 if ":" in ip else socket.AF_INET) as made:
        made.settimeout(10)
        yield made


def read(stream: socket.socket, size: int) -> bytes:
    """Exactly so many bytes; fewer where it ends."""
    stream.settimeout(20)
    got = bytearray()
    while len(got) < size and (more := stream.recv(min(size - len(got), 1 << 20))):
        got += more
    return bytes(got)
