"""Refresh (RFC 8656, section 8): a longer life for the relays of an allocation, or their end."""

from hairpin.stun import Attribute, Request
from hairpin.turn.allocate import VERSIONS
from hairpin.turn.effects import Close, Effect, ExtendRelay
from hairpin.turn.errors import PeerAddressFamilyMismatch
from hairpin.turn.grant import Grant
from hairpin.turn.mobility import arrive, expect, resumed, resumes
from hairpin.turn.state import Allocation, Relay, State


def refresh(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Move the end of relays; LIFETIME 0 is the end, and that of the last relay ends the session (RFC 8656, 8.2)."""
    message = request.message
    moves = resumes(state, message)
    found = resumed(state, request, grant) if moves else state.allocated(request.flow, grant)  # 400, 405, 437, 441
    session, allocation = found
    flow = session.flow
    relays = meant(allocation, message.requested_address_family)  # 443
    if message.lifetime == 0:
        goodbye = session.answer(message, ((Attribute.LIFETIME, 0),), now)
        if len(relays) == len(allocation.relays):
            return [goodbye, Close(flow, disconnect=False), *state.close(session, "refresh", now)]
        return [*state.close_relay(session, allocation, relays[0], now), goodbye]
    lifetime, expires = session.lease(message.lifetime, grant.limits, now)
    for relay in relays:
        relay.expires = expires
    session.expires = allocation.expires
    state.deadlines.watch(flow, expires)
    effects, ticket = expect(state, session, request, grant) if moves else ([], ())
    return [
        *effects,
        *(ExtendRelay(flow, relay.version, expires) for relay in relays),
        session.notify("refresh", ("lifetime", lifetime)),
        session.answer(message, ((Attribute.LIFETIME, lifetime), *ticket), now),
        *(arrive(state, request.flow) if moves and session.away else ()),
    ]


def meant(allocation: Allocation, family: int | None) -> tuple[Relay, ...]:
    """The relay of the family that a Refresh names, or all; 443 where there is none of it (RFC 8656, section 8.2)."""
    if family is None:
        return allocation.relays
    relays = tuple(relay for relay in allocation.relays if VERSIONS.get(family) == relay.version)
    if not relays:
        raise PeerAddressFamilyMismatch("there is no relay of the address family that is to be refreshed")
    return relays
