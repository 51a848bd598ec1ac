"""The state of the server as plain data that can be written out and read back: nothing hides in tasks or sockets.

`sessions` and `reservations` are the truth, all else in `State` is an index. What has `expires <= now` has lapsed.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from hairpin.stun import Address, Message, Method, Reach, Request
from hairpin.turn.deadlines import Deadlines
from hairpin.turn.effects import (
    Attributes,
    Close,
    CloseRelay,
    Disconnect,
    Effect,
    Forbid,
    InstallKey,
    Notify,
    Reply,
    SessionView,
    Unbind,
)
from hairpin.turn.errors import AllocationMismatch, PeerAddressFamilyMismatch, TurnError, WrongCredentials
from hairpin.turn.grant import Grant, Identity, Limits, Reaches
from hairpin.turn.ports import Ports
from hairpin.turn.settings import Settings
from hairpin.turn.terms import USUAL, Terms

ALLOCATE, CONNECT = int(Method.ALLOCATE), int(Method.CONNECT)  # to name a member takes longer than to compare it

SECOND = 10**9
UNALLOCATED_LIFE = 60 * SECOND  # of a session that has not allocated yet
DEFAULT_LIFETIME = 600  # seconds (RFC 8656, section 3.2)
PERMISSION_LIFE = 300 * SECOND  # RFC 8656, section 9
CHANNEL_LIFE = 600 * SECOND  # RFC 8656, section 12
CONNECT_LIFE = 30 * SECOND  # of an attempt to reach a peer (RFC 6062, section 5.2)
UNBOUND_LIFE = 30 * SECOND  # of a connection without a data connection (RFC 6062, sections 5.2 and 5.3)
ANSWER_LIFE = 40 * SECOND  # how long a retransmission may come (RFC 8489, section 6.3.1)
ANSWERS = 8  # that a session keeps
NAMED_PORTS = 64  # of a permission, for those who look at it


@dataclass(slots=True)
class Permission:
    """A peer IP that may send and be sent to (RFC 8656, section 9), and the ports of it that the client named."""

    ip: str
    reaches: Reaches
    expires: int
    ports: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Channel:
    """A channel number bound to a peer (RFC 8656, section 12)."""

    number: int
    peer: Address
    expires: int


@dataclass(slots=True)
class Connection:
    """A TCP connection between a relay and a peer (RFC 6062, section 3).

    `request` is the Connect that waits for it; `expires` is None once a data connection is bound to it.
    """

    id: int  # CONNECTION-ID
    peer: Address
    expires: int | None
    request: Message | None = None


@dataclass(slots=True)
class Relay:
    """A relayed transport address: what it is bound to, what is announced, and until when."""

    bind: Address
    external: Address
    expires: int

    @property
    def version(self) -> int:
        """Its IP version, and that of the peers that it speaks with."""
        return self.external.version


@dataclass(slots=True)
class Allocation:
    """One relay, or one of each IP version (RFC 8656, section 7.2), and what they let through."""

    relays: tuple[Relay, ...]
    permissions: dict[str, Permission] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    numbers: dict[Address, int] = field(default_factory=dict)
    tcp: bool = False  # then it has connections and no channels (RFC 6062)
    connections: dict[Address, Connection] = field(default_factory=dict)

    @property
    def expires(self) -> int:
        """When the last of its relays ends."""
        return max(relay.expires for relay in self.relays)

    def require_family(self, peer: Address) -> None:
        """A relay speaks one address family: 443 for a peer of another (RFC 8656, sections 10.2 and 12.2)."""
        for relay in self.relays:
            if relay.version == peer.version:
                return
        raise PeerAddressFamilyMismatch(f"the allocation has no relay for IPv{peer.version}, as {peer.ip} is")

    def permit(self, peer: Address, reaches: Reaches, now: int) -> Permission:
        """Install or extend the permission of the peer's IP, and note the port that was named."""
        ip, expires = peer.ip, now + PERMISSION_LIFE
        permission = self.permissions.get(ip)
        if permission is None:
            permission = self.permissions[ip] = Permission(ip, reaches, expires)
        permission.reaches, permission.expires = reaches, expires
        if len(permission.ports) < NAMED_PORTS:
            permission.ports.add(peer.port)
        return permission


@dataclass(slots=True)
class Reservation:
    """A relayed transport address that is held, until it expires, for an Allocate of that user (RFC 8656, 7.2)."""

    user: str
    relay: Relay


@dataclass(slots=True)
class Transaction:
    """An answer that was given, kept so that a retransmission gets the same (RFC 8489, section 6.3.1)."""

    method: int
    at: int
    attributes: Attributes


@dataclass(slots=True)
class Pending:
    """An Allocate whose relays are being bound, one after another; not kept by a successor: the client sends it again.

    The last of `relays` is the one that is being bound, on the first of `tries` ports.
    """

    request: Message
    lifetime: int
    expires: int
    versions: list[int]  # whose turn comes after that
    connections: int = 0  # that a TCP relay may have; 0 for relays of UDP
    tries: int = 0
    relays: list[Relay] = field(default_factory=list)
    sibling: Relay | None = None  # bound together with the last of `relays`
    failures: list[tuple[int, int, str]] = field(default_factory=list)  # as ADDRESS-ERROR-CODE


@dataclass(slots=True)
class Coming:
    """A five-tuple that a client has shown its ticket from, and its next ticket (RFC 8016, section 3.2)."""

    flow: int
    client: Address
    interface: Address
    transport: int
    local: Address
    listener: int
    ticket: bytes


@dataclass(slots=True)
class Session(SessionView):
    """A client that proved its credentials, by five-tuple. Times are nanoseconds on CLOCK_MONOTONIC.

    `expires` is when the last of its relays ends, or 60 s after it began; `ends` is its end in any case.
    """

    local: Address
    listener: int
    identity: Identity
    expires: int
    ends: int | None = None
    terms: Terms = USUAL  # that a policy has let it begin on
    allocation: Allocation | None = None
    pending: Pending | None = None
    transactions: dict[bytes, Transaction] = field(default_factory=dict)  # by their id, the oldest first
    ticket: bytes | None = None  # by which its client may come from elsewhere (RFC 8016)
    coming: Coming | None = None  # where it will be as soon as the client sends data from there
    away: bool = False  # its connection is over: it will be there at once

    @property
    def internal(self) -> bool:
        """Whether it is one of the server's own, which nobody is told of."""
        return self.identity.internal

    def belongs_to(self, identity: Identity) -> bool:
        """Whether it is the session of this user. A token says that one may, not who one is: any of them will do."""
        mine = self.identity
        if mine is identity or mine == identity:  # mostly it is the same object
            return True
        return mine.until is not None and identity.until is not None

    def install_key(self, limits: Limits) -> InstallKey:
        """Have the packet path verify this user's requests, and hold the session to its rate."""
        identity = self.identity
        return InstallKey(self.flow, identity.username, identity.algorithm, identity.key, limits.rate)

    def rekey(self, identity: Identity, limits: Limits) -> InstallKey:
        """The user goes on with another key: of the other algorithm, or of a new token. Quotas count it as before."""
        self.identity = replace(identity, user=self.identity.user)
        return self.install_key(limits)

    def notify(self, kind: str, *data: tuple[str, object]) -> Notify:
        """Tell of something that happened to this session; before the answer, so that what a client knows was told."""
        return Notify(kind, self, data)

    def answer(self, request: Message, attributes: Attributes, now: int) -> Reply:
        """Answer a request of the session's own user, and remember how."""
        transactions = self.transactions
        transactions.pop(request.transaction_id, None)  # a copy that came too late is the last of them
        if len(transactions) >= ANSWERS:
            del transactions[next(iter(transactions))]
        transactions[request.transaction_id] = Transaction(request.method, now, attributes)
        return Reply(self.flow, request, attributes, self.identity.key)

    def refuse(self, request: Message, error: TurnError, now: int) -> list[Effect]:
        """Answer a request of the session's own user with an error, and tell why."""
        return [self.answer(request, error.attributes, now), error.told(self, request.method)]

    def forget_answers(self, now: int) -> None:
        """Keep no answer for longer than a copy of its request may come."""
        for old in [one for one, known in self.transactions.items() if known.at + ANSWER_LIFE <= now]:
            del self.transactions[old]

    def repeat(self, request: Message, now: int) -> list[Effect] | None:
        """The same answer for a retransmission, nothing while its first copy waits; None for a request that is new."""
        transaction, pending = request.transaction_id, self.pending
        if pending and request.method == ALLOCATE and transaction == pending.request.transaction_id:
            return []
        if request.method == CONNECT and self.is_connecting(transaction):
            return []
        known = self.transactions.get(transaction)
        if known is None or known.method != request.method or now >= known.at + ANSWER_LIFE:
            return None
        return [Reply(self.flow, request, known.attributes, self.identity.key)]

    def connections(self) -> list[Connection]:
        """Its connections, which may be taken away meanwhile."""
        return list(self.allocation.connections.values()) if self.allocation else []

    def is_connecting(self, transaction: bytes) -> bool:
        """Whether the Connect with this id waits for its peer."""
        requests = (connection.request for connection in self.connections())
        return any(request and request.transaction_id == transaction for request in requests)

    def lease(self, asked: int | None, limits: Limits, now: int) -> tuple[int, int]:
        """The LIFETIME granted for one asked for, in seconds, and when it is over (RFC 8656, sections 7.2 and 8.2)."""
        seconds = min(max(asked or 0, DEFAULT_LIFETIME), limits.lifetime_max)
        expires = now + seconds * SECOND
        for end in (self.ends, self.identity.until):
            if end is not None and end < expires:
                seconds, expires = max(1, (end - now) // SECOND), end
        return seconds, expires

    def deadline(self) -> int:
        """When the next thing of this session lapses."""
        deadlines = [self.expires] if self.ends is None else [self.expires, self.ends]
        if self.allocation:
            deadlines += [relay.expires for relay in self.allocation.relays]
            deadlines += [permission.expires for permission in self.allocation.permissions.values()]
            deadlines += [channel.expires for channel in self.allocation.channels.values()]
            deadlines += [one.expires for one in self.allocation.connections.values() if one.expires is not None]
        return min(deadlines)


class State:
    """All sessions, and by what else one finds them."""

    def __init__(self, settings: Settings, chance: Callable[[int], int]) -> None:
        """Start with no session and every port free."""
        self.settings = settings
        self.chance = chance
        self.draining = False
        self.sessions: dict[int, Session] = {}  # by flow
        self.internal: set[int] = set()  # the flows of the server's own sessions, which no limit counts
        self.users: dict[str, int] = {}  # sessions of each user
        self.relays: dict[Address, int] = {}  # the flow of each live relay, by its external address
        self.bound: dict[Address, dict[int, int]] = {}  # flow and number of each channel to an address of ours
        # Ordered: to find the first key of a dict whose first keys were deleted takes a walk.
        self.reservations: OrderedDict[bytes, Reservation] = OrderedDict()  # by token, the oldest first
        self.tickets: dict[bytes, int] = {}  # the flow of the session that each ticket is of
        self.arriving: dict[int, int] = {}  # and of the session that is expected on each of these flows
        self.connections: dict[int, tuple[int, Address]] = {}  # flow and peer, by CONNECTION-ID
        self.blocked: dict[str, int] = {}  # users who may not allocate until then
        self.deadlines = Deadlines()
        ips = [relay.external_ip for listener in settings.listeners for relay in listener.relays.values()]
        self.ports = {ip: Ports(*settings.ports, chance) for ip in ips}

    @property
    def clients(self) -> int:
        """How many sessions there are of clients."""
        return len(self.sessions) - len(self.internal)

    def at(self, flow: int) -> Session | None:
        """The session of a flow, or the one that is expected there (RFC 8016)."""
        session = self.sessions.get(flow)
        return session if session or not self.arriving else self.sessions.get(self.arriving.get(flow, flow))

    def allocated(self, flow: int, grant: Grant) -> tuple[Session, Allocation]:
        """The requester's session and allocation: 437 where there is none, 441 where it is another's (RFC 8656, 5)."""
        session = self.sessions.get(flow)
        if session is None or session.allocation is None:
            raise AllocationMismatch("there is no allocation on this five-tuple: it has ended, or was never made")
        if not session.belongs_to(grant.identity):
            raise WrongCredentials(f"the allocation is of another user, {session.username}")
        return session, session.allocation

    def is_blocked(self, identity: Identity, now: int) -> bool:
        """Whether a user may not allocate now, by the name that quotas count or by a whole user name."""
        blocked = self.blocked
        return bool(blocked) and max(blocked.get(identity.user, 0), blocked.get(identity.username, 0)) > now

    def begin(self, request: Request, grant: Grant, now: int) -> Session:
        """A new session for a client that has proved its credentials."""
        interface = self.settings.listeners[request.listener].interface
        session = Session(
            id=f"{self.chance(1 << 64):016x}",
            flow=request.flow,
            client=request.source,
            interface=interface,
            transport=request.transport,
            username=grant.identity.username,
            local=request.local,
            listener=request.listener,
            identity=grant.identity,
            began=now,
            expires=now + UNALLOCATED_LIFE,
            ends=now + grant.limits.session_max * SECOND if grant.limits.session_max else None,
            terms=grant.ruling.terms,
        )
        self.sessions[session.flow] = session
        if session.internal:
            self.internal.add(session.flow)
        self.users[session.identity.user] = self.users.get(session.identity.user, 0) + 1
        self.deadlines.watch(session.flow, session.deadline())
        return session

    def close(self, session: Session, reason: str, now: int) -> list[Effect]:
        """Take a session out: its port rests, channels of others to its relay are unbound, and all are told."""
        del self.sessions[session.flow]
        self.internal.discard(session.flow)
        self.deadlines.forget(session.flow)
        self.users[session.identity.user] -= 1
        if not self.users[session.identity.user]:
            del self.users[session.identity.user]
        effects = self.expect_no_more(session)
        if session.ticket:
            del self.tickets[session.ticket]
        if pending := session.pending:
            for relay in (*pending.relays, pending.sibling):
                self.release(relay, now)
        if allocation := session.allocation:
            for number in list(allocation.channels):
                self.unbind(session.flow, allocation, number)
            for connection in session.connections():
                self.disconnect(session.flow, allocation, connection.peer)
            for relay in allocation.relays:
                effects += self._retire(relay, now)
        return [*effects, session.notify("closed", ("reason", reason))]

    def expect_no_more(self, session: Session) -> list[Effect]:
        """The session is expected nowhere any more, and the ticket that it had there is void."""
        coming, session.coming = session.coming, None
        if coming is None:
            return []
        del self.arriving[coming.flow], self.tickets[coming.ticket]
        return [Close(coming.flow, disconnect=False)]

    def close_relay(self, session: Session, allocation: Allocation, relay: Relay, now: int) -> Iterable[Effect]:
        """Take one of two relays away, and with it the channels and permissions of its family."""
        flow, version = session.flow, relay.version
        for number in [number for number, each in allocation.channels.items() if each.peer.version == version]:
            yield self.unbind(flow, allocation, number)
        for ip in [ip for ip in allocation.permissions if Address(ip, 0).version == version]:
            yield forbid(flow, allocation, ip)
        for peer in [peer for peer in allocation.connections if peer.version == version]:
            yield self.disconnect(flow, allocation, peer)
        allocation.relays = tuple(other for other in allocation.relays if other is not relay)
        session.expires = allocation.expires
        yield CloseRelay(flow, version)
        yield from self._retire(relay, now)

    def _retire(self, relay: Relay, now: int) -> Iterable[Effect]:
        """Nobody keeps a channel to a relay that is gone: its next owner is somebody else."""
        del self.relays[relay.external]
        self.release(relay, now)
        for caller, number in list(self.bound.get(relay.external, {}).items()):
            bound = self.sessions[caller].allocation
            assert bound is not None  # or its channel would not stand in `bound`
            yield self.unbind(caller, bound, number)

    def release(self, relay: Relay | None, now: int) -> None:
        """Let the port of a relay rest, if there is one."""
        if relay is not None:
            self.ports[relay.external.ip].release(relay.external.port, now)

    def bind(self, flow: int, allocation: Allocation, channel: Channel, reach: Reach) -> None:
        """Bind a channel, and be able to find it by its peer where the peer is an address of ours."""
        allocation.channels[channel.number] = channel
        allocation.numbers[channel.peer] = channel.number
        if reach is not Reach.OUTSIDE:
            self.bound.setdefault(channel.peer, {})[flow] = channel.number

    def unbind(self, flow: int, allocation: Allocation, number: int) -> Unbind:
        """Take a channel away."""
        peer = allocation.channels.pop(number).peer
        del allocation.numbers[peer]
        callers = self.bound.get(peer, {})
        if callers.pop(flow, None) is not None and not callers:
            del self.bound[peer]
        return Unbind(flow, number)

    def connect(self, flow: int, allocation: Allocation, connection: Connection) -> None:
        """Add a connection, so that it is found by its CONNECTION-ID, and looked at in time."""
        allocation.connections[connection.peer] = connection
        self.connections[connection.id] = (flow, connection.peer)
        if connection.expires is not None:
            self.deadlines.watch(flow, connection.expires)

    def disconnect(self, flow: int, allocation: Allocation, peer: Address) -> Disconnect:
        """Take a connection away."""
        del self.connections[allocation.connections.pop(peer).id]
        return Disconnect(flow, peer)

    def connection_id(self) -> int:
        """A CONNECTION-ID by chance that no other connection has."""
        while (drawn := self.chance(1 << 32)) in self.connections:
            pass
        return drawn

    def lapse(self, session: Session, now: int) -> Iterable[Effect]:
        """Take away the channels, permissions and relays whose time is over (RFC 8656, sections 12, 9 and 5)."""
        allocation = session.allocation
        if allocation is None:
            return
        session.forget_answers(now)
        for number in [number for number, channel in allocation.channels.items() if channel.expires <= now]:
            yield self.unbind(session.flow, allocation, number)
        for ip in [ip for ip, permission in allocation.permissions.items() if permission.expires <= now]:
            yield forbid(session.flow, allocation, ip)
        for relay in [relay for relay in allocation.relays if relay.expires <= now]:
            yield from self.close_relay(session, allocation, relay, now)


def forbid(flow: int, allocation: Allocation, ip: str) -> Forbid:
    """Take a permission away."""
    del allocation.permissions[ip]
    return Forbid(flow, ip)
