"""Reads from time to time what living sessions have used: some at a time, spread over the interval."""

import asyncio
from collections.abc import Callable, Sequence

from hairpin.engine import Engine
from hairpin.server.slices import slices
from hairpin.stun import Counters
from hairpin.turn.state import Session


class Meter:
    """Tells of each session that has an allocation about every `interval` seconds."""

    def __init__(self, engine: Engine, interval: float, tell: Callable[[Session, Counters], None]) -> None:
        """Read nothing yet."""
        self._engine = engine
        self._sessions = engine.rules.sessions
        self._interval = interval
        self._tell = tell

    async def run(self) -> None:
        """Read on and on."""
        while True:
            some = list(slices([one for one in self._sessions.values() if one.allocation and not one.internal])) or [[]]
            for sessions in some:
                await asyncio.sleep(self._interval / len(some))
                await self.read(sessions)

    async def read(self, sessions: Sequence[Session]) -> None:
        """Ask their workers, and tell of those that live on; where one does not answer, there is a next time."""
        try:
            figures = await self._engine.figures([session.flow for session in sessions])
        except TimeoutError:
            return
        for session, counters in zip(sessions, figures, strict=True):
            if counters is not None and self._sessions.get(session.flow) is session:
                self._tell(session, counters)
