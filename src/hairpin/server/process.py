"""The server as a process: signals, until it is over."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path

from hairpin.config import Config, ConfigError
from hairpin.server.notify import Notifier
from hairpin.server.policy import look_beside
from hairpin.server.server import Server

GARBAGE = 10_000  # objects between two collections; a request leaves none behind that need one


async def serve(config: Config, file: Path | None, on_ready: Callable[[Server], None]) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the file again. Returns the exit status."""
    loop, notifier = asyncio.get_running_loop(), Notifier(os.environ, os.getpid())
    if file is not None:
        look_beside(file)
    try:
        async with Server(config) as server:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _stop, server, notifier)
            loop.add_signal_handler(signal.SIGHUP, _reload, server, file, notifier)
            on_ready(server)
            _spare_the_collector()
            notifier.ready()
            notifier.keep_alive(loop)
            await server.stopped()
            notifier.stopping()
    except ConfigError as error:
        raise ConfigError(error.problem, error.key, error.source or file) from None
    return 0


def _spare_the_collector() -> None:
    """What is there now stays: leave it out of collections, which else walk through it again and again (decision 7)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


def _stop(server: Server, notifier: Notifier) -> None:
    notifier.stopping()
    server.drain()


def _reload(server: Server, file: Path | None, notifier: Notifier) -> None:
    notifier.reloading()
    _read_again(server, file)
    notifier.ready()


def _read_again(server: Server, file: Path | None) -> None:
    """The whole file or nothing of it."""
    if file is None:
        return server.log.warning("there is no file to read again; start with --config FILE")
    try:
        server.reload(Config.load(file))
    except (ConfigError, ValueError) as error:
        server.log.error("settings were not read again", problem=str(error))
