"""Events that wait in memory: in order for a session, and never more than fit."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from itertools import chain

from hairpin.hooks.event import Event
from hairpin.hooks.store import VITAL, Line

CAPACITY = 16_384
CAPACITY_PER_SESSION = 32
ATTEMPTS = 12
COALESCED = frozenset({"refresh", "usage"})  # a later one says all that an earlier one said


class Backlog:
    """All lines; see `Store`. When full, the oldest event that is not vital is given up, then the oldest."""

    def __init__(self, capacity: int = CAPACITY, capacity_per_session: int = CAPACITY_PER_SESSION) -> None:
        """Start empty."""
        self._capacity = capacity
        self._capacity_per_session = capacity_per_session
        self._lines: dict[str, Line] = {}
        # Insertion order is age: what to give up next is at the front, which a dict would have to walk to.
        self._ordinary: OrderedDict[Event, Line] = OrderedDict()
        self._vital: OrderedDict[Event, Line] = OrderedDict()
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._ordinary) + len(self._vital)

    def add(self, event: Event) -> Line | None:
        """Take an event in; its line, where nothing of it waited before."""
        self._make_room(event)
        fresh = event.session not in self._lines
        line = self._lines.setdefault(event.session, Line(event.session))
        line.events.append(event)
        self._book(event)[event] = line
        return line if fresh else None

    def note(self, event: Event) -> None:
        """What is in memory ends with the server."""

    def recall(self) -> list[Line]:
        """All there is was told by `add`."""
        return []

    def is_hopeless(self, event: Event, now: float) -> bool:  # noqa: ARG002  as stores are asked
        """Memory is scarce: about five minutes."""
        return event.attempts >= ATTEMPTS

    def remove(self, line: Line, event: Event) -> None:
        """Forget a delivered event, and its line with the last one."""
        if self._book(event).pop(event, None) is None:
            return
        line.events.remove(event)
        if not line.events:
            del self._lines[line.session]

    def give_up(self, line: Line, event: Event) -> None:
        """Forget an event that was not delivered, and count it."""
        self.dropped[event.kind] += 1
        self.remove(line, event)

    def close(self) -> None:
        """Give up all that waits."""
        for line, event in self.waiting():
            self.give_up(line, event)

    def waiting(self) -> list[tuple[Line, Event]]:
        """All that was not delivered."""
        return [(line, event) for book in (self._ordinary, self._vital) for event, line in book.items()]

    def _book(self, event: Event) -> dict[Event, Line]:
        return self._vital if event.kind in VITAL else self._ordinary

    def _make_room(self, event: Event) -> None:
        line = self._lines.get(event.session)
        if line is not None and event.kind in COALESCED:
            self._coalesce(line, event.kind)
        if line is not None and len(line.events) >= self._capacity_per_session:
            self._give_up_first((waiting, line) for waiting in sorted(line.events, key=_is_vital))
        if len(self) >= self._capacity:
            self._give_up_first(chain(self._ordinary.items(), self._vital.items()))

    def _coalesce(self, line: Line, kind: str) -> None:
        for event in line.events:
            if event.kind == kind and event is not line.sending:
                line.events.remove(event)
                del self._book(event)[event]
                return

    def _give_up_first(self, candidates: Iterable[tuple[Event, Line]]) -> None:
        # What is on its way stays, or its line could be on its way twice.
        for event, line in candidates:
            if event is not line.sending:
                self.give_up(line, event)
                return


def _is_vital(event: Event) -> bool:
    return event.kind in VITAL
