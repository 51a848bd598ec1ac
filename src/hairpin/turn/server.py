"""The rules of TURN (RFC 8656) without I/O: requests and events in, effects out; the clock and chance are arguments.

A session begins with an Allocate whose credentials were proved, also with one that then fails (only there expiry and
hooks are asked, so nothing else may begin one), and lives 60 s without an allocation. Any other request that finds no
allocation is answered 437 and leaves nothing behind; so is the copy of a Refresh that has ended its session.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hairpin.stun import Address, Attribute, Message, Method, Request, Transport
from hairpin.turn.allocate import admit, allocate, next_relay, refused
from hairpin.turn.channel import bind_channel
from hairpin.turn.connect import connect
from hairpin.turn.connection import CHANGES, bind_connection, find, forbid, lapse
from hairpin.turn.effects import Attributes, Close, Effect, Refused, Reply
from hairpin.turn.errors import BadRequest, TurnError, UnknownAttribute
from hairpin.turn.grant import Grant, Identity
from hairpin.turn.mobility import arrive, leave, resumes, ticketed
from hairpin.turn.permission import create_permission, permit
from hairpin.turn.refresh import refresh
from hairpin.turn.reservation import lapse_reservations, next_reservation
from hairpin.turn.settings import Settings
from hairpin.turn.state import Session, State

ALLOCATE, UDP = int(Method.ALLOCATE), int(Transport.UDP)
HANDLERS: dict[int, Callable[[State, Request, Grant, int], list[Effect]]] = {
    Method.ALLOCATE: allocate,
    Method.REFRESH: refresh,
    Method.CREATE_PERMISSION: create_permission,
    Method.CHANNEL_BIND: bind_channel,
    Method.CONNECT: connect,
    Method.CONNECTION_BIND: bind_connection,
}

# The most codes in a 420: clients look for one or two, and 16,000 of them would be kept for retransmissions.
UNKNOWN_CODES = 64
NAMED_CODES = 4  # of them, and of malformed ones, in a sentence


class Server:
    """Every session of one server, and what may be done to it."""

    def __init__(self, settings: Settings, chance: Callable[[int], int]) -> None:
        """Serve `settings`; `chance(n)` is one of 0..n-1, and nobody can guess which."""
        self.state = State(settings, chance)
        self.sessions = self.state.sessions  # by flow

    @property
    def draining(self) -> bool:
        """Whether Allocates are sent elsewhere."""
        return self.state.draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self.state.draining = draining

    def ports_allocated(self, version: int) -> int:
        """How many relay ports of this IP version are taken."""
        return sum(self.state.ports[ip].taken for ip in self._relay_ips(version))

    def ports_capacity(self, version: int) -> int:
        """How many relay ports of this IP version there are."""
        return sum(self.state.ports[ip].capacity for ip in self._relay_ips(version))

    def _relay_ips(self, version: int) -> set[str]:
        listeners = self.state.settings.listeners
        return {listener.relays[version].external_ip for listener in listeners if version in listener.relays}

    def is_relay(self, bound: Address) -> bool:
        """Whether a live relay is bound there."""
        relays = (relay for listener in self.state.settings.listeners for relay in listener.relays.values())
        external = (Address(relay.external_ip, bound.port) for relay in relays if relay.bind_ip == bound.ip)
        return any(address in self.state.relays for address in external)

    def handle(self, request: Request, grant: Grant, now: int) -> list[Effect]:
        """Answer a request that the grant's user was proved to have sent (a verified one: the session's identity)."""
        if request.message.method not in HANDLERS:
            return []  # an unknown method is not answered (RFC 8489, section 6.3)
        if not (self.state.deadlines.passed(now) or self.state.reservations):
            return self._judge(request, grant, now)
        known = self.state.at(request.flow)
        effects = self.expire(now)  # so that no rule below ever meets what has lapsed
        if known and not self.state.at(request.flow) and (known.flow == request.flow or request.transport == UDP):
            return effects  # this flow is closed: the client's next copy comes on a new one
        return effects + self._judge(request, grant, now)

    def _judge(self, request: Request, grant: Grant, now: int) -> list[Effect]:
        message, flow = request.message, request.flow
        session = self.state.at(flow) or ticketed(self.state, message)
        if session is None or session.flow == flow:
            return self._judge_at(request, session, grant, now)
        if flow in self.state.arriving and not resumes(self.state, message):
            request = at_home(request, session.flow)
        effects = self._judge_at(request, session, grant, now)
        # What is answered, is answered where it was asked from.
        return [replace(effect, flow=flow) if isinstance(effect, Reply) else effect for effect in effects]

    def _judge_at(self, request: Request, session: Session | None, grant: Grant, now: int) -> list[Effect]:
        """Judge a request of this session, wherever it comes from, or of a client that has none."""
        message, method = request.message, request.message.method
        effects: list[Effect] = []
        if session and session.belongs_to(grant.identity):
            if session.identity.key != grant.identity.key:
                effects.append(session.rekey(grant.identity, grant.limits))
            again = session.repeat(message, now)
            if again is not None:
                return effects + again
        try:
            if method == ALLOCATE:
                effects += admit(self.state, request, grant, now)  # 300, 403, 437, 486, 508
            understand(message, grant)  # 400, 420
            effects += HANDLERS[method](self.state, request, grant, now)
        except TurnError as error:
            effects += self._refuse(request, grant, error, now)
        return effects

    def _refuse(self, request: Request, grant: Grant, error: TurnError, now: int) -> list[Effect]:
        """An error, signed for the one who asked; a session remembers only what its own user was told."""
        message, session = request.message, self.state.at(request.flow)
        if session and session.belongs_to(grant.identity):
            return session.refuse(message, error, now)
        reply = Reply(request.flow, message, error.attributes, grant.identity.key)
        where = (request.source, self.state.settings.listeners[request.listener].interface, request.transport)
        return [reply, Refused(*where, grant.identity.username, message.method, error.code, error.refusal)]

    def relay_opened(self, flow: int, now: int) -> list[Effect]:
        """The relay that the flow's Allocate waits for is bound."""
        session = self.sessions.get(flow)
        return next_relay(self.state, session, session.pending, now) if session and session.pending else []

    def relay_refused(self, flow: int, now: int, *, exhausted: bool) -> list[Effect]:
        """The relay could not be bound; `exhausted` where another port would fare no better (no descriptors left)."""
        session = self.sessions.get(flow)
        return refused(self.state, session, session.pending, exhausted, now) if session and session.pending else []

    def changed(self, flow: int, peer: Address, change: str, now: int) -> list[Effect]:
        """A connection of the flow's TCP allocation arrived, is connected, failed or closed (RFC 6062)."""
        session = self.sessions.get(flow)
        allocation = session.allocation if session else None
        return CHANGES[change](self.state, session, allocation, peer, now) if session and allocation else []

    def closed(self, flow: int, reason: str, now: int) -> list[Effect]:
        """The client's connection went away, and the flow with it (RFC 8656, section 5)."""
        session = self.state.at(flow)
        if session and session.flow != flow:
            return self.state.expect_no_more(session)  # it stays where it is
        return self.state.close(session, reason, now) if session else []

    def moving(self, flow: int, *, away: bool = False) -> list[Effect]:
        """Data came on a flow where a session is expected, or a mobile client's connection is over (RFC 8016, 3.2)."""
        return leave(self.state, flow) if away else arrive(self.state, flow)

    def ticketed(self, request: Request) -> Session | None:
        """The session whose ticket a request from elsewhere shows (RFC 8016, section 3.2)."""
        return ticketed(self.state, request.message)

    def end(self, flow: int, reason: str, now: int) -> list[Effect]:
        """End a session from our side."""
        session = self.sessions.get(flow)
        return [Close(flow, disconnect=True), *self.state.close(session, reason, now)] if session else []

    def regrant(self, session: Session, grant: Grant, now: int) -> list[Effect]:
        """Hold a session to limits and peers that have changed: its rate, and what it may reach."""
        effects: list[Effect] = [session.install_key(grant.limits)]
        permissions = session.allocation.permissions if session.allocation else {}
        for permission in permissions.values():
            reaches = grant.reaches(permission.ip)
            if reaches != permission.reaches:
                permission.reaches = reaches
                effects.append(permit(session.flow, permission))
        return [*effects, *forbid(self.state, session, grant.reaches, now)]

    def binds(self, request: Request) -> Session | None:
        """Whose connection a ConnectionBind names: its credentials are the control connection's (RFC 6062, 4.3)."""
        return find(self.state, request.message.connection_id)[0]

    def known(self, request: Request) -> Session | None:
        """The session that a request is for: of its flow, of the ticket that it shows or the connection it names."""
        session = self.state.at(request.flow) or self.ticketed(request)
        return session or (self.binds(request) if request.message.method == Method.CONNECTION_BIND else None)

    def turns_away(self, identity: Identity, now: int) -> bool:
        """Whether no Allocate of this user is served now, whatever else is said of it."""
        return self.draining or self.state.is_blocked(identity, now)

    def block(self, user: str, until: int, now: int) -> None:
        """Refuse the Allocates of a user (the name that quotas count, or a whole user name) until then."""
        blocked = self.state.blocked
        for lapsed in [name for name, end in blocked.items() if end <= now]:
            del blocked[lapsed]
        blocked[user] = until

    def expire(self, now: int) -> list[Effect]:
        """End what has come to its end: sessions, and the relays, permissions, channels and connections of others."""
        effects: list[Effect] = [*lapse_reservations(self.state, now)]
        for flow in self.state.deadlines.due(now):
            session = self.sessions[flow]
            if session.ends is not None and session.ends <= now:
                effects += self.end(flow, "session_max", now)
            elif session.expires <= now:
                effects += self.end(flow, "expired", now)
            else:
                effects += lapse(self.state, session, now)
                effects += self.state.lapse(session, now)
                self.state.deadlines.watch(flow, session.deadline())
        return effects

    def next_deadline(self) -> int | None:
        """When `expire` has to be called at the latest."""
        session, reservation = self.state.deadlines.next(), next_reservation(self.state)
        return session if reservation is None else min(reservation, session or reservation)


def at_home(request: Request, flow: int) -> Request:
    """A request as if it had come on this flow."""
    where = (request.source, request.local, request.listener, request.transport)
    return Request(flow, request.message, *where, request.verified)


def understand(message: Message, grant: Grant) -> None:
    """Refuse what we do not know or cannot read, before any rule looks at it (RFC 8489, section 6.3.1)."""
    unknown = message.unknown
    if grant.identity.until is None and message.access_token is not None:
        unknown += (int(Attribute.ACCESS_TOKEN),)  # no token was looked at: they are not taken here (RFC 7635)
    if unknown:
        more: Attributes = ((Attribute.UNKNOWN_ATTRIBUTES, unknown[:UNKNOWN_CODES]),)
        raise UnknownAttribute(f"attributes are not understood that must be: {named(unknown)}", more=more)  # 420
    if message.malformed:
        raise BadRequest(f"attributes have no value that can be read: {named(message.malformed)}")  # 400


def named(codes: Sequence[int]) -> str:
    """The first few attributes, for a sentence."""
    return ", ".join(f"{code:#06x}" for code in codes[:NAMED_CODES])
