"""The HTTP client of the hooks, against a server on loopback that answers as badly as it likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hairpin.hooks import HookClient
from hairpin.hooks.client import BODY_LIMIT

IDENTITY = {"realm": "example.org", "nonce": "run-1"}


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """A web server that says the same to everybody."""

    def __init__(self, said: bytes, *, keep_open: bool = False) -> None:
        self.said = said
        self.keep_open = keep_open
        self.requests: list[bytes] = []
        self._done = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.requests.append(head + await reader.readexactly(length))
        writer.write(self.said)
        if self.keep_open:
            await self._done.wait()
        writer.close()

    @asynccontextmanager
    async def serving(self, seconds: float = 5.0) -> AsyncIterator[HookClient]:
        """A client of this server."""
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with HookClient(f"http://127.0.0.1:{port}/base/", IDENTITY, seconds) as client:
            yield client
        self._done.set()
        server.close()


async def test_a_get_has_the_identity_and_the_query() -> None:
    """`realm` and `nonce` stand on every request; the path is put behind the base URL's."""
    server = Server(answer("200 OK", b"pass\n"))
    async with server.serving() as client:
        assert await client.get("/password", {"username": "bob"}) == (200, b"pass\n")
    head = server.requests[0].decode().lower()
    assert head.startswith("get /base/password?username=bob http/1.1\r\n")
    assert "\r\nrealm: example.org\r\n" in head
    assert "\r\nnonce: run-1\r\n" in head


async def test_a_post_has_the_identity_its_headers_and_the_body() -> None:
    """The body arrives byte for byte, for it is signed."""
    server = Server(answer("202 Accepted"))
    async with server.serving() as client:
        assert await client.post("/events", b'{"a":1}', {"webhook-id": "m"}) == 202
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    assert head.startswith("POST /base/events HTTP/1.1\r\n")
    for header in ("realm: example.org", "nonce: run-1", "webhook-id: m", "content-type: application/json"):
        assert f"\r\n{header}" in head
    assert body == '{"a":1}'


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_name_changes_the_query(name: str) -> None:
    """Whatever a user is called, the hook reads exactly that (percent-encoding)."""

    async def asked() -> bytes:
        server = Server(answer("404 Not Found"))
        async with server.serving() as client:
            await client.get("/password", {"username": name, "transport": "udp"})
        return server.requests[0]

    target = asyncio.run(asked()).split(b" ")[1].decode()
    parts = urlsplit(target)
    assert parts.path == "/base/password"
    assert parse_qs(parts.query, keep_blank_values=True, strict_parsing=True) == {
        "username": [name],
        "transport": ["udp"],
    }


async def test_redirects_are_answers() -> None:
    """Nothing is asked of the place they name."""
    server = Server(answer("302 Found", b"", "Location: /base/elsewhere"))
    async with server.serving() as client:
        assert (await client.get("/password", {}))[0] == 302
    assert len(server.requests) == 1


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords go where the settings say."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server = Server(answer("200 OK", b"pass"))
    async with server.serving() as client:
        assert await client.get("/password", {}) == (200, b"pass")


async def test_a_body_may_be_so_long() -> None:
    """And not a byte longer."""
    server = Server(answer("200 OK", b"x" * BODY_LIMIT))
    async with server.serving() as client:
        assert await client.get("/password", {}) == (200, b"x" * BODY_LIMIT)
    server = Server(answer("200 OK", b"x" * (BODY_LIMIT + 1)))
    async with server.serving() as client:
        with pytest.raises(ConnectionError, match="more than 1024 bytes"):
            await client.get("/password", {})


async def test_an_endless_body_is_cut_off() -> None:
    """It is not read to the end, which it does not have."""
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n1\r\nx\r\n"
    async with Server(said, keep_open=True).serving() as client:
        with pytest.raises(ConnectionError, match="more than 1024 bytes"):
            await client.get("/password", {})


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npa"])
async def test_no_answer_in_time_is_a_timeout(said: bytes) -> None:
    """Also one that begins and does not end."""
    async with Server(said, keep_open=True).serving(seconds=0.05) as client:
        with pytest.raises(TimeoutError, match=r"no answer in 0\.05 s"):
            await client.get("/password", {})


async def test_an_answer_may_not_trickle() -> None:
    """The time counts for the whole, whatever comes meanwhile: here, that the answer is coming."""

    class Trickling(Server):
        async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                    await writer.drain()
                    await asyncio.sleep(0)
            writer.close()

    async with Trickling(b"").serving(seconds=0.05) as client, asyncio.timeout(10):
        with pytest.raises(TimeoutError, match="no answer"):
            await client.get("/password", {})


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npa"])
async def test_what_is_no_answer_is_an_error(said: bytes) -> None:
    """In plain words, and an OSError, which is all that callers expect."""
    async with Server(said).serving() as client:
        with pytest.raises(ConnectionError):
            await client.get("/password", {})


async def test_a_url_that_no_request_can_have_is_an_error() -> None:
    """Such as an address with a number above 255; the settings refuse it before, too."""
    async with HookClient("http://300.1.1.1:80", IDENTITY, 5.0) as client:
        with pytest.raises(ConnectionError, match="InvalidURL"):
            await client.get("/password", {})
        with pytest.raises(ConnectionError, match="InvalidURL"):
            await client.post("/events", b"{}", {})


async def test_nobody_there_is_an_error() -> None:
    """A refused connection."""
    server = Server(b"")
    async with server.serving() as client:
        pass
    with pytest.raises(ConnectionError):
        async with HookClient(client._base_url, IDENTITY, 5.0) as late:
            await late.get("/password", {})
