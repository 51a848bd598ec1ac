"""One client of a TURN server, without I/O: bytes in, bytes out, and the time in nanoseconds as an argument."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hairpin.auth import long_term_key
from hairpin.stun import Address, Attribute, DecodeError, Kind, Message, Method
from hairpin.turnclient.failure import Cause, Failure, plain
from hairpin.turnclient.target import Credentials

SECOND = 1_000_000_000
FIRST_WAIT = SECOND // 2  # RFC 8489, section 6.2.1: RTO
MOST_SENDINGS = 4  # Rc there is 7, but a person waits for this client
PATIENCE = FIRST_WAIT * (2**MOST_SENDINGS - 1)  # the same over TCP, where nothing is sent again (section 6.2.2)
MOST_NONCES = 3
UDP_RELAY = 17
FAMILY = {4: 1, 6: 2}
CHANNEL = 0x4000
LIFETIME = 600  # RFC 8656, section 3.2, for a server that does not say
REBIND = 240 * SECOND  # the permission of a channel lasts 300 s (RFC 8656, section 9)
NAMES = {
    Method.BINDING: "Binding",
    Method.ALLOCATE: "Allocate",
    Method.REFRESH: "Refresh",
    Method.CREATE_PERMISSION: "CreatePermission",
    Method.CHANNEL_BIND: "ChannelBind",
}

Attributes = tuple[tuple[int, int | str | Address], ...]
Chance = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class _Request:
    method: Method
    attributes: Attributes


@dataclass(slots=True)
class _Transaction:
    """A request that waits for its answer."""

    request: _Request
    message: Message
    signed: bool
    due: int
    sendings: int = 1
    nonces: int = 0
    unproved: bool = False


class Client:
    """One five-tuple: its allocation, permission and channel, kept alive until they are released."""

    def __init__(self, credentials: Credentials | None, *, reliable: bool, chance: Chance) -> None:
        """Over a `reliable` transport nothing is sent again; `chance` gives that many random bytes.

        Without credentials it is a stranger, for whom a 401 is a failure like any other.
        """
        self.outgoing: deque[bytes] = deque()
        self.relay: Address | None = None
        self.failure: Failure | None = None
        self.answer: Message | None = None  # the last one that counted
        self.software = ""
        self.repeated = 0
        self._credentials, self._reliable, self._chance = credentials, reliable, chance
        self._realm = self._nonce = ""
        self._key: bytes | None = None
        self._waiting: deque[_Request] = deque()
        self._open: _Transaction | None = None
        self._kept: list[tuple[int, _Request]] = []  # what is to be asked again, and when

    @property
    def idle(self) -> bool:
        """Whether all that was asked is answered."""
        return self._open is None

    @property
    def may_hold(self) -> bool:
        """Whether the server has an allocation for us, or is asked for one with credentials."""
        return self.relay is not None or (self._open is not None and self._open.signed)

    @property
    def deadline(self) -> int | None:
        """When `tick` has something to do."""
        if self._open:
            return self._open.due
        return min((due for due, _ in self._kept), default=None)

    def binding(self, now: int) -> None:
        """Ask by which address the server sees us (RFC 8489, section 2)."""
        self._ask(_Request(Method.BINDING, ()), now)

    def allocate(self, version: int, now: int) -> None:
        """Ask for a relay of this IP version (RFC 8656, section 7.1)."""
        family: Attributes = ((Attribute.REQUESTED_ADDRESS_FAMILY, FAMILY[version]),) if version == 6 else ()
        self._ask(_Request(Method.ALLOCATE, ((Attribute.REQUESTED_TRANSPORT, UDP_RELAY), *family)), now)

    def reach(self, peer: Address, now: int) -> None:
        """Ask for a permission, and then for the channel to a peer (RFC 8656, sections 10.1 and 12.1)."""
        self._ask(_Request(Method.CREATE_PERMISSION, ((Attribute.XOR_PEER_ADDRESS, peer),)), now)
        self._ask(_channel_bind(peer), now)

    def release(self, now: int) -> None:
        """Give the allocation back (RFC 8656, section 8.1)."""
        self._kept.clear()
        self._waiting.clear()
        self._ask(_refresh(0), now)

    def receive(self, data: bytes, now: int) -> None:
        """Take what the server sent; what answers no open request is let go."""
        try:
            message = Message.decode(data)
        except DecodeError:
            return
        transaction = self._open
        if transaction is None or message.transaction_id != transaction.message.transaction_id:
            return
        if message.method != transaction.message.method or message.kind not in (Kind.SUCCESS, Kind.ERROR):
            return
        self._note_software(message)
        if message.kind == Kind.SUCCESS and transaction.signed and self._key and not message.verify(self._key):
            transaction.unproved = True  # as if never received (RFC 8489, section 9.2.5)
            return
        self.answer = message
        if message.kind == Kind.ERROR:
            self._refused(transaction, message, now)
        else:
            self._granted(transaction, message, now)

    def tick(self, now: int) -> None:
        """Send again, give up, or ask for more time, where that is due."""
        if self._open:
            if now >= self._open.due:
                self._overdue(self._open, now)
            return
        due = [entry for entry in self._kept if entry[0] <= now]
        self._kept = [entry for entry in self._kept if entry[0] > now]
        for _, request in due:
            self._ask(request, now)

    def fail(self, cause: Cause, code: int = 0, reason: str = "") -> None:
        """Ask for nothing more, but to be released where the server still answers. The first failure counts."""
        step = NAMES[self._open.request.method] if self._open else "Traffic"
        self.failure = self.failure or Failure(step, cause, code, plain(reason))
        self._open = None
        self._waiting.clear()
        self._kept.clear()
        self.outgoing.clear()

    def _ask(self, request: _Request, now: int) -> None:
        if self.failure and self.failure.cause is not Cause.ANSWER:
            return
        if self._open:
            self._waiting.append(request)
        else:
            self._open = self._begin(request, now)

    def _begin(self, request: _Request, now: int) -> _Transaction:
        attributes = request.attributes
        if self._credentials and self._key:
            attributes += (
                (Attribute.USERNAME, self._credentials.username),
                (Attribute.REALM, self._realm),
                (Attribute.NONCE, self._nonce),
            )
        message = Message.build(request.method, Kind.REQUEST, self._chance(12), attributes, self._key)
        self.outgoing.append(bytes(message))
        return _Transaction(request, message, bool(self._key), now + (PATIENCE if self._reliable else FIRST_WAIT))

    def _overdue(self, transaction: _Transaction, now: int) -> None:
        if self._reliable or transaction.sendings == MOST_SENDINGS:
            return self.fail(Cause.UNPROVED if transaction.unproved else Cause.SILENCE)
        transaction.due = now + (FIRST_WAIT << transaction.sendings)
        transaction.sendings += 1
        self.repeated += 1
        self.outgoing.append(bytes(transaction.message))
        return None

    def _refused(self, transaction: _Transaction, message: Message, now: int) -> None:
        code, reason = message.error_code or (0, "an error without a code")
        fresh = (code == 401 and not transaction.signed) or (code == 438 and transaction.nonces < MOST_NONCES)
        if fresh and self._credentials and message.nonce and (message.realm or self._realm):
            self._learn(message, self._credentials)
            self._open = self._begin(transaction.request, now)
            self._open.nonces = transaction.nonces + (code == 438)
            return
        self.fail(Cause.ANSWER, code, _elsewhere(message) or reason)

    def _learn(self, message: Message, credentials: Credentials) -> None:
        """Realm and nonce make the key (RFC 8489, section 9.2.5)."""
        self._realm, self._nonce = message.realm or self._realm, message.nonce or ""
        self._key = long_term_key(credentials.username, self._realm, credentials.password)

    def _granted(self, transaction: _Transaction, message: Message, now: int) -> None:
        request = transaction.request
        if request.method == Method.ALLOCATE:
            self.relay = message.xor_relayed_address
            if self.relay is None:
                return self.fail(Cause.ANSWER, reason="a success without a relayed address")
        if request.method == Method.CHANNEL_BIND:
            self._kept.append((now + REBIND, request))
        elif request.method in (Method.ALLOCATE, Method.REFRESH):
            self._keep_allocation(request, message, now)
        self._open = self._begin(self._waiting.popleft(), now) if self._waiting else None
        return None

    def _keep_allocation(self, request: _Request, message: Message, now: int) -> None:
        lifetime = LIFETIME if message.lifetime is None else message.lifetime
        if request == _refresh(0) or lifetime == 0:
            self.relay = None
        else:
            self._kept.append((now + max(lifetime - 60, lifetime // 2, 1) * SECOND, _refresh(LIFETIME)))

    def _note_software(self, message: Message) -> None:
        named = (value for code, value in message.attributes() if code == Attribute.SOFTWARE and isinstance(value, str))
        self.software = self.software or plain(next(named, ""))


def _channel_bind(peer: Address) -> _Request:
    return _Request(Method.CHANNEL_BIND, ((Attribute.CHANNEL_NUMBER, CHANNEL), (Attribute.XOR_PEER_ADDRESS, peer)))


def _refresh(lifetime: int) -> _Request:
    return _Request(Method.REFRESH, ((Attribute.LIFETIME, lifetime),))


def _elsewhere(message: Message) -> str:
    """The other server that a 300 names (RFC 8489, section 14.15)."""
    found = (value for code, value in message.attributes() if code == Attribute.ALTERNATE_SERVER)
    return str(next(found, None) or "")
