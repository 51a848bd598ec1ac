"""A small TURN client of the tests' own: its codec owes nothing to hairpin's, and every wait has an end."""

import hashlib
import hmac
import os
import socket
import ssl
import struct
import time
import zlib
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, DATA, CREATE_PERMISSION, CHANNEL_BIND = 1, 3, 4, 6, 7, 8, 9
REQUEST, INDICATION, SUCCESS, ERROR = 0x000, 0x010, 0x100, 0x110
PASSWORD_ALGORITHM, USERHASH, INTEGRITY_SHA256, PASSWORD_ALGORITHMS = 0x1D, 0x1E, 0x1C, 0x8002
ACCESS_TOKEN, THIRD_PARTY_AUTHORIZATION = 0x1B, 0x802E
USERNAME, INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES, CHANNEL_NUMBER = 0x06, 0x08, 0x09, 0x0A, 0x0C
LIFETIME, XOR_PEER_ADDRESS, DATA_VALUE, REALM, NONCE = 0x0D, 0x12, 0x13, 0x14, 0x15
XOR_RELAYED_ADDRESS, FAMILY, TRANSPORT, XOR_MAPPED_ADDRESS, FINGERPRINT = 0x16, 0x17, 0x19, 0x20, 0x8028
DONT_FRAGMENT, ICMP = 0x1A, 0x8004
EVEN_PORT, RESERVATION_TOKEN, ADDITIONAL_FAMILY, ADDRESS_ERROR_CODE = 0x18, 0x22, 0x8000, 0x8001
UDP_RELAY = bytes([17, 0, 0, 0])

Endpoint = tuple[str, int]
Attributes = list[tuple[int, bytes]]


@dataclass(frozen=True)
class Answer:
    """A STUN message as it came: its attributes in order, values still bytes."""

    method: int
    kind: int
    transaction: bytes
    attributes: tuple[tuple[int, bytes], ...]
    raw: bytes

    def get(self, code: int) -> bytes | None:
        """The first attribute of that code."""
        return next((value for found, value in self.attributes if found == code), None)

    @property
    def error(self) -> int:
        """The error's number, 0 for a success."""
        value = self.get(ERROR_CODE)
        return value[2] * 100 + value[3] if value else 0

    def address(self, code: int) -> Endpoint:
        """The XOR'ed address of that attribute."""
        value = self.get(code)
        assert value is not None, f"no attribute {code:#06x} in {self}"
        return unmask(value, self.transaction)

    def signed(self, key: bytes, kind: int = INTEGRITY) -> bool:
        """Whether the integrity of that kind is there and true for that key (RFC 8489, 14.5 and 14.6)."""
        at = 20
        for code, value in self.attributes:
            if code == kind:
                return hmac.compare_digest(value, digest(self.raw[:at], key, kind))
            at += 4 + len(value) + -len(value) % 4
        return False


def long_term_key(user: str, realm: str, password: str, algorithm: int | None = None) -> bytes:
    """MD5, or SHA-256 where PASSWORD-ALGORITHM says 2, of what the user is (RFC 8489, 18.5.1)."""
    return (hashlib.sha256 if algorithm == 2 else hashlib.md5)(f"{user}:{realm}:{password}".encode()).digest()


class TurnError(Exception):
    """An error response, as an exception."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.error} for method {answer.method:#05x}")
        self.answer = answer
        self.code = answer.error


def mask(endpoint: Endpoint, transaction: bytes) -> bytes:
    """An XOR'ed address (RFC 8489, 14.2)."""
    packed = ip_address(endpoint[0]).packed
    pad = struct.pack("!I", COOKIE) + transaction
    hidden = bytes(a ^ b for a, b in zip(packed, pad, strict=False))
    return struct.pack("!BBH", 0, 1 if len(packed) == 4 else 2, endpoint[1] ^ (COOKIE >> 16)) + hidden


def unmask(value: bytes, transaction: bytes) -> Endpoint:
    """The address inside an XOR'ed one."""
    _, family, port = struct.unpack_from("!BBH", value)
    assert (family, len(value)) in ((1, 8), (2, 20)), value.hex()
    pad = struct.pack("!I", COOKIE) + transaction
    return str(ip_address(bytes(a ^ b for a, b in zip(value[4:], pad, strict=False)))), port ^ (COOKIE >> 16)


def digest(before: bytes, key: bytes, kind: int = INTEGRITY) -> bytes:
    """HMAC over a message up to its integrity, the length counting the integrity in."""
    size, name = (32, "sha256") if kind == INTEGRITY_SHA256 else (20, "sha1")
    return hmac.digest(key, before[:2] + struct.pack("!H", len(before) - 20 + 4 + size) + before[4:], name)


def build(
    kind: int,
    transaction: bytes,
    attributes: Attributes,
    key: bytes | None = None,
    *,
    integrity: int = INTEGRITY,
    fingerprint: bool = False,
) -> bytes:
    """A message of method | class, signed where there is a key."""
    body = b"".join(struct.pack("!HH", code, len(v)) + v + bytes(-len(v) % 4) for code, v in attributes)
    message = struct.pack("!HHI", kind, len(body), COOKIE) + transaction + body
    if key is not None:
        message = append(message, integrity, digest(message, key, integrity))
    if fingerprint:
        counted = message[:2] + struct.pack("!H", len(message) - 12) + message[4:]
        message = append(message, FINGERPRINT, struct.pack("!I", zlib.crc32(counted) ^ 0x5354554E))
    return message


def append(message: bytes, code: int, value: bytes) -> bytes:
    """The message with one attribute more."""
    longer = message + struct.pack("!HH", code, len(value)) + value
    return longer[:2] + struct.pack("!H", len(longer) - 20) + longer[4:]


def parse(data: bytes) -> Answer:
    """A whole message; what does not add up is an AssertionError, for only the server under test sends these."""
    kind, length, cookie = struct.unpack_from("!HHI", data)
    assert cookie == COOKIE, data.hex()
    assert length == len(data) - 20, data.hex()
    attributes, at = [], 20
    while at < len(data):
        code, size = struct.unpack_from("!HH", data, at)
        assert at + 4 + size + -size % 4 <= len(data), data.hex()
        attributes.append((code, data[at + 4 : at + 4 + size]))
        assert not any(data[at + 4 + size : at + 4 + size + -size % 4]), f"padding is not zero: {data.hex()}"
        at += 4 + size + -size % 4
    return Answer(kind & 0x3EEF, kind & 0x0110, data[8:20], tuple(attributes), data)


class Client:
    """One five-tuple to a TURN server, over UDP, TCP, or TLS where there is a context for it."""

    def __init__(
        self,
        server: Endpoint,
        user: str = "user",
        password: str = "secret",
        *,
        tcp: bool = False,
        tls: ssl.SSLContext | None = None,
        own: str | None = None,
    ) -> None:
        """Come from the address `own`, where that matters."""
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        self.tcp, self.user, self.password = tcp, user, password
        self.realm = self.nonce = b""
        self.key: bytes | None = None
        self.unread = b""
        self.arrived: deque[tuple[Endpoint | int, bytes]] = deque()
        self.relay: Endpoint = ("", 0)
        self.relay6: Endpoint = ("", 0)  # where there are two
        self.socket.settimeout(5)
        try:
            if own:
                self.socket.bind((own, 0))
            self.socket.connect(server)
            if tls:
                self.socket = tls.wrap_socket(self.socket, server_hostname=server[0])
        except OSError:
            self.socket.close()
            raise
        if tcp:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def address(self) -> Endpoint:
        """The client's own end."""
        name: Endpoint = self.socket.getsockname()[:2]
        return name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.relay[1] and not self.tcp:  # or the next client that the kernel gives this port gets 437
            with suppress(OSError):
                self.socket.send(self.sign(REFRESH, [(LIFETIME, bytes(4))]))
        self.socket.close()

    def frame(self, timeout: float) -> bytes:
        """The next datagram or whole frame of the stream; TimeoutError after `timeout`, EOFError at its end."""
        end = time.monotonic() + timeout
        while True:
            size = self._whole()
            if size:
                frame, self.unread = self.unread[:size], self.unread[size:]
                return frame
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            data = self.socket.recv(65536)
            if not self.tcp:
                return data
            if not data:
                raise EOFError
            self.unread += data

    def _whole(self) -> int:
        """Length of the frame that `unread` begins with, 0 while it is not complete (RFC 8656, 12.5)."""
        if len(self.unread) < 4:
            return 0
        first, length = struct.unpack_from("!HH", self.unread)
        size = 4 + length + -length % 4 if first & 0xC000 else 20 + length
        return size if len(self.unread) >= size else 0

    def exchange(self, message: bytes, timeout: float = 10) -> Answer:
        """Send a request, again every 500 ms over UDP, until it is answered; data that comes meanwhile is kept."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            self.socket.sendall(message)
            try:
                return self._answer(message[8:20], left if self.tcp else min(left, 0.5))
            except TimeoutError:
                continue
        raise TimeoutError(f"no answer to method {message[1]:#04x} in {timeout} s")

    def _answer(self, transaction: bytes, timeout: float) -> Answer:
        end = time.monotonic() + timeout
        while True:
            frame = self.frame(max(end - time.monotonic(), 0.001))
            if self._keep(frame):
                continue
            answer = parse(frame)
            if answer.transaction == transaction:
                return answer

    def _keep(self, frame: bytes) -> bool:
        if frame[0] & 0xC0:
            number, length = struct.unpack_from("!HH", frame)
            self.arrived.append((number, frame[4 : 4 + length]))
            return True
        if frame[:2] != struct.pack("!H", DATA | INDICATION):
            return False
        answer = parse(frame)
        self.arrived.append((answer.address(XOR_PEER_ADDRESS), answer.get(DATA_VALUE) or b""))
        return True

    def sign(self, method: int, attributes: Attributes, transaction: bytes | None = None) -> bytes:
        """A request with the credentials known by now."""
        known = [(USERNAME, self.user.encode()), (REALM, self.realm), (NONCE, self.nonce)] if self.key else []
        return build(method | REQUEST, transaction or os.urandom(12), attributes + known, self.key)

    def request(self, method: int, attributes: Attributes) -> Answer:
        """A transaction, authenticated when asked, twice at most; an error response raises TurnError."""
        for _ in range(3):
            answer = self.exchange(self.sign(method, attributes))
            if answer.error not in (401, 438) or (answer.error == 401 and self.key):
                break
            self.learn(answer)
        if answer.error:
            raise TurnError(answer)
        assert method == BINDING or answer.signed(self.key or b""), "an unsigned success"
        return answer

    def learn(self, answer: Answer) -> None:
        """Take realm and nonce from a 401 or 438, and make the key."""
        self.realm, self.nonce = answer.get(REALM) or self.realm, answer.get(NONCE) or b""
        self.key = hashlib.md5(b":".join([self.user.encode(), self.realm, self.password.encode()])).digest()

    def binding(self) -> Endpoint:
        """This client's address as the server sees it."""
        return self.exchange(build(BINDING | REQUEST, os.urandom(12), [])).address(XOR_MAPPED_ADDRESS)

    def allocate(self, *, version: int = 4, lifetime: int | None = None) -> Endpoint:
        """Allocate, and the relayed transport address."""
        attributes = [(TRANSPORT, UDP_RELAY)]
        if version == 6:
            attributes.append((FAMILY, bytes([2, 0, 0, 0])))
        if lifetime is not None:
            attributes.append((LIFETIME, struct.pack("!I", lifetime)))
        self.relay = self.request(ALLOCATE, attributes).address(XOR_RELAYED_ADDRESS)
        return self.relay

    def allocate_both(self) -> tuple[Endpoint, Endpoint]:
        """Allocate a relay of each family (RFC 8656, 7.2): that of IPv4, that of IPv6."""
        answer = self.request(ALLOCATE, [(TRANSPORT, UDP_RELAY), (ADDITIONAL_FAMILY, bytes([2, 0, 0, 0]))])
        values = [value for code, value in answer.attributes if code == XOR_RELAYED_ADDRESS]
        self.relay, self.relay6 = (unmask(value, answer.transaction) for value in values)
        return self.relay, self.relay6

    def refresh(self, lifetime: int, *, version: int | None = None) -> int:
        """Refresh, of all relays or of that family's, and the lifetime granted."""
        family = [(FAMILY, bytes([{4: 1, 6: 2}[version], 0, 0, 0]))] if version else []
        value = self.request(REFRESH, [(LIFETIME, struct.pack("!I", lifetime)), *family]).get(LIFETIME)
        return int.from_bytes(value or b"", "big")

    def permit(self, *peers: Endpoint) -> None:
        """CreatePermission for all of the peers at once."""
        transaction = os.urandom(12)
        message = self.sign(CREATE_PERMISSION, [(XOR_PEER_ADDRESS, mask(p, transaction)) for p in peers], transaction)
        self._expect(message)

    def bind(self, number: int, peer: Endpoint) -> None:
        """ChannelBind."""
        transaction = os.urandom(12)
        value = [(CHANNEL_NUMBER, struct.pack("!HH", number, 0)), (XOR_PEER_ADDRESS, mask(peer, transaction))]
        self._expect(self.sign(CHANNEL_BIND, value, transaction))

    def _expect(self, message: bytes) -> None:
        answer = self.exchange(message)
        if answer.error:
            raise TurnError(answer)

    def send_channel(self, number: int, data: bytes) -> None:
        """ChannelData, padded on a stream (RFC 8656, 12.5)."""
        self.socket.sendall(struct.pack("!HH", number, len(data)) + data + (bytes(-len(data) % 4) if self.tcp else b""))

    def send_data(self, peer: Endpoint, data: bytes, *, whole: bool = False) -> None:
        """A Send indication, with DONT-FRAGMENT where the datagram shall stay whole."""
        transaction = os.urandom(12)
        attributes = [(XOR_PEER_ADDRESS, mask(peer, transaction)), *[(DONT_FRAGMENT, b"")] * whole, (DATA_VALUE, data)]
        self.socket.sendall(build(SEND | INDICATION, transaction, attributes))

    def receive(self, timeout: float = 10) -> tuple[Endpoint | int, bytes]:
        """The next data from a peer: whence (a channel's number or an address), and the bytes."""
        end = time.monotonic() + timeout
        while not self.arrived:
            self._keep(self.frame(max(end - time.monotonic(), 0.001)))
        return self.arrived.popleft()
