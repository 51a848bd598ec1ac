"""The server as a process: signals, until it is over."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from hairpin.config import Config, ConfigError
from hairpin.server.server import Server


async def serve(config: Config, file: Path | None, on_ready: Callable[[Server], None]) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the file again. Returns the exit status."""
    loop = asyncio.get_running_loop()
    try:
        async with Server(config) as server:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, server.drain)
            loop.add_signal_handler(signal.SIGHUP, _reload, server, file)
            on_ready(server)
            await server.stopped()
    except ConfigError as error:
        raise ConfigError(error.problem, error.key, error.source or file) from None
    return 0


def _reload(server: Server, file: Path | None) -> None:
    """The whole file or nothing of it."""
    if file is None:
        return server.log.warning("there is no file to read again; start with --config FILE")
    try:
        server.reload(Config.load(file))
    except (ConfigError, ValueError) as error:
        server.log.error("settings were not read again", problem=str(error))
