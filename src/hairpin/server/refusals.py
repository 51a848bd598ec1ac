"""What was refused of late, for those who ask why: a little of each source, so that one pushes nobody else out."""

from collections import Counter, OrderedDict, deque
from heapq import merge
from itertools import count
from operator import attrgetter

from hairpin.api import Refused
from hairpin.auth import source_of
from hairpin.turn import effects
from hairpin.turn.refusal import Reason

KEPT = 1024  # logins, and as many other requests
KEPT_OF_A_SOURCE = 64  # an IPv4 address, an IPv6 /64


class Recent:
    """The latest refusals. One more than a source may have puts out its oldest, one more than fit the oldest of all."""

    def __init__(self, most: int = KEPT, most_of_a_source: int = KEPT_OF_A_SOURCE) -> None:
        """Nothing was refused."""
        self._most, self._most_of_a_source = most, most_of_a_source
        self._numbers = count()
        # Ordered: to find the first key of a dict whose first keys were deleted takes a walk.
        self._kept: OrderedDict[int, Refused] = OrderedDict()
        self._of_source: dict[str, deque[int]] = {}

    def add(self, refused: Refused) -> None:
        """Keep one more."""
        source, number = source_of(refused.request.client), next(self._numbers)
        mine = self._of_source.get(source)
        if mine and len(mine) >= self._most_of_a_source:
            self._forget(mine[0])
        elif len(self._kept) >= self._most:
            self._forget(next(iter(self._kept)))
        self._kept[number] = refused
        self._of_source.setdefault(source, deque()).append(number)

    def _forget(self, number: int) -> None:
        """Forget one, which is the oldest of its source."""
        source = source_of(self._kept.pop(number).request.client)
        self._of_source[source].popleft()
        if not self._of_source[source]:
            del self._of_source[source]

    def latest(self) -> list[Refused]:
        """All of them, the latest first."""
        return list(reversed(self._kept.values()))

    def __len__(self) -> int:
        return len(self._kept)


class Refusals:
    """Hears of all refusals: counts them by reason and keeps the latest, logins apart from other requests."""

    def __init__(self) -> None:
        """Nothing was refused."""
        self.logins: Counter[Reason] = Counter()
        self.requests: Counter[Reason] = Counter()
        self._logins, self._requests = Recent(), Recent()

    def hear(self, refused: effects.Refused, at: float) -> None:
        """A request was refused at `at` (Unix seconds)."""
        counts, recent = (self.logins, self._logins) if refused.is_login else (self.requests, self._requests)
        counts[refused.refusal.reason] += 1
        recent.add(Refused(at, refused))

    def latest(self) -> list[Refused]:
        """Those that are kept, the latest first."""
        return list(merge(self._logins.latest(), self._requests.latest(), key=attrgetter("at"), reverse=True))
