"""Relayed transport addresses that are held for a later Allocate (RFC 8656, section 7.2: EVEN-PORT with R=1).

A reservation is a value of the state, known by its token; the driver keeps its socket bound, so that nobody else gets
the port. All live equally long, so that the first in the order of their making is the first to lapse.
"""

from collections.abc import Iterator

from hairpin.turn.effects import Unreserve
from hairpin.turn.errors import AllocationQuotaReached, InsufficientCapacity
from hairpin.turn.grant import Grant, Identity
from hairpin.turn.refusal import Reason
from hairpin.turn.state import ANSWER_LIFE, Relay, Reservation, State

# RFC 8656 asks for 30 s; a copy of the answer that names the token may come for longer.
RESERVATION_LIFE = ANSWER_LIFE


def require_reservable(state: State, grant: Grant) -> None:
    """A user holds as many reservations as sessions, or ports without a session would be without a limit: 486."""
    identity, most = grant.identity, grant.limits.sessions_per_user
    held = sum(reservation.user == identity.user for reservation in state.reservations.values())
    if 0 < most <= held:
        why = f"{identity.user} has {held} reserved ports, and {most} are the most (limits.allocations_per_user)"
        raise AllocationQuotaReached(why)


def reserve(state: State, identity: Identity, sibling: Relay, now: int) -> bytes:
    """Hold an address whose socket is bound; the token that names it."""
    token = state.chance(1 << 64).to_bytes(8, "big")
    sibling.expires = now + RESERVATION_LIFE
    state.reservations[token] = Reservation(identity.user, sibling)
    return token


def redeem(state: State, identity: Identity, token: bytes) -> Relay:
    """The address that a token names, once, and for the user who reserved it; else 508."""
    reservation = state.reservations.get(token)
    if reservation is None or reservation.user != identity.user:
        raise InsufficientCapacity("this user has no reservation with this RESERVATION-TOKEN", Reason.NO_RESERVATION)
    del state.reservations[token]
    return reservation.relay


def lapse_reservations(state: State, now: int) -> Iterator[Unreserve]:
    """Let go of what nobody came for."""
    while (earliest := next_reservation(state)) is not None and earliest <= now:
        _, reservation = state.reservations.popitem(last=False)
        state.release(reservation.relay, now)
        yield Unreserve(reservation.relay.bind)


def next_reservation(state: State) -> int | None:
    """When the first of them lapses."""
    return next((reservation.relay.expires for reservation in state.reservations.values()), None)
