"""The API on a real socket: what is answered before the application is asked."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvicorn

from hairpin.api import create_app, protocol


@asynccontextmanager
async def served(view):
    """The port of a server on loopback."""
    config = uvicorn.Config(
        create_app(view), "127.0.0.1", 0, http=protocol(view), ws="none", lifespan="off", log_config=None
    )
    config.load()
    loop = asyncio.get_running_loop()
    state = uvicorn.server.ServerState()
    listener = await loop.create_server(lambda: config.http_protocol_class(config, state, {}), "127.0.0.1", 0)
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
