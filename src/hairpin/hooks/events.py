"""Delivers events to the hooks: in order for a session, many sessions at a time, at least once, in nobody's way."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from hairpin.hooks.backlog import Backlog, Event, Line
from hairpin.hooks.event import body
from hairpin.hooks.signature import webhook_headers
from hairpin.turn.effects import Notify

Post: TypeAlias = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""POST a body with headers to a path: the status, or OSError saying in plain words what went wrong."""

IN_FLIGHT = 16
ATTEMPTS = 12
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0


class Log(Protocol):
    """The logger that is told of failures."""

    def warning(self, event: str, **values: object) -> None:
        """Delivery fails."""

    def info(self, event: str, **values: object) -> None:
        """Delivery works again."""


class Timers(Protocol):
    """The clock of the world, in Unix seconds, and a way to be called later."""

    def wall(self) -> float:
        """Unix seconds."""

    def later(self, seconds: float, call: Callable[[], None]) -> object:
        """Call in so many seconds."""


class Events:
    """Takes events in with `publish` and delivers them while `run` runs; signed where there is a key."""

    def __init__(self, post: Post, key: bytes | None, log: Log, timers: Timers, backlog: Backlog | None = None) -> None:
        """Start with nothing to deliver."""
        self._post = post
        self._key = key
        self._log = log
        self._timers = timers
        self._backlog = Backlog() if backlog is None else backlog
        self._ready: asyncio.Queue[Line] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._failing = False
        self.delivered = 0
        self._published = 0
        self._reported = 0

    @property
    def dropped(self) -> Counter[str]:
        """How many events of each kind were given up."""
        return self._backlog.dropped

    @property
    def waiting(self) -> int:
        """How many events are not delivered yet."""
        return len(self._backlog)

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failing

    def publish(self, notify: Notify, at: float) -> None:
        """Take in what happened at `at` (Unix seconds); it never blocks."""
        self._published += 1
        line = self._backlog.add(Event(f"{notify.session.id}.{self._published}", at, notify))
        self._idle.clear()
        if line is not None:
            self._ready.put_nowait(line)
        self._report_dropped()

    async def run(self) -> None:
        """Deliver until `close`."""
        async with asyncio.TaskGroup() as group:
            self._workers = [group.create_task(self._work()) for _ in range(IN_FLIGHT)]

    async def close(self, grace: float) -> None:
        """Deliver what can be delivered within `grace` seconds, give up the rest, and end `run`."""
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            for line, event in self._backlog.waiting():
                self._backlog.give_up(line, event)
            self._report_dropped()
        for worker in self._workers:
            worker.cancel()

    async def _work(self) -> None:
        while True:
            line = await self._ready.get()
            if line.events:
                await self._deliver(line, line.events[0])

    async def _deliver(self, line: Line, event: Event) -> None:
        line.sending = event
        failure = await self._attempt(event)
        line.sending = None
        self._tell(failure)
        if failure is not None and event.attempts < ATTEMPTS:
            self._timers.later(delay(event.attempts), lambda: self._ready.put_nowait(line))
            return
        if failure is None:
            self.delivered += 1
            self._backlog.remove(line, event)
        else:
            self._backlog.give_up(line, event)
        self._advance(line)

    async def _attempt(self, event: Event) -> str | None:
        """Send an event once; what went wrong, or None."""
        event.attempts += 1
        try:
            content = body(event.notify, event.at)
            headers = webhook_headers(self._key, event.id, int(self._timers.wall()), content)
            status = await self._post("/events", content, headers)
        except OSError as error:
            return str(error)
        except Exception as error:  # whatever it is: the other events are still to be delivered
            return f"{type(error).__name__}: {error}"
        return None if 200 <= status < 300 else f"answered {status}"

    def _advance(self, line: Line) -> None:
        self._report_dropped()
        if line.events:
            # Behind the other sessions: one that talks much holds up nobody.
            self._ready.put_nowait(line)
        if not len(self._backlog):
            self._idle.set()

    def _tell(self, failure: str | None) -> None:
        """Log when delivery begins to fail and when it works again, not each failure."""
        if failure is not None and not self._failing:
            self._log.warning("events cannot be delivered", reason=failure, waiting=len(self._backlog))
        if failure is None and self._failing:
            self._log.info("events are delivered again", waiting=len(self._backlog))
        self._failing = failure is not None

    def _report_dropped(self) -> None:
        """Log given up events whenever their number has doubled: an outage must not flood the log."""
        total = self.dropped.total()
        if total > 2 * self._reported or (total and not self._reported):
            self._reported = total
            self._log.warning("events were given up", **self.dropped)


def delay(attempts: int) -> float:
    """Seconds until the next attempt after so many."""
    return min(FIRST_DELAY * 2.0 ** (attempts - 1), LONGEST_DELAY)
