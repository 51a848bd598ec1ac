"""The relay ports of one IP address (RFC 8656, section 7.2): chosen by chance, and not used again at once.

A port is free, resting or taken. One that was given back rests, so that a late datagram of its last owner finds nobody.
"""

from collections import deque
from collections.abc import Callable, Iterable

from hairpin.turn.errors import InsufficientCapacity
from hairpin.turn.refusal import Reason

REST = 300 * 10**9
NONE_LEFT = "no port is left that would do (relay.ports)"


class Ports:
    """Hands out the ports `first` to `last`; `chance(n)` draws one of 0..n-1."""

    def __init__(self, first: int, last: int, chance: Callable[[int], int]) -> None:
        """Start with every port free."""
        self.capacity = last - first + 1
        self._free = list(range(first, last + 1))
        self._resting: deque[tuple[int, int]] = deque()
        self._chance = chance

    @property
    def available(self) -> int:
        """How many can be handed out, resting ones among them."""
        return len(self._free) + len(self._resting)

    @property
    def taken(self) -> int:
        """How many are handed out."""
        return self.capacity - self.available

    def take(self, now: int, even: int | None = None) -> int:
        """A port by chance; the longest-resting one where no other is left; none at all is 508.

        As EVEN-PORT says: None is any port, 0 an even one, 1 an even one and the next port with it.
        """
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        if even:
            return self._take_pair()
        drawn = self._draw(even is not None)
        if drawn is not None:
            return self._pull(drawn)
        for rested in self._resting:
            if even is None or not rested[1] % 2:
                self._resting.remove(rested)
                return rested[1]
        raise InsufficientCapacity(NONE_LEFT, Reason.NO_RELAY_PORT)

    def _pull(self, place: int) -> int:
        """Take the free port at that place."""
        self._free[place], self._free[-1] = self._free[-1], self._free[place]
        return self._free.pop()

    def _draw(self, even: bool) -> int | None:
        """The place of a free port by chance; of an even one, the next from there on."""
        if not self._free:
            return None
        if not even:
            return self._chance(len(self._free))
        return next((place for place in self._places() if not self._free[place] % 2), None)

    def _places(self) -> Iterable[int]:
        """Every place of a free port, from one by chance on."""
        count = len(self._free)
        drawn = self._chance(count) if count else 0
        return (place % count for place in range(drawn, drawn + count))

    def _take_pair(self) -> int:
        """An even port and the next one, which is an odd number's only neighbour: `port ^ 1` is the other of a pair."""
        left = set(self._free)
        port = next((port for place in self._places() if (port := self._free[place]) ^ 1 in left), None)
        for _, resting in self._resting if port is None else ():
            if resting ^ 1 in left:
                port = resting  # of the pairs that rest, this one has rested for the longest
                break
            left.add(resting)
        if port is None:
            raise InsufficientCapacity(NONE_LEFT, Reason.NO_RELAY_PORT)
        for one in (port, port ^ 1):
            self._remove(one)
        return port & ~1

    def _remove(self, port: int) -> None:
        if port in self._free:
            self._pull(self._free.index(port))
        else:
            self._resting = deque(rested for rested in self._resting if rested[1] != port)

    def release(self, port: int, now: int) -> None:
        """Let a port rest: its session ended, or somebody else holds it."""
        self._resting.append((now + REST, port))
