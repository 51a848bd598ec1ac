"""Allocate (RFC 8656, section 7): who is let in, which relays it gets, and the answer once they are bound.

admit ---> allocate ---> next_relay ---OpenRelay---> opened ---> next_relay, and when no more are wanted: finish
  |            |              ^  |
 error       error            |  +-----------------> refused ---> next_relay
                              +---- (next port) ------- +
"""

from hairpin.stun import Address, Attribute, Message, Request, Transport
from hairpin.turn.effects import Attributes, Effect, Listen, OpenRelay, Value
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
from hairpin.turn.mobility import is_asked, make_mobile, require_mobility
from hairpin.turn.refusal import Reason
from hairpin.turn.reservation import redeem, require_reservable, reserve
from hairpin.turn.settings import Settings
from hairpin.turn.state import Allocation, Pending, Relay, Session, State

UDP, TCP = 17, 6  # in REQUESTED-TRANSPORT (RFC 8656, section 18.8; RFC 6062, section 4.1)
IPV4, IPV6 = 0x01, 0x02  # address families (RFC 8489, section 14.1)
VERSIONS = {None: 4, IPV4: 4, IPV6: 6}  # by REQUESTED-ADDRESS-FAMILY; without one it is IPv4 (RFC 8656, section 7.2)
FAMILIES = {4: IPV4, 6: IPV6}


def admit(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Begin the session of a client that has proved its credentials; a client that may not have one leaves no trace."""
    identity, limits = grant.identity, grant.limits
    session = state.at(request.flow)
    if session and (session.allocation or session.pending):
        raise AllocationMismatch("there is an allocation on this five-tuple", Reason.ALREADY_ALLOCATED)  # 437
    if state.is_blocked(identity, now):
        raise Forbidden(f"{identity.user} is blocked (DELETE /session with block)", Reason.BLOCKED)  # 403
    if state.draining:
        raise elsewhere(state.settings, request)  # 300, 508
    if session and session.belongs_to(identity):
        return []
    if grant.ruling.refusal:
        raise grant.ruling.refusal  # 403, 508
    require_quota(state, grant)  # 486, 508
    replaced = state.close(session, "replaced", now) if session else []
    state.begin(request, grant, now)
    return [state.sessions[request.flow].install_key(limits), *replaced]


def require_quota(state: State, grant: Grant) -> None:
    """So many sessions may there be, in all (508) and of a user (486), also such as have not allocated yet."""
    user, limits = grant.identity.user, grant.limits
    if 0 < limits.sessions <= state.clients:
        full = f"there are {state.clients} sessions, and {limits.sessions} are the most (limits.allocations)"
        raise InsufficientCapacity(full, Reason.SERVER_FULL)
    mine, most = state.users.get(user, 0), limits.sessions_per_user
    if 0 < most <= mine:
        raise AllocationQuotaReached(
            f"{user} has {mine} sessions, and {most} are the most (limits.allocations_per_user)"
        )


def elsewhere(settings: Settings, request: Request) -> TurnError:
    """Where a client should go that is not served here (RFC 8489, section 10): a server of its family, then the other.

    The name in that server's certificate is for those who sign with SHA-256: others do not know the attribute.
    """
    version = request.source.version
    servers = sorted(settings.alternate, key=lambda server: server.version != version)
    if not servers or servers[0].version != version:
        return InsufficientCapacity("the server is about to stop, and turn.alternate names no other", Reason.DRAINING)
    more: list[tuple[Attribute, Value]] = [(Attribute.ALTERNATE_SERVER, server) for server in servers]
    if settings.alternate_domain and request.message.password_algorithm is not None:
        more.append((Attribute.ALTERNATE_DOMAIN, settings.alternate_domain))
    return TryAlternate(f"the server is about to stop; {servers[0]} is the other one", more=tuple(more))


def allocate(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Have the relays bound that are asked for (RFC 8656, section 7.2); `finish` answers."""
    message, session = request.message, state.sessions[request.flow]
    tcp = wants_tcp(state, request)  # 400, 442
    require_mobility(state, message, grant)  # 400, 405
    token = message.reservation_token
    if token is not None:
        return reserved(state, session, message, token, grant, now)
    versions = families(message)  # 400
    if versions[0] not in state.settings.listeners[request.listener].relays:
        raise AddressFamilyNotSupported("this interface has no relays of that address family")  # 440
    if message.even_port:
        require_reservable(state, grant)  # 486
    lifetime, expires = session.lease(message.lifetime, grant.limits, now)
    session.pending = Pending(message, lifetime, expires, versions, grant.limits.connections if tcp else 0)
    return next_relay(state, session, session.pending, now)


def wants_tcp(state: State, request: Request) -> bool:
    """Whether the relays are to be TCP relays (RFC 8656, section 7.2; RFC 6062, section 5.1)."""
    message = request.message
    if message.requested_transport is None:
        raise BadRequest("there is no REQUESTED-TRANSPORT that can be read")  # 400
    tcp = message.requested_transport == TCP and state.settings.tcp
    if not tcp and message.requested_transport != UDP:
        what = f"there are no relays of transport protocol {message.requested_transport}"
        raise UnsupportedTransport(f"{what} (17 is UDP; 6 is TCP, which relay.tcp opens)")  # 442
    if tcp and (
        request.transport != Transport.TCP
        or message.even_port is not None
        or message.reservation_token
        or message.dont_fragment
    ):
        raise BadRequest(
            "TCP relays are for clients that come by TCP or TLS, without EVEN-PORT, RESERVATION-TOKEN or DONT-FRAGMENT"
        )  # 400
    return tcp


def reserved(state: State, session: Session, message: Message, token: bytes, grant: Grant, now: int) -> list[Effect]:
    """Have the relay opened that was reserved (RFC 8656, section 7.2)."""
    if {message.even_port, message.requested_address_family, message.additional_address_family} != {None}:
        raise BadRequest("RESERVATION-TOKEN stands beside EVEN-PORT or an address family")  # 400
    relay = redeem(state, grant.identity, token)  # 508
    lifetime, relay.expires = session.lease(message.lifetime, grant.limits, now)
    session.pending = Pending(message, lifetime, relay.expires, [], tries=1, relays=[relay])
    return [OpenRelay(session.flow, relay.bind, relay.external, relay.expires)]


def families(message: Message) -> list[int]:
    """The IP versions that relays are wanted of, 0 for one that is none (RFC 8656, section 7.2)."""
    family, additional = message.requested_address_family, message.additional_address_family
    if additional is None:
        return [VERSIONS.get(family, 0)]
    if family is not None or message.even_port or additional != IPV6:
        raise BadRequest(
            "ADDITIONAL-ADDRESS-FAMILY is for IPv6, and stands alone but for EVEN-PORT without reservation"
        )  # 400
    return [4, 6]


def next_relay(state: State, session: Session, pending: Pending, now: int) -> list[Effect]:
    """Have the relay of the next family bound, or answer when no more are wanted."""
    relays = state.settings.listeners[session.listener].relays
    while pending.versions:
        version = pending.versions.pop(0)
        if version not in relays:
            fail(pending, version, AddressFamilyNotSupported)  # 440
            continue
        left = state.ports[relays[version].external_ip].available
        pending.tries = left if pending.request.even_port is None else (left + 1) // 2
        try:
            return next_port(state, session, pending, version, now)
        except InsufficientCapacity:
            fail(pending, version, InsufficientCapacity)  # 508
    return finish(state, session, pending, now)


def next_port(state: State, session: Session, pending: Pending, version: int, now: int) -> list[Effect]:
    """Have a relay bound on a port that is not taken; 508 when there is none."""
    address = state.settings.listeners[session.listener].relays[version]
    even = pending.request.even_port
    port = state.ports[address.external_ip].take(now, even)
    relay = Relay(Address(address.bind_ip, port), Address(address.external_ip, port), pending.expires)
    pending.relays.append(relay)
    where = (session.flow, relay.bind, relay.external, relay.expires)
    if pending.connections:
        return [Listen(*where, pending.connections)]
    if even:
        bind, external = Address(address.bind_ip, port + 1), Address(address.external_ip, port + 1)
        pending.sibling = Relay(bind, external, pending.expires)
    return [OpenRelay(*where, reserve=bool(even))]


def fail(pending: Pending, version: int, error: type[TurnError]) -> None:
    """There will be no relay of this family: what a client is told that gets one of the other (RFC 8656, 18.12)."""
    pending.failures.append((FAMILIES[version], error.code, error.reason))


def refused(state: State, session: Session, pending: Pending, exhausted: bool, now: int) -> list[Effect]:
    """A relay could not be bound: the next port, until each was tried once or none would do."""
    relay, sibling, pending.sibling = pending.relays.pop(), pending.sibling, None
    state.release(relay, now)
    state.release(sibling, now)
    pending.tries -= 1
    if pending.tries and not exhausted:
        return next_port(state, session, pending, relay.version, now)  # there is one: that which rests now
    fail(pending, relay.version, InsufficientCapacity)  # 508
    return next_relay(state, session, pending, now)


def finish(state: State, session: Session, pending: Pending, now: int) -> list[Effect]:
    """Answer, with the addresses that clients are told (RFC 8656, section 7.2); 508 where not one relay was bound."""
    session.pending, relays = None, tuple(pending.relays)
    if not relays:
        error = InsufficientCapacity("no relay could be bound", Reason.NO_RELAY_PORT)
        return session.refuse(pending.request, error, now)
    session.allocation, session.expires = Allocation(relays, tcp=pending.connections > 0), pending.expires
    for relay in relays:
        state.relays[relay.external] = session.flow
    token: Attributes = ()
    if pending.sibling:
        token = ((Attribute.RESERVATION_TOKEN, reserve(state, session.identity, pending.sibling, now)),)
    mobile = is_asked(state, pending.request) and not session.allocation.tcp  # whose connections can not move
    effects, ticket = make_mobile(state, session) if mobile else ([], ())
    attributes: Attributes = (
        *[(Attribute.XOR_RELAYED_ADDRESS, relay.external) for relay in relays],
        *[(Attribute.ADDRESS_ERROR_CODE, failure) for failure in pending.failures],
        (Attribute.LIFETIME, pending.lifetime),
        *token,
        (Attribute.XOR_MAPPED_ADDRESS, session.client),
        *ticket,
        (Attribute.SOFTWARE, state.settings.software),
    )
    allocated = session.notify("allocated", ("port", relays[0].external.port))
    return [*effects, allocated, session.answer(pending.request, attributes, now)]
