"""A TURN client that a check drives: it signs, retransmits, and keeps what was not asked for."""

import os
import struct
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from conformance.clauses import BrokenError, expect
from conformance.links import PATIENCE, Link
from conformance.stun import (
    Code,
    Endpoint,
    Kind,
    MalformedError,
    Message,
    Method,
    build,
    long_term_key,
    mask,
    message_type,
    parse,
    sign,
)

GRACE = 0.15  # seconds in which what must not come would come, after a round trip that already shows it
Value = tuple[int, bytes | Endpoint]
UDP = (Code.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))
TCP = (Code.REQUESTED_TRANSPORT, bytes([6, 0, 0, 0]))


@dataclass(frozen=True)
class Credentials:
    """A user of the server."""

    user: str
    password: str


@dataclass(frozen=True)
class Arrival:
    """Data of a peer: by channel, or in an indication."""

    channel: int | None
    peer: Endpoint | None
    data: bytes | None
    indication: Message | None = None


def lifetime(seconds: int) -> Value:
    """LIFETIME."""
    return Code.LIFETIME, struct.pack("!I", seconds)


def family(version: int, code: int = Code.REQUESTED_ADDRESS_FAMILY) -> Value:
    """REQUESTED-ADDRESS-FAMILY: 4 and 6 are the known ones, anything else goes out as it is."""
    return code, bytes([{4: 1, 6: 2}.get(version, version), 0, 0, 0])


def number(channel: int) -> Value:
    """CHANNEL-NUMBER."""
    return Code.CHANNEL_NUMBER, struct.pack("!HH", channel, 0)


def peer(endpoint: Endpoint) -> Value:
    """XOR-PEER-ADDRESS."""
    return Code.XOR_PEER_ADDRESS, endpoint


class Client:
    """One five-tuple, with the credentials it has learnt to use."""

    def __init__(self, link: Link, credentials: Credentials) -> None:
        self.link = link
        self.credentials = credentials
        self.realm = ""
        self.nonce = b""
        self.inbox: deque[bytes] = deque()
        self.relays: list[Endpoint] = []

    @property
    def key(self) -> bytes:
        """The MD5 key of the credentials in the realm that was learnt."""
        return long_term_key(self.credentials.user, self.realm, self.credentials.password)

    @property
    def relay(self) -> Endpoint:
        """The relayed transport address."""
        expect(self.relays, "no relayed transport address")
        return self.relays[0]

    # Messages

    def unsigned(self, method: int, values: Iterable[Value] = (), kind: int = Kind.REQUEST) -> bytes:
        """A message without credentials."""
        transaction = os.urandom(12)
        return build(method, kind, transaction, [encoded(value, transaction) for value in values])

    def signed(self, method: int, values: Iterable[Value] = (), *, key: bytes | None = None) -> bytes:
        """A request with USERNAME, REALM, NONCE and MESSAGE-INTEGRITY, behind `values`."""
        return sign(self.unsigned(method, [*values, *self.known()]), self.key if key is None else key)

    def known(self) -> list[Value]:
        """USERNAME, REALM and NONCE."""
        return [
            (Code.USERNAME, self.credentials.user.encode()),
            (Code.REALM, self.realm.encode()),
            (Code.NONCE, self.nonce),
        ]

    # Transactions

    def exchange(self, message: bytes, patience: float = PATIENCE) -> Message:
        """Send a request, over datagrams again each half second, until its response comes; else the check fails."""
        answer = self.attempt(message, patience)
        if answer is None:
            raise BrokenError(f"no answer to a request of type {message[:2].hex()}")
        return answer

    def attempt(self, message: bytes, patience: float = 1.2) -> Message | None:
        """The response, or None where none comes or the stream ends."""
        end = time.monotonic() + patience
        with suppress(EOFError, ConnectionError):
            self.link.send(message)
            while (left := end - time.monotonic()) > 0:
                answer = self._answer(message[8:20], min(left, 0.5) if self.link.retransmits else left)
                if answer is not None:
                    return answer
                if self.link.retransmits:
                    self.link.send(message)
        return None

    def _answer(self, transaction: bytes, timeout: float) -> Message | None:
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                frame = self.link.receive(left)
            except TimeoutError:
                return None
            if frame[8:20] == transaction and not frame[0] & 0xC0:
                return readable(frame)
            self.inbox.append(frame)
        return None

    def ask(self, method: int, values: Iterable[Value] = ()) -> Message:
        """A transaction without credentials."""
        return self.exchange(self.unsigned(method, values))

    def challenge(self) -> Message:
        """The 401 of an Allocate without credentials; realm and nonce are kept."""
        answer = self.ask(Method.ALLOCATE, [UDP])
        expect(answer.error == 401, f"an Allocate without credentials got {shown(answer)}")
        self.learn(answer)
        return answer

    def learn(self, answer: Message) -> None:
        """Take realm and nonce of a 401 or 438."""
        self.realm = (answer.get(Code.REALM) or b"").decode()
        self.nonce = answer.get(Code.NONCE) or b""

    def request(self, method: int, values: Sequence[Value] = ()) -> Message:
        """An authenticated transaction; a 438 is followed by one more try."""
        if not self.nonce:
            self.challenge()
        answer = self.exchange(self.signed(method, values))
        if answer.error == 438 and answer.get(Code.NONCE):
            self.learn(answer)
            answer = self.exchange(self.signed(method, values))
        return answer

    # What clients do all the time

    def allocate(self, *values: Value, transport: Value = UDP) -> Message:
        """An Allocate that must succeed."""
        answer = self.request(Method.ALLOCATE, [transport, *values])
        expect(answer.is_success, f"Allocate got {shown(answer)}")
        self.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
        expect(self.relays, "an Allocate success without XOR-RELAYED-ADDRESS")
        return answer

    def refresh(self, *values: Value) -> Message:
        """A Refresh that must succeed."""
        answer = self.request(Method.REFRESH, values)
        expect(answer.is_success, f"Refresh got {shown(answer)}")
        return answer

    def permit(self, *peers: Endpoint) -> Message:
        """A CreatePermission that must succeed."""
        answer = self.request(Method.CREATE_PERMISSION, [peer(one) for one in peers])
        expect(answer.is_success, f"CreatePermission got {shown(answer)}")
        return answer

    def bind(self, channel: int, endpoint: Endpoint) -> Message:
        """A ChannelBind that must succeed."""
        answer = self.request(Method.CHANNEL_BIND, [number(channel), peer(endpoint)])
        expect(answer.is_success, f"ChannelBind got {shown(answer)}")
        return answer

    def send_data(self, endpoint: Endpoint, data: bytes, *more: Value) -> None:
        """A Send indication."""
        self.link.send(self.unsigned(Method.SEND, [peer(endpoint), *more, (Code.DATA, data)], Kind.INDICATION))

    def send_channel(self, channel: int, data: bytes) -> None:
        """ChannelData, padded on a stream."""
        pad = b"" if self.link.retransmits else bytes(-len(data) % 4)
        self.link.send(struct.pack("!HH", channel, len(data)) + data + pad)

    def arrival(self, timeout: float = PATIENCE) -> Arrival:
        """The next data of a peer; else the check fails."""
        found = self.arrives(timeout)
        if found is None:
            raise BrokenError("no data of the peer came to the client")
        return found

    def arrives(self, timeout: float = GRACE) -> Arrival | None:
        """The next data of a peer, or None."""
        end = time.monotonic() + timeout
        with suppress(TimeoutError, EOFError):
            while True:
                frame = self.inbox.popleft() if self.inbox else self.link.receive(end - time.monotonic())
                if (found := arrival(frame)) is not None:
                    return found
        return None

    def quiet(self) -> None:
        """Nothing came of what was sent before: a Binding's answer is the first, and nothing follows."""
        self.inbox.clear()
        answer = self.attempt(self.unsigned(Method.BINDING), PATIENCE)
        expect(answer is not None, "the server does not answer any more")
        with suppress(TimeoutError, EOFError):
            self.inbox.append(self.link.receive(GRACE))
        expect(not self.inbox, f"something came back: {self.inbox[0][:24].hex() if self.inbox else ''}")

    def close(self) -> None:
        """Give the allocation back, and close."""
        if self.relays and self.nonce:
            with suppress(BrokenError, OSError):
                self.attempt(self.signed(Method.REFRESH, [lifetime(0)]), 0.5)
        self.link.close()


def encoded(value: Value, transaction: bytes) -> tuple[int, bytes]:
    """An attribute as bytes; addresses are XOR'ed."""
    code, content = value
    return code, content if isinstance(content, bytes) else mask(content, transaction)


def readable(frame: bytes) -> Message:
    """A frame that must be a message."""
    try:
        return parse(frame)
    except MalformedError as error:
        raise BrokenError(f"the server sent what is no STUN message: {error}") from None


def arrival(frame: bytes) -> Arrival | None:
    """ChannelData or a Data indication; None for anything else."""
    if frame[0] & 0xC0:
        channel, length = struct.unpack_from("!HH", frame)
        return Arrival(channel, None, frame[4 : 4 + length])
    if frame[:2] != struct.pack("!H", message_type(Method.DATA, Kind.INDICATION)):
        return None
    message = readable(frame)
    return Arrival(None, message.address(Code.XOR_PEER_ADDRESS), message.get(Code.DATA), message)


def shown(answer: Message | None) -> str:
    """An answer in two words."""
    if answer is None:
        return "no answer"
    return f"error {answer.error}" if answer.kind == Kind.ERROR else "a success"


def expect_error(answer: Message | None, *codes: int) -> Message:
    """The answer is one of these errors."""
    wanted = " or ".join(str(code) for code in codes)
    expect(answer is not None and answer.error in codes, f"{shown(answer)} instead of {wanted}")
    assert answer is not None
    return answer
