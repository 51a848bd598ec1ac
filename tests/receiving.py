"""The other side of the event hook, in memory: deliveries and time are the test's."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from hairpin.hooks.backlog import Backlog
from hairpin.hooks.events import Events
from hairpin.hooks.store import Log, Store
from hairpin.stun import Address, Transport
from hairpin.turn.effects import Notify, SessionView

NOW = 1_700_000_000.9


def notify(kind: str, session: str = "s", **data: object) -> Notify:
    """Something that happened to a session."""
    client, interface = Address("198.51.100.1", 4000), Address("192.0.2.1", 3478)
    return Notify(kind, SessionView(session, 1, client, interface, Transport.UDP, "bob\x1b", 0), tuple(data.items()))


class Receiver:
    """It takes posts in, answers as it is told, and keeps the timers."""

    def __init__(self, key: bytes | None = None, store: Callable[[Log], Store] = lambda _: Backlog()) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.status: int | Exception = 204
        self.now = NOW
        self.gate = asyncio.Event()
        self.gate.set()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.logged: list[tuple[str, dict[str, object]]] = []
        self.events = Events(self._post, key, self, self, store(self))

    def wall(self) -> float:
        """It is the same time until the test says otherwise."""
        return self.now

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Keep a timer."""
        self.timers.append((seconds, call))

    def warning(self, event: str, **values: object) -> None:
        """Keep what is logged."""
        self.logged.append((event, values))

    info = warning

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        assert path == "/events"
        self.bodies.append(json.loads(body))
        self.headers.append(headers)
        await self.gate.wait()
        if isinstance(self.status, Exception):
            raise self.status
        if self.status < 300:
            self.taken.append(json.loads(body))
        return self.status

    def fire(self) -> list[float]:
        """Let all timers run out; their delays."""
        timers, self.timers = self.timers, []
        for _, call in timers:
            call()
        return [seconds for seconds, _ in timers]

    def told(self, what: str = "kind") -> list[object]:
        """One field of all bodies."""
        return [body[what] for body in self.bodies]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While events are delivered."""
        task = asyncio.create_task(self.events.run())
        await settle()
        yield
        self.gate.set()
        await self.events.close(0)
        await task


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(300):
        await asyncio.sleep(0)
