"""Commands whose end must be known, by token: what is called, or awaited, when the packet path acknowledges them."""

import asyncio
from collections.abc import Callable
from itertools import count

from hairpin.stun import Counters, Totals

PATIENCE = 2.0  # seconds (CONTRACT, section 1: then 503)


class Acknowledgements:
    """Tokens that were given out and what waits for each."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._tokens = count(1)
        self._calls: dict[int, Callable[[Counters | None], None]] = {}
        self._sums: dict[int, tuple[int, list[Totals], asyncio.Future[list[Totals]]]] = {}

    def call(self, when_done: Callable[[Counters | None], None]) -> int:
        """A token; the call gets the figures of the flow, None where it was gone."""
        token = next(self._tokens)
        self._calls[token] = when_done
        return token

    async def figures(self, *questions: Callable[[int], None]) -> list[Counters | None]:
        """Ask each question with a token at once, and wait for all; TimeoutError after 2 s."""
        futures = [self._ask(question) for question in questions]
        return await asyncio.wait_for(asyncio.gather(*futures), PATIENCE)

    def _ask(self, question: Callable[[int], None]) -> asyncio.Future[Counters | None]:
        future: asyncio.Future[Counters | None] = asyncio.get_running_loop().create_future()
        token = self.call(lambda counters: None if future.done() else future.set_result(counters))
        future.add_done_callback(lambda _: self._calls.pop(token, None))
        question(token)
        return future

    async def totals(self, ask: Callable[[int], None], workers: int) -> list[Totals]:
        """Ask all workers with a token, and wait for each of them; TimeoutError after 2 s."""
        future: asyncio.Future[list[Totals]] = asyncio.get_running_loop().create_future()
        token = next(self._tokens)
        self._sums[token] = (workers, [], future)
        ask(token)
        try:
            return await asyncio.wait_for(future, PATIENCE)
        finally:
            del self._sums[token]

    def done(self, token: int, counters: Counters | None) -> None:
        """The command with this token was carried out."""
        when_done = self._calls.pop(token, None)
        if when_done is not None:
            when_done(counters)

    def add(self, totals: Totals) -> None:
        """One worker's figures came."""
        if totals.token not in self._sums:
            return  # asked for by somebody who gave up
        workers, parts, future = self._sums[totals.token]
        parts.append(totals)
        if len(parts) == workers and not future.done():
            future.set_result(parts)
