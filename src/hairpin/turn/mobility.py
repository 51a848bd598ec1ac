"""Mobility (RFC 8016): a client whose address has changed keeps its allocation, by a ticket that it alone was told.

Allocate ---> ticket ---Refresh from elsewhere---> expected there, a ticket more ---the first data---> arrived
                ^                                                                                        |
                +--------------------------------- the other ticket is void -----------------------------+

Until its client sends data from the new five-tuple a session stays where it is, and is also reached by the old ticket:
an answer may have been lost, or the client have moved on.
"""

from hairpin.stun import Attribute, Message, Method, Request
from hairpin.turn.effects import Attributes, Effect, Expect, InstallKey, Keep, Move
from hairpin.turn.errors import AllocationMismatch, BadRequest, MobilityForbidden, WrongCredentials
from hairpin.turn.grant import Grant
from hairpin.turn.refusal import Reason
from hairpin.turn.state import Allocation, Coming, Session, State


def require_mobility(state: State, message: Message, grant: Grant) -> None:
    """An Allocate asks for a ticket by an empty one (RFC 8016, 3.1): 400 for another, 405 where none is given."""
    if not is_asked(state, message):
        return
    if message.mobility_ticket:
        raise BadRequest("an Allocate asks for a ticket by an empty MOBILITY-TICKET")  # 400
    if not grant.mobility:
        raise stays(grant)  # 405


def is_asked(state: State, message: Message) -> bool:
    """Whether there is a MOBILITY-TICKET, which a server without mobility does not look at."""
    return state.settings.mobility and message.mobility_ticket is not None


def resumes(state: State, message: Message) -> bool:
    """Whether a Refresh is to find its session by a ticket."""
    return is_asked(state, message) and message.method == Method.REFRESH


def make_mobile(state: State, session: Session) -> tuple[list[Effect], Attributes]:
    """Give a session its first ticket: to be done, and to be answered."""
    session.ticket = draw(state, session)
    return [Keep(session.flow)], ((Attribute.MOBILITY_TICKET, session.ticket),)


def draw(state: State, session: Session) -> bytes:
    """A ticket of the session: 128 bits of chance, which say nothing and which nobody guesses."""
    ticket = f"{state.chance(1 << 64):016x}{state.chance(1 << 64):016x}".encode()
    state.tickets[ticket] = session.flow
    return ticket


def ticketed(state: State, message: Message) -> Session | None:
    """The session that a Refresh names by its ticket."""
    if not state.tickets or message.method != Method.REFRESH:
        return None
    flow = state.tickets.get(message.mobility_ticket or b"")
    return None if flow is None else state.sessions[flow]


def resumed(state: State, request: Request, grant: Grant) -> tuple[Session, Allocation]:
    """The session and the allocation that a Refresh with a ticket is for (RFC 8016, section 3.2.2)."""
    session = ticketed(state, request.message)
    if session is None or session.allocation is None:
        raise AllocationMismatch("no allocation has this MOBILITY-TICKET: it has ended, or the ticket is void")  # 437
    if session.flow == request.flow:
        raise BadRequest("the allocation of this MOBILITY-TICKET is here already")  # 400
    if state.at(request.flow) not in (None, session):
        raise AllocationMismatch("another allocation is on this five-tuple", Reason.ALREADY_ALLOCATED)  # 437
    if not session.belongs_to(grant.identity):
        raise WrongCredentials(f"the allocation is of another user, {session.username}")  # 441
    if not grant.mobility:
        raise stays(grant)  # 405
    return session, session.allocation


def stays(grant: Grant) -> MobilityForbidden:
    """405: the settings let the allocations of others move."""
    return MobilityForbidden(f"turn.mobility_users does not name {grant.identity.user}")


def expect(state: State, session: Session, request: Request, grant: Grant) -> tuple[list[Effect], Attributes]:
    """Expect a session where its client says it is now, and nowhere else: to be done, and to be answered."""
    flow, identity = request.flow, grant.identity
    effects: list[Effect] = []
    if session.coming is None or session.coming.flow != flow:
        effects = [
            *state.expect_no_more(session),
            InstallKey(flow, identity.username, identity.algorithm, identity.key, grant.limits.rate),
            Expect(flow),
        ]
        interface = state.settings.listeners[request.listener].interface
        place = (flow, request.source, interface, request.transport, request.local, request.listener)
        session.coming = Coming(*place, draw(state, session))
        state.arriving[flow] = session.flow
    assert session.coming is not None
    return effects, ((Attribute.MOBILITY_TICKET, session.coming.ticket),)


def leave(state: State, flow: int) -> list[Effect]:
    """A client's old connection is over: its session is where it was expected, or waits for its ticket."""
    session = state.sessions.get(flow)
    if session is None:
        return []
    session.away = session.coming is None
    return arrive(state, flow)


def arrive(state: State, flow: int) -> list[Effect]:
    """Data has come from where a session is expected, or its old connection is over: there it is from now on."""
    session = state.at(flow)
    if session is None or session.coming is None or session.allocation is None:
        return []
    old, coming, session.coming, session.away = session.flow, session.coming, None, False
    del state.arriving[coming.flow], state.sessions[old]
    if session.ticket:
        del state.tickets[session.ticket]
    session.flow, session.client, session.interface = coming.flow, coming.client, coming.interface
    session.transport, session.local, session.listener = coming.transport, coming.local, coming.listener
    session.ticket = coming.ticket
    state.tickets[coming.ticket] = coming.flow
    state.sessions[coming.flow] = session
    state.relays.update((relay.external, coming.flow) for relay in session.allocation.relays)
    for channel in session.allocation.channels.values():
        callers = state.bound.get(channel.peer, {})
        if old in callers:
            callers[coming.flow] = callers.pop(old)
    state.deadlines.forget(old)
    state.deadlines.watch(coming.flow, session.deadline())
    return [Move(old, coming.flow)]
