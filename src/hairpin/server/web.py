"""The API's HTTP server: bound before anything is served, and run in the event loop of the rules."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from hairpin.api import View, create_app, protocol
from hairpin.config import ConfigError
from hairpin.stun import Address

BACKLOG = 128
GRACE = 1.0  # seconds for requests that are under way at the end


class WebServer:
    """A socket, and uvicorn on it once there is something to serve."""

    def __init__(self, bind: Address) -> None:
        """Bind; ConfigError where that can not be."""
        family = socket.AF_INET if bind.version == 4 else socket.AF_INET6
        try:
            self._socket = socket.create_server((bind.ip, bind.port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise ConfigError(f"cannot listen on {bind}: {os.strerror(error.errno or 0)}", key="api.bind") from None
        self.address = Address(*self._socket.getsockname()[:2])

    async def serve(self, view: View) -> None:
        """Serve the API; returns when it answers."""
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                create_app(view),
                http=protocol(view),
                lifespan="off",
                ws="none",
                proxy_headers=False,
                log_config=None,
                server_header=False,
            )
        )
        self._task = asyncio.create_task(self._uvicorn.serve([self._socket]))
        await self._uvicorn.ready.wait()

    async def stop(self) -> None:
        """Finish what is under way, for a second at most."""
        self._uvicorn.should_exit = True
        _, late = await asyncio.wait([self._task], timeout=GRACE)
        if late:
            self._uvicorn.hurry()
        await self._task

    def close(self) -> None:
        """Give the address back."""
        self._socket.close()


class _Uvicorn(uvicorn.Server):
    """uvicorn, which leaves signals to us and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def hurry(self) -> None:
        """Wait for nobody (uvicorn's own limit of time logs what it does)."""
        self.force_exit = True
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in self.server_state.tasks:
            task.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
