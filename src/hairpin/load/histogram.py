"""Times in bins that grow with them: exact below 64 ns, and to one part in 32 above."""

from dataclasses import dataclass

FINE = 5  # bits kept of a value


@dataclass(frozen=True, slots=True)
class Times:
    """Half of the values are at most `p50`, 99 of 100 at most `p99`, all at most `most`; in nanoseconds."""

    p50: int
    p99: int
    most: int


class Histogram:
    """Counts values of any size in some 2,000 bins."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0
        self._bins = [0] * ((65 - FINE) << FINE)

    def add(self, value: int) -> None:
        """Count one value, 0 or more."""
        shift = max(value.bit_length() - FINE - 1, 0)
        self._bins[(shift << FINE) + (value >> shift)] += 1
        self.count += 1
        if value > self.most:
            self.most = value

    def quantile(self, share: float) -> int:
        """The least bin's end that this share of all values does not exceed; 0 where there are none."""
        wanted, seen = share * self.count, 0
        for index, count in enumerate(self._bins):
            seen += count
            if count and seen >= wanted:
                return min(_end(index), self.most)
        return 0

    def times(self) -> Times | None:
        """The figures that people ask for; None where nothing was counted."""
        return Times(self.quantile(0.5), self.quantile(0.99), self.most) if self.count else None


def _end(index: int) -> int:
    """The greatest value of a bin."""
    shift = max((index >> FINE) - 1, 0)
    return ((index - (shift << FINE) + 1) << shift) - 1
