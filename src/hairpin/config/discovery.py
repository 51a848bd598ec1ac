"""Which interfaces answer for each other in NAT behaviour discovery (RFC 5780)."""

from collections.abc import Sequence
from itertools import combinations, product

from hairpin.stun import Address

Place = tuple[str, Address]
"""The transport of an interface, and its address as clients know it."""


def squares(places: Sequence[Place | None]) -> list[tuple[int, ...]]:
    """Each four places of one transport on two IPs with the same two ports: A1:P1, A1:P2, A2:P1, A2:P2.

    No place is in two of them; None is a place that can be in none.
    """
    left = {place: number for number, place in enumerate(places) if place}
    found = []
    for (transport, one), (other_transport, other) in combinations(list(left), 2):
        corners = [(transport, Address(*pair)) for pair in product((one.ip, other.ip), (one.port, other.port))]
        alike = transport == other_transport and one.version == other.version
        if alike and len(set(corners)) == 4 and left.keys() >= set(corners):
            found.append(tuple(left.pop(corner) for corner in corners))
    return found
