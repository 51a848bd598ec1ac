"""The API of a view on a real socket, as the server has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hairpin.api import View
from hairpin.server.web import WebServer
from hairpin.stun import Address


@asynccontextmanager
async def standing(view: View) -> AsyncIterator[WebServer]:
    """Serve it on loopback meanwhile."""
    web = WebServer(Address("127.0.0.1", 0))
    await web.serve(view)
    yield web
    await web.stop()
    web.close()
