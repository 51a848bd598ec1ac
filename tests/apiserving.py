"""The API over a view, on a port of its own in a thread, for clients that speak HTTP."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from hairpin.api import View
from hairpin.server.web import WebServer
from hairpin.stun import Address

PATIENCE = 20


@contextmanager
def api_of(view: View) -> Iterator[str]:
    """Serve it; its URL."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        web, stop = WebServer(Address("127.0.0.1", 0)), asyncio.Event()
        await web.serve(view)
        started.set_result((f"http://{web.address}", asyncio.get_running_loop(), stop))
        await stop.wait()
        await web.stop()
        web.close()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    url, loop, stop = started.result(PATIENCE)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """What `answer` does with each connection, once a request came; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            with connection, suppress(OSError):  # a client may have enough
                connection.recv(65536)
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE)
