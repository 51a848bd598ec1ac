"""The relay ports of one IP address (RFC 8656, section 7.2): chosen by chance, and not used again at once.

A port is free, resting or taken. One that was given back rests, so that a late datagram of its last owner finds nobody.
"""

from collections import deque
from collections.abc import Callable

from hairpin.turn.errors import InsufficientCapacity

REST = 300 * 10**9


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

    def take(self, now: int, even: bool = False) -> int:
        """A port by chance; the longest-resting one where no other is left; none at all is 508."""
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        drawn = self._draw(even)
        if drawn is not None:
            self._free[drawn], self._free[-1] = self._free[-1], self._free[drawn]
            return self._free.pop()
        for rested in self._resting:
            if not (even and rested[1] % 2):
                self._resting.remove(rested)
                return rested[1]
        raise InsufficientCapacity

    def _draw(self, even: bool) -> int | None:
        """The place of a free port by chance; of an even one, the next from there on."""
        if not self._free:
            return None
        count = len(self._free)
        drawn = self._chance(count)
        if not even:
            return drawn
        places = (place % count for place in range(drawn, drawn + count))
        return next((place for place in places if not self._free[place] % 2), None)

    def release(self, port: int, now: int) -> None:
        """Let a port rest: its session ended, or somebody else holds it."""
        self._resting.append((now + REST, port))
