"""The state of the server as plain data that can be written out and read back: nothing hides in tasks or sockets.

`Server.sessions` is the truth; everything else in `State` is an index of it. Whatever has `expires <= now` has lapsed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hairpin.stun import Address, Message, Method, Reach, Request
from hairpin.turn.deadlines import Deadlines
from hairpin.turn.effects import Attributes, Effect, Forbid, Notify, Reply, SessionView, Unbind
from hairpin.turn.errors import AllocationMismatch, PeerAddressFamilyMismatch, WrongCredentials
from hairpin.turn.grant import Grant, Identity, Limits, Reaches
from hairpin.turn.ports import Ports
from hairpin.turn.settings import Settings

SECOND = 10**9
UNALLOCATED_LIFE = 60 * SECOND  # of a session that has not allocated yet
DEFAULT_LIFETIME = 600  # seconds (RFC 8656, section 3.2)
PERMISSION_LIFE = 300 * SECOND  # RFC 8656, section 9
CHANNEL_LIFE = 600 * SECOND  # RFC 8656, section 12
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
class Allocation:
    """A relay (RFC 8656, section 3.2): the address it is bound to, the one announced, and what it lets through."""

    bind: Address
    external: Address
    expires: int
    permissions: dict[str, Permission] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    numbers: dict[Address, int] = field(default_factory=dict)

    def require_family(self, peer: Address) -> None:
        """A relay speaks one address family: 443 for a peer of the other (RFC 8656, sections 10.2 and 12.2)."""
        if peer.version != self.external.version:
            raise PeerAddressFamilyMismatch

    def permit(self, peer: Address, reaches: Reaches, now: int) -> Permission:
        """Install or extend the permission of the peer's IP, and note the port that was named."""
        ip, expires = peer.ip, now + PERMISSION_LIFE
        permission = self.permissions.setdefault(ip, Permission(ip, reaches, expires))
        permission.reaches, permission.expires = reaches, expires
        if len(permission.ports) < NAMED_PORTS:
            permission.ports.add(peer.port)
        return permission


@dataclass(slots=True)
class Transaction:
    """An answer that was given, kept so that a retransmission gets the same (RFC 8489, section 6.3.1)."""

    method: int
    at: int
    attributes: Attributes


@dataclass(slots=True)
class Pending:
    """An Allocate whose relay is being bound; not kept by a successor: the client sends it again."""

    request: Message
    lifetime: int
    tries: int
    allocation: Allocation


@dataclass(slots=True)
class Session(SessionView):
    """A client that proved its credentials, by five-tuple. Times are nanoseconds on CLOCK_MONOTONIC.

    `expires` is its allocation's, or 60 s after it began; `ends` is when it ends whatever the client asks for.
    """

    local: Address
    listener: int
    identity: Identity
    began: int
    expires: int
    ends: int | None = None
    allocation: Allocation | None = None
    pending: Pending | None = None
    transactions: dict[bytes, Transaction] = field(default_factory=dict)  # by their id, the oldest first

    def belongs_to(self, identity: Identity) -> bool:
        """Whether it is the session of this user."""
        return self.identity is identity or self.identity == identity  # mostly it is the same object

    def notify(self, kind: str, *data: tuple[str, object]) -> Notify:
        """Tell of something that happened to this session."""
        return Notify(kind, self, data)

    def answer(self, request: Message, attributes: Attributes, now: int) -> Reply:
        """Answer a request of the session's own user, and remember how."""
        transactions = self.transactions
        if len(transactions) >= ANSWERS:
            del transactions[next(iter(transactions))]
        transactions[request.transaction_id] = Transaction(request.method, now, attributes)
        return Reply(self.flow, request, attributes, self.identity.key)

    def forget_answers(self, now: int) -> None:
        """Keep no answer for longer than a copy of its request may come."""
        for old in [one for one, known in self.transactions.items() if known.at + ANSWER_LIFE <= now]:
            del self.transactions[old]

    def repeat(self, request: Message, now: int) -> list[Effect] | None:
        """The same answer for a retransmission, nothing while its first copy waits; None for a request that is new."""
        transaction, pending = request.transaction_id, self.pending
        if pending and request.method == Method.ALLOCATE and transaction == pending.request.transaction_id:
            return []
        known = self.transactions.get(transaction)
        if known is None or known.method != request.method or now >= known.at + ANSWER_LIFE:
            return None
        return [Reply(self.flow, request, known.attributes, self.identity.key)]

    def lease(self, asked: int | None, limits: Limits, now: int) -> tuple[int, int]:
        """The LIFETIME granted for one asked for, in seconds, and when it is over (RFC 8656, sections 7.2 and 8.2)."""
        seconds = min(max(asked or 0, DEFAULT_LIFETIME), limits.lifetime_max)
        expires = now + seconds * SECOND
        if self.ends is None or expires <= self.ends:
            return seconds, expires
        return max(1, (self.ends - now) // SECOND), self.ends

    def deadline(self) -> int:
        """When the next thing of this session lapses."""
        deadlines = [self.expires] if self.ends is None else [self.expires, self.ends]
        if self.allocation:
            deadlines += [permission.expires for permission in self.allocation.permissions.values()]
            deadlines += [channel.expires for channel in self.allocation.channels.values()]
        return min(deadlines)


class State:
    """All sessions, and by what else one finds them."""

    def __init__(self, settings: Settings, chance: Callable[[int], int]) -> None:
        """Start with no session and every port free."""
        self.settings = settings
        self.chance = chance
        self.draining = False
        self.sessions: dict[int, Session] = {}  # by flow
        self.users: dict[str, int] = {}  # sessions of each user
        self.relays: dict[Address, int] = {}  # the flow of each live relay, by its external address
        self.bound: dict[Address, dict[int, int]] = {}  # flow and number of each channel to an address of ours
        self.blocked: dict[str, int] = {}  # users who may not allocate until then
        self.deadlines = Deadlines()
        ips = [relay.external_ip for listener in settings.listeners for relay in listener.relays.values()]
        self.ports = {ip: Ports(*settings.ports, chance) for ip in ips}

    def allocated(self, flow: int, grant: Grant) -> tuple[Session, Allocation]:
        """The requester's session and allocation: 437 where there is none, 441 where it is another's (RFC 8656, 5)."""
        session = self.sessions.get(flow)
        if session is None or session.allocation is None:
            raise AllocationMismatch
        if not session.belongs_to(grant.identity):
            raise WrongCredentials
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
        )
        self.sessions[session.flow] = session
        self.users[session.identity.user] = self.users.get(session.identity.user, 0) + 1
        self.deadlines.watch(session.flow, session.deadline())
        return session

    def close(self, session: Session, reason: str, now: int) -> list[Effect]:
        """Take a session out: its port rests, channels of others to its relay are unbound, and all are told."""
        del self.sessions[session.flow]
        self.deadlines.forget(session.flow)
        self.users[session.identity.user] -= 1
        if not self.users[session.identity.user]:
            del self.users[session.identity.user]
        effects: list[Effect] = []
        if session.pending:
            self.release(session.pending.allocation, now)
        if session.allocation:
            effects = self._close_relay(session.flow, session.allocation, now)
        return [*effects, session.notify("closed", ("reason", reason))]

    def _close_relay(self, flow: int, allocation: Allocation, now: int) -> list[Effect]:
        """Nobody keeps a channel to a relay that is gone: its next owner is somebody else."""
        for number in list(allocation.channels):
            self.unbind(flow, allocation, number)
        del self.relays[allocation.external]
        self.release(allocation, now)
        effects: list[Effect] = []
        for caller, number in list(self.bound.get(allocation.external, {}).items()):
            bound = self.sessions[caller].allocation
            assert bound is not None  # or its channel would not stand in `bound`
            effects.append(self.unbind(caller, bound, number))
        return effects

    def release(self, allocation: Allocation, now: int) -> None:
        """Let the port of a relay rest."""
        self.ports[allocation.external.ip].release(allocation.external.port, now)

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

    def lapse(self, session: Session, now: int) -> Iterable[Effect]:
        """Take away the permissions and channels whose time is over (RFC 8656, sections 9 and 12)."""
        allocation = session.allocation
        if allocation is None:
            return
        session.forget_answers(now)
        for number in [number for number, channel in allocation.channels.items() if channel.expires <= now]:
            yield self.unbind(session.flow, allocation, number)
        for ip in [ip for ip, permission in allocation.permissions.items() if permission.expires <= now]:
            del allocation.permissions[ip]
            yield Forbid(session.flow, ip)
