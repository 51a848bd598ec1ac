"""Allocate (RFC 8656, section 7): who is let in, which relay it gets, and the answer once the relay is bound.

admit ---> allocate ---OpenRelay---> opened ---> success
  |            |          ^  |
 error       error        |  +-----> refused ---> 508
                          +------------ (next port)
"""

from hairpin.stun import Address, Attribute, Request
from hairpin.turn.effects import Effect, InstallKey, OpenRelay
from hairpin.turn.errors import (
    AddressFamilyNotSupported,
    AllocationMismatch,
    AllocationQuotaReached,
    BadRequest,
    Forbidden,
    InsufficientCapacity,
    TryAlternate,
    TurnError,
    UnsupportedTransport,
)
from hairpin.turn.grant import Grant
from hairpin.turn.settings import RelayAddress
from hairpin.turn.state import Allocation, Pending, Session, State

UDP = 17  # in REQUESTED-TRANSPORT (RFC 8656, section 18.8)
VERSIONS = {None: 4, 0x01: 4, 0x02: 6}  # by REQUESTED-ADDRESS-FAMILY; without one it is IPv4 (RFC 8656, section 7.2)


def admit(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Begin the session of a client that has proved its credentials; a client that may not have one leaves no trace."""
    identity, limits = grant.identity, grant.limits
    session = state.sessions.get(request.flow)
    if session and (session.allocation or session.pending):
        raise AllocationMismatch  # 437, whoever asks
    if state.is_blocked(identity, now):
        raise Forbidden  # 403
    if state.draining:
        raise elsewhere(state.settings.alternate, request.source)  # 300, 508
    if session and session.belongs_to(identity):
        return []
    if 0 < limits.sessions <= len(state.sessions):
        raise InsufficientCapacity  # 508
    if 0 < limits.sessions_per_user <= state.users.get(identity.user, 0):
        raise AllocationQuotaReached  # 486
    replaced = state.close(session, "replaced", now) if session else []
    state.begin(request, grant, now)
    return [InstallKey(request.flow, identity.username, identity.key, limits.rate), *replaced]


def elsewhere(alternate: Address | None, client: Address) -> TurnError:
    """Where a client should go that cannot be served here: ALTERNATE-SERVER has its family (RFC 8489, section 10)."""
    if alternate and alternate.version == client.version:
        return TryAlternate((Attribute.ALTERNATE_SERVER, alternate))
    return InsufficientCapacity()


def allocate(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Have a relayed transport address bound (RFC 8656, section 7.2); `opened` answers."""
    message, session = request.message, state.sessions[request.flow]
    if message.requested_transport is None:
        raise BadRequest  # 400
    if message.requested_transport != UDP:
        raise UnsupportedTransport  # 442
    version = VERSIONS.get(message.requested_address_family)
    relay = state.settings.listeners[request.listener].relays.get(version) if version else None
    if relay is None:
        raise AddressFamilyNotSupported  # 440
    if message.even_port:
        raise InsufficientCapacity  # 508: the next port can not be reserved
    even = message.even_port is not None
    lifetime, expires = session.lease(message.lifetime, grant.limits, now)
    tries = state.ports[relay.external_ip].available
    session.pending = Pending(message, lifetime, tries, next_relay(state, relay, expires, now, even))  # 508
    return [open_relay(session, session.pending)]


def next_relay(state: State, relay: RelayAddress, expires: int, now: int, even: bool) -> Allocation:
    """An allocation on a port that is not taken; 508 when there is none."""
    port = state.ports[relay.external_ip].take(now, even)
    return Allocation(Address(relay.bind_ip, port), Address(relay.external_ip, port), expires)


def open_relay(session: Session, pending: Pending) -> OpenRelay:
    """Have the relay of a pending Allocate bound."""
    allocation = pending.allocation
    return OpenRelay(session.flow, allocation.bind, allocation.external, allocation.expires)


def opened(state: State, session: Session, pending: Pending, now: int) -> list[Effect]:
    """The relay is bound: answer, with the address that clients are told (RFC 8656, section 7.2)."""
    allocation = pending.allocation
    session.allocation, session.pending = allocation, None
    session.expires = allocation.expires
    state.relays[allocation.external] = session.flow
    attributes = (
        (Attribute.XOR_RELAYED_ADDRESS, allocation.external),
        (Attribute.LIFETIME, pending.lifetime),
        (Attribute.XOR_MAPPED_ADDRESS, session.client),
        (Attribute.SOFTWARE, state.settings.software),
    )
    return [
        session.answer(pending.request, attributes, now),
        session.notify("allocated", ("port", allocation.external.port)),
    ]


def refused(state: State, session: Session, pending: Pending, exhausted: bool, now: int) -> list[Effect]:
    """The relay could not be bound: the next port, until each was tried once or none would do; then 508."""
    allocation = pending.allocation
    state.release(allocation, now)
    pending.tries -= 1
    if exhausted or not pending.tries:
        session.pending = None
        return [session.answer(pending.request, InsufficientCapacity().attributes, now)]
    relay = RelayAddress(allocation.bind.ip, allocation.external.ip)
    even = pending.request.even_port is not None
    pending.allocation = next_relay(state, relay, allocation.expires, now, even)  # there is one: that which rests now
    return [open_relay(session, pending)]
