"""The way to a stop that ends no call before its time."""

import asyncio

from hairpin.logging import Logger
from hairpin.turn.server import Server as Rules


class Drain:
    """Begun once: new Allocates are refused, and `over` is set when no session is left or the time is up."""

    def __init__(self, rules: Rules, loop: asyncio.AbstractEventLoop, log: Logger) -> None:
        """Nothing is drained yet."""
        self.over = asyncio.Event()
        self._rules = rules
        self._loop = loop
        self._log = log

    def begin(self, seconds: int) -> None:
        """Drain for so many seconds; the second time it is over at once."""
        if self._rules.draining or not seconds:
            self._rules.draining = True
            self.over.set()
            return
        self._rules.draining = True
        self._log.info("draining", sessions=self._rules.state.clients, seconds=seconds)
        self._loop.call_later(seconds, self.over.set)
        self.look()

    def look(self) -> None:
        """A session may have ended."""
        if self._rules.draining and not self._rules.state.clients:
            self.over.set()
