"""Where events wait for their delivery: what a store promises to those who deliver."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Protocol

from hairpin.hooks.event import Event

VITAL = frozenset({"allocated", "usage", "closed"})  # who bills needs these; the others are given up before them


@dataclass(slots=True, eq=False)
class Line:
    """The events of one session, the oldest first; the one in `sending` is on its way."""

    session: str
    events: deque[Event] = field(default_factory=deque)
    sending: Event | None = None


class Log(Protocol):
    """The logger that is told of failures."""

    def warning(self, event: str, **values: object) -> None:
        """Something fails."""

    def info(self, event: str, **values: object) -> None:
        """It works again."""


class Store(Protocol):
    """Keeps events until they are delivered, in order for a session, and never more than fit."""

    @property
    def dropped(self) -> Counter[str]:
        """How many events of each kind were given up."""

    def __len__(self) -> int:
        """How many events wait."""

    def add(self, event: Event) -> Line | None:
        """Take an event in; its line, where nothing of it was to be delivered before."""

    def note(self, event: Event) -> None:
        """Keep the last figures of a session that lives, for the case that its end is this server's; nobody is told."""

    def recall(self) -> list[Line]:
        """Lines that are to be delivered, too, and were nobody's concern before."""

    def is_hopeless(self, event: Event, now: float) -> bool:
        """Whether an event that could not be delivered until now (Unix seconds) is not to be tried again."""

    def remove(self, line: Line, event: Event) -> None:
        """Forget a delivered event, and its line with the last one."""

    def give_up(self, line: Line, event: Event) -> None:
        """Forget an event that was not delivered, and count it."""

    def close(self) -> None:
        """Nothing is delivered any more: what waits is kept for the next start, or given up."""
