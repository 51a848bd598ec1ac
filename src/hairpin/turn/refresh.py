"""Refresh (RFC 8656, section 8): a longer life for an allocation, or its end."""

from hairpin.stun import Attribute, Request
from hairpin.turn.allocate import VERSIONS
from hairpin.turn.effects import Close, Effect, ExtendRelay
from hairpin.turn.errors import PeerAddressFamilyMismatch
from hairpin.turn.grant import Grant
from hairpin.turn.state import State


def refresh(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Move the end of an allocation; LIFETIME 0 is the end, of its session too (RFC 8656, section 8.2)."""
    message, flow = request.message, request.flow
    session, allocation = state.allocated(flow, grant)  # 437, 441
    family = message.requested_address_family
    if family is not None and VERSIONS.get(family) != allocation.external.version:
        raise PeerAddressFamilyMismatch  # 443
    if message.lifetime == 0:
        goodbye = session.answer(message, ((Attribute.LIFETIME, 0),), now)
        return [goodbye, Close(flow, disconnect=False), *state.close(session, "refresh", now)]
    lifetime, expires = session.lease(message.lifetime, grant.limits, now)
    session.expires = allocation.expires = expires
    state.deadlines.watch(flow, expires)
    return [
        ExtendRelay(flow, expires),
        session.answer(message, ((Attribute.LIFETIME, lifetime),), now),
        session.notify("refresh", ("lifetime", lifetime)),
    ]
