"""Delivers events to the hooks: in order for a session, many sessions at a time, at least once, in nobody's way."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol, TypeAlias

from hairpin.hooks.backlog import Backlog
from hairpin.hooks.event import Event
from hairpin.hooks.signature import webhook_headers
from hairpin.hooks.store import Line, Log, Store
from hairpin.turn.effects import Notify

Post: TypeAlias = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""POST a body with headers to a path: the status, or OSError saying in plain words what went wrong."""

IN_FLIGHT = 16
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0


class Timers(Protocol):
    """The clock of the world, in Unix seconds, and a way to be called later."""

    def wall(self) -> float:
        """Unix seconds."""

    def later(self, seconds: float, call: Callable[[], None]) -> object:
        """Call in so many seconds."""


class Events:
    """Takes events in with `publish` and delivers them while `run` runs; signed where there is a key."""

    def __init__(self, post: Post, key: bytes | None, log: Log, timers: Timers, store: Store | None = None) -> None:
        """Deliver what the store has from before."""
        self._post = post
        self._key = key
        self._log = log
        self._timers = timers
        self._store: Store = Backlog() if store is None else store
        self._ready: asyncio.Queue[Line] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._idle = asyncio.Event()
        self._failing = False
        self.delivered = 0
        self._published = 0
        self._reported = 0
        self._look()

    @property
    def dropped(self) -> Counter[str]:
        """How many events of each kind were given up."""
        return self._store.dropped

    @property
    def waiting(self) -> int:
        """How many events are not delivered yet."""
        return len(self._store)

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failing

    def publish(self, notify: Notify, at: float) -> None:
        """Take in what happened at `at` (Unix seconds); it waits for no hook, but for a spool to keep it."""
        line = self._store.add(self._event(notify, at))
        self._idle.clear()
        if line is not None:
            self._ready.put_nowait(line)
        self._look()

    def note(self, notify: Notify, at: float) -> None:
        """Keep the last figures of a living session, for the next start if this server does not see its end."""
        self._store.note(self._event(notify, at))

    async def run(self) -> None:
        """Deliver until `close`."""
        async with asyncio.TaskGroup() as group:
            self._workers = [group.create_task(self._work()) for _ in range(IN_FLIGHT)]

    async def close(self, grace: float) -> None:
        """Deliver what can be delivered within `grace` seconds, leave the rest to the store, and end `run`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()
        for worker in self._workers:
            worker.cancel()
        self._store.close()
        self._report_dropped()

    def _event(self, notify: Notify, at: float) -> Event:
        self._published += 1
        session = notify.session.id
        return Event(f"{session}.{self._published}", session, notify.kind, at, notify)

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
        if failure is None:
            self.delivered += 1
            self._store.remove(line, event)
        elif self._store.is_hopeless(event, self._timers.wall()):
            self._store.give_up(line, event)
        else:
            self._timers.later(delay(event.attempts), lambda: self._ready.put_nowait(line))
            return
        if line.events:
            # Behind the other sessions: one that talks much holds up nobody.
            self._ready.put_nowait(line)
        self._look()

    async def _attempt(self, event: Event) -> str | None:
        """Send an event once; what went wrong, or None."""
        event.attempts += 1
        try:
            body = event.body()
            headers = webhook_headers(self._key, event.id, int(self._timers.wall()), body)
            status = await self._post("/events", body, headers)
        except OSError as error:
            return str(error)
        except Exception as error:  # whatever it is: the other events are still to be delivered
            return f"{type(error).__name__}: {error}"
        return None if 200 <= status < 300 else f"answered {status}"

    def _look(self) -> None:
        """Take up what the store has besides, and see what was given up."""
        for line in self._store.recall():
            self._ready.put_nowait(line)
        self._report_dropped()
        if not len(self._store):
            self._idle.set()

    def _tell(self, failure: str | None) -> None:
        """Log when delivery begins to fail and when it works again, not each failure."""
        if failure is not None and not self._failing:
            self._log.warning("events cannot be delivered", reason=failure, waiting=len(self._store))
        if failure is None and self._failing:
            self._log.info("events are delivered again", waiting=len(self._store))
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
