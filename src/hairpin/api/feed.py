"""What happens to sessions, kept for those who listen: one ring for all, in which each of them has a place.

A listener that is too slow loses the oldest events, and is told how many. While nobody listens events are counted only,
and what a session has used, which nobody puts together then, not even that.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from hairpin.turn.effects import Notify

KEPT = 4096  # events
LISTENERS = 32
AT_ONCE = 50  # events between two looks at the loop


class FullError(Exception):
    """There are as many listeners as there may be."""


class Listener:
    """A place in the feed: `after` is the number of the last event that was taken."""

    def __init__(self, after: int) -> None:
        """Wait for the event after that."""
        self.after = after
        self.news = asyncio.Event()


class Feed:
    """The events of one run of the server, numbered from 1; `encode` makes the body of one."""

    def __init__(self, run_id: str, encode: Callable[[Notify, float], bytes]) -> None:
        """Nothing has happened yet."""
        self.last = 0
        self.ended = False
        self.listeners: set[Listener] = set()
        self._run_id = run_id
        self._encode = encode
        self._bodies: deque[bytes] = deque(maxlen=KEPT)

    def publish(self, notify: Notify, at: float) -> None:
        """Tell everyone what happened at `at` (Unix seconds)."""
        self.last += 1
        if self.listeners:
            self._bodies.append(self._encode(notify, at))
            self._wake()

    def end(self) -> None:
        """Nothing more will happen: who listens is told the rest."""
        self.ended = True
        self._wake()

    @contextmanager
    def listen(self, last_event_id: str) -> Iterator[Listener]:
        """Listen from the event after that one of this run, else from now on; FullError where too many do."""
        if len(self.listeners) >= LISTENERS:
            raise FullError
        listener = Listener(self._number(last_event_id))
        self.listeners.add(listener)
        try:
            yield listener
        finally:
            self.listeners.remove(listener)
            if not self.listeners:
                self._bodies.clear()

    def id(self, number: int) -> str:
        """How an event is named, so that a listener that comes back can say which one was its last."""
        return f"{self._run_id}.{number}"

    def take(self, listener: Listener) -> tuple[int, list[tuple[int, bytes]]]:
        """How many events a listener has missed, then its next ones, with their numbers."""
        first = self.last - len(self._bodies)  # the one before it, to be exact
        missed = max(0, first - listener.after)
        start = listener.after = listener.after + missed
        bodies = list(islice(self._bodies, start - first, start - first + AT_ONCE))
        listener.after += len(bodies)
        return missed, list(enumerate(bodies, start + 1))

    def _number(self, last_event_id: str) -> int:
        run_id, _, digits = last_event_id.rpartition(".")
        known = run_id == self._run_id and digits.isdecimal() and len(digits) <= len(str(self.last))
        return min(int(digits), self.last) if known else self.last

    def _wake(self) -> None:
        for listener in self.listeners:
            listener.news.set()
