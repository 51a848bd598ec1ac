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

    def take(self, now: int) -> int:
        """A port by chance; the longest-resting one where no other is left; none at all is 508."""
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        if self._free:
            drawn, last = self._chance(len(self._free)), self._free[-1]
            self._free[drawn], self._free[-1] = last, self._free[drawn]
            return self._free.pop()
        if self._resting:
            return self._resting.popleft()[1]
        raise InsufficientCapacity

    def release(self, port: int, now: int) -> None:
        """Let a port rest: its session ended, or somebody else holds it."""
        self._resting.append((now + REST, port))
