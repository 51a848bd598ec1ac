"""`hairpin top`: a server live in the terminal."""

import asyncio
import os
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from rich.live import Live

from hairpin.client import AsyncClient, ClientError, NotFoundError, Session
from hairpin.console.figures import Scene, Totals, Watch
from hairpin.console.screen import Sort, draw
from hairpin.console.text import console

KEYS = {sort[0]: sort for sort in Sort}
END = "q"


@dataclass(frozen=True, slots=True)
class Options:
    """How it shows: seconds between two looks, the order of the rows, and whether it ends after one interval."""

    interval: float
    sort: Sort
    once: bool


def top(api: AsyncClient, options: Options) -> None:
    """Show the server until q or Ctrl-C; once, where that is wanted or the output is no terminal.

    ClientError where the server does not answer at the start; later that is shown, and it is asked again.
    """
    if options.once or not console().is_terminal:
        asyncio.run(_once(api, options))
    else:
        with suppress(KeyboardInterrupt):
            asyncio.run(_live(api, options))


async def _once(api: AsyncClient, options: Options) -> None:
    async with api:
        looks = _Looks(api)
        await looks.next()
        await asyncio.sleep(options.interval)
        console().print(draw(await looks.next(), options.sort, api.url))


async def _live(api: AsyncClient, options: Options) -> None:
    async with api:
        looks, shown, sort = _Looks(api), console(), options.sort
        scene = await looks.next()
        with _keys() as keys, Live(console=shown, screen=True, auto_refresh=False) as live:
            while True:
                live.update(draw(scene, sort, api.url, shown.height), refresh=True)
                key = await _key(keys, options.interval)
                if key == END:
                    return
                sort = KEYS.get(key, sort)
                if not key:
                    scene = await _again(looks, scene)


async def _again(looks: "_Looks", last: Scene) -> Scene:
    """The next look; where it fails the last one, which says why."""
    try:
        return await looks.next()
    except ClientError as error:
        return replace(last, problem=str(error))


class _Looks:
    """Looks at a server, one after the other."""

    def __init__(self, api: AsyncClient) -> None:
        self._api = api
        self._watch = Watch()
        self._before: Totals | None = None
        self._restarts = 0

    async def next(self) -> Scene:
        info, metrics, sessions = await asyncio.gather(self._api.info(), self._api.metrics(), self._sessions())
        totals = Totals.read(metrics, time.monotonic())
        await asyncio.gather(*map(self._ask, self._watch.due(sessions)))
        before = self._before if self._restarts == self._api.restarts else None
        self._before, self._restarts = totals, self._api.restarts
        return Scene(info, len(sessions), self._watch.rows(sessions), totals, before)

    async def _sessions(self) -> list[Session]:
        return [session async for session in self._api.sessions()]

    async def _ask(self, session: Session) -> None:
        with suppress(NotFoundError):  # it has ended since
            statistics = await self._api.statistics(**session.which)
            self._watch.saw(session, statistics, time.monotonic())


async def _key(keys: asyncio.Queue[str], patience: float) -> str:
    """The next key, none after so many seconds."""
    try:
        return await asyncio.wait_for(keys.get(), patience)
    except TimeoutError:
        return ""


@contextmanager
def _keys() -> Iterator[asyncio.Queue[str]]:
    """The keys that are pressed, if there is a keyboard; the terminal is left as it was."""
    keys = asyncio.Queue[str]()
    if not sys.stdin.isatty():
        yield keys
        return
    keyboard, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, lambda: keys.put_nowait(os.read(keyboard, 1).decode("latin-1") or END))
    try:
        yield keys
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
