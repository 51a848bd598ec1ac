"""Who has just left: a copy of the request that ended a session is answered 437, though no hook is asked about it."""

from collections import OrderedDict

from hairpin.stun import Address, Request
from hairpin.turn.grant import Identity

LIFE = 40 * 10**9  # as long as a retransmission may come (RFC 8489, section 6.3.1)
PLACES = 4096


class Departed:
    """The identities behind five-tuples whose session ended a moment ago; bounded, the oldest go first."""

    def __init__(self) -> None:
        """Nobody has left."""
        # Ordered: to find the first key of a dict whose first keys were deleted takes a walk.
        self._left: OrderedDict[tuple[Address, int, str], tuple[Identity, int]] = OrderedDict()

    def add(self, client: Address, listener: int, identity: Identity, now: int) -> None:
        """The session of this client ended."""
        key = (client, listener, identity.username)
        self._left.pop(key, None)
        if len(self._left) >= PLACES:
            self._left.popitem(last=False)
        self._left[key] = (identity, now + LIFE)

    def find(self, request: Request, now: int) -> Identity | None:
        """Whose session the request is a late word of."""
        identity, until = self._left.get((request.source, request.listener, request.message.username or ""), (None, 0))
        return identity if now < until else None
