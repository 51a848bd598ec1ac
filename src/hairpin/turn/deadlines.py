"""When to look at which flow next: a heap with an entry a flow, corrected lazily.

A flow is looked at no later than asked. It may be looked at early, where its life was extended meanwhile: then nothing
has lapsed, and it is asked for anew. So an extension, which is what happens all the time, costs nothing here.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush


class Deadlines:
    """The earliest deadline of each flow; an entry that is not in `_due` is stale and passed over."""

    def __init__(self) -> None:
        """Start with no flow."""
        self._heap: list[tuple[int, int]] = []
        self._due: dict[int, int] = {}

    def watch(self, flow: int, at: int) -> None:
        """Look at the flow at `at`, if not before."""
        if at < self._due.get(flow, at + 1):
            self._due[flow] = at
            heappush(self._heap, (at, flow))
            self._sweep()

    def forget(self, flow: int) -> None:
        """The flow is gone."""
        self._due.pop(flow, None)

    def next(self) -> int | None:
        """The earliest deadline of all."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def passed(self, now: int) -> bool:
        """Whether a deadline may have come: cheap, and never wrongly no."""
        return bool(self._heap) and self._heap[0][0] <= now

    def due(self, now: int) -> Iterator[int]:
        """Flows whose deadline has come, each taken off: who lives on is watched again."""
        while (at := self.next()) is not None and at <= now:
            flow = heappop(self._heap)[1]
            del self._due[flow]
            yield flow

    def _sweep(self) -> None:
        """Keep the stale entries of sessions that ended early fewer than the live ones."""
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(at, flow) for flow, at in self._due.items()]
            heapify(self._heap)
