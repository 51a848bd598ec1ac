"""The API on a real socket: what is answered before the application is asked, who is cut off, and what is logged."""

import asyncio
import logging
from contextlib import asynccontextmanager
from unittest.mock import Mock

import pytest
import uvicorn

from hairpin.api import create_app, protocol, wire
from standing import standing

INFO = b"GET /info HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /credentials HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\nHost: "


class Timers:
    """The loop, but for its timers: they wait for the test."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.made = asyncio.Queue()
        self.heard = asyncio.Semaphore(0)

    def __getattr__(self, name):
        return getattr(self.loop, name)

    def call_later(self, seconds, call):
        """Keep a timer; those of uvicorn are for connections that rest, and not of interest."""
        timer = Mock(seconds=seconds, fire=call)
        if seconds == wire.PATIENCE:
            self.made.put_nowait(timer)
        return timer


@asynccontextmanager
async def served(view, timers=None):
    """The port of a server on loopback."""
    config = uvicorn.Config(
        create_app(view), "127.0.0.1", 0, http=protocol(view), ws="none", lifespan="off", log_config=None
    )
    config.load()
    loop = asyncio.get_running_loop()
    state = uvicorn.server.ServerState()

    class Protocol(config.http_protocol_class):
        def data_received(self, data):
            super().data_received(data)
            if timers:
                timers.heard.release()

    listener = await loop.create_server(lambda: Protocol(config, state, {}, timers), "127.0.0.1", 0)
    yield listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()


async def exchange(port, request):
    """All that comes back until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /info HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /info HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000,
    ],
)
async def test_what_is_no_http(view, request_):
    """It gets a 400 problem with the headers of every response, and the connection ends."""
    async with served(view) as port:
        head, _, body = (await exchange(port, request_)).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 400 Bad Request"
    wanted = {b"realm: example.org", b"nonce: a-run-of-the-server", b"cache-control: no-store", b"connection: close"}
    assert wanted | {b"content-type: application/problem+json"} <= {line.lower() for line in lines}
    assert b'"status":400' in body


async def test_a_request(view):
    """A request passes to the application, its headers stand once."""
    request = b"GET /info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with served(view) as port:
        answer = await exchange(port, request)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"\r\nrealm: example.org\r\n") == 1


async def test_a_request_that_asks_for_a_websocket(view):
    """Without a token it is 403, not an upgrade."""
    upgrade = b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    async with served(view) as port:
        answer = await exchange(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")


async def test_an_error_after_an_early_answer(view):
    """A body that breaks after the request was refused ends the connection, and nothing is said twice."""
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with served(view) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"evil.example\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"no chunk\r\n")
        rest = await reader.read()
        writer.close()
    assert head.startswith(b"HTTP/1.1 403 ")
    assert b"HTTP/1.1" not in rest
    assert (failures, view.crashes) == ([], [])


async def test_an_error_while_the_body_is_awaited(view):
    """A body that breaks is 400, once; the application hears that the client is gone and fails nowhere."""
    async with served(view) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"localhost\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"no chunk\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 4") == 1
    assert view.crashes == []


@pytest.mark.parametrize(
    "request_",
    [b"GARBAGE\r\n\r\n", INFO + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"],
)
async def test_bad_requests_are_not_logged(view, caplog, request_):
    """What strangers send is no line of any log; the loggers of uvicorn stay what they were."""
    async with served(view) as port:
        assert (await exchange(port, request_)).startswith(b"HTTP/1.1 4")
    assert caplog.records == []
    assert not logging.getLogger("uvicorn.error").disabled


async def test_other_users_of_uvicorn_keep_their_loggers(view):
    """Nothing global is changed: an application that embeds the server may have another one of uvicorn's."""
    handler = logging.NullHandler()
    logger = logging.getLogger("uvicorn.access")
    logger.addHandler(handler)
    try:
        async with standing(view):
            assert (handler in logger.handlers, logger.propagate) == (True, True)
    finally:
        logger.removeHandler(handler)


async def test_a_request_without_end_does_not_hold_up_the_stop(view, caplog, monkeypatch):
    """It is cancelled, and no log says so."""
    monkeypatch.setattr("hairpin.server.web.GRACE", 0)
    asked = asyncio.Event()

    async def totals():
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(view, "totals", totals)
    async with standing(view) as web, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", web.address.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asked.wait()
    assert await reader.read() == b""
    writer.close()
    assert caplog.records == []


@pytest.mark.parametrize("part", [b"", INFO, POST + b"localhost\r\nContent-Length: 10\r\n\r\n1"])
async def test_no_whole_request_in_time(view, part):
    """Nothing, half a head, half a body: the connection ends after PATIENCE."""
    timers = Timers()
    async with served(view, timers) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if part:
            writer.write(part)
            await timers.heard.acquire()
        (await timers.made.get()).fire()
        assert await reader.read() == b""
        writer.close()
    assert timers.made.empty()


async def test_a_request_in_pieces(view):
    """Pieces do not lengthen the time; a whole request ends it, and after the response it begins anew."""
    timers = Timers()
    async with served(view, timers) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        first = await timers.made.get()
        for piece in (INFO[:9], INFO[9:], b"\r\n"):
            writer.write(piece)
            await timers.heard.acquire()
        await reader.readuntil(b"}")
        second = await timers.made.get()
        first.cancel.assert_called_once()
        second.cancel.assert_not_called()
        second.fire()
        assert b"HTTP/1.1" not in await reader.read()
        writer.close()
    assert timers.made.empty()


async def test_a_body_that_goes_on_after_the_answer(view):
    """Who was refused early has PATIENCE to end the request, and no more."""
    timers = Timers()
    async with served(view, timers) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"evil.example\r\n\r\n")
        await reader.readuntil(b"}")
        first, second = await timers.made.get(), await timers.made.get()
        first.cancel.assert_called()
        second.fire()
        await reader.read()
        writer.close()


async def test_so_many_connections_and_no_more(view, monkeypatch):
    """One too many is closed at once; those that stand are served, and an end makes room."""
    monkeypatch.setattr(wire, "CONNECTIONS", 2)
    timers = Timers()
    async with served(view, timers) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await others[1][0].read() == b""
        writer.write(INFO + b"Connection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        assert (await exchange(port, INFO + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        for _, each in [(reader, writer), *others]:
            each.close()
