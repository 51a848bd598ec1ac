"""When packets are due: at even distances from the start, none before its time."""

from hairpin.turnclient.client import SECOND

FEW = 16  # sent in a row, before what came is read
ARREARS = SECOND // 50  # what is later than this is not sent at all


class Pace:
    """Counts which of `total` packets are due; the caller advances `index` by what it sent."""

    def __init__(self, rate: float, total: int, start: int) -> None:
        """So many a second from `start` (ns) on."""
        self.start, self.total = start, total
        self.index = 0
        self.missed = 0
        self._gap = SECOND / rate
        self._most = max(FEW, int(ARREARS / self._gap))

    @property
    def finished(self) -> bool:
        """Whether none is left."""
        return self.index >= self.total

    @property
    def due(self) -> int:
        """When the next one is."""
        return self.start + int(self.index * self._gap)

    def owed(self, now: int) -> int:
        """How many to send now, a few at most; of those that are too late only the newest, the others are missed."""
        owed = min(int((now - self.start) / self._gap) + 1, self.total) - self.index
        if owed > self._most:
            self.missed += owed - FEW
            self.index += owed - FEW
            owed = FEW
        return max(min(owed, FEW), 0)
