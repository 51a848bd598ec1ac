"""The two clients: one waits for answers, the other is awaited. The routes stand here once, for both."""

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, Unpack, overload

import httpx2
from pydantic import ValidationError

from hairpin.client import routes
from hairpin.client.errors import AnswerError, UnreachableError, problem
from hairpin.client.models import Session
from hairpin.client.origin import Origin
from hairpin.client.routes import Call, Page
from hairpin.client.stream import SILENCE, News, news
from hairpin.client.which import Which

P = ParamSpec("P")
ANSWER = TypeVar("ANSWER")
OK = 200
TIMEOUT = 10.0  # seconds; the server itself gives a worker two
ANSWER_LIMIT = 64 * 2**20  # bytes
LIMITS = httpx2.Limits(max_connections=16)  # of the 256 that a server has for all


class Route(Generic[P, ANSWER]):
    """A method of both clients, made of the function that says what is asked."""

    def __init__(self, call: Callable[P, Call[ANSWER]]) -> None:
        """What `call` makes is sent, and its answer is the method's."""
        self._call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, ANSWER]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, Coroutine[Any, Any, ANSWER]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> object:
        """The method of this client."""
        if client is None:
            return self

        def method(*arguments: P.args, **named: P.kwargs) -> object:
            return client._ask(self._call(*arguments, **named))

        method.__doc__ = self.__doc__
        return method


class Api:
    """What both clients have. `realm` and `nonce` are those of the last answer, None before the first.

    `restarts` grows when an answer comes from another run of the server than the one before.
    """

    info = Route(routes.info)
    statistics = Route(routes.statistics)
    session_events = Route(routes.session_events)
    refusals = Route(routes.refusals)
    delete = Route(routes.delete)
    throw_out = Route(routes.throw_out)
    credentials = Route(routes.credentials)
    health = Route(routes.health)
    drain = Route(routes.drain)
    metrics = Route(routes.metrics)

    def __init__(self, url: str, timeout: float) -> None:
        """Nothing is asked yet."""
        self.url = url
        self.realm: str | None = None
        self.nonce: str | None = None
        self.restarts = 0
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def _hear(self, response: httpx2.Response) -> None:
        """What the headers say: the realm, and which run of the server this is."""
        realm, nonce = response.headers.get("realm"), response.headers.get("nonce")
        if realm is None or nonce is None:
            raise AnswerError(f"What answers at {self.url} is no hairpin; name its API.")
        self.restarts += self.nonce not in (None, nonce)
        self.realm, self.nonce = realm, nonce

    def _read(self, call: Call[ANSWER], status: int, body: bytes) -> ANSWER:
        if status not in call.well:
            raise problem(status, body)
        try:
            return call.read(body)
        except (ValidationError, UnicodeDecodeError):
            raise problem(status, body) from None


class Client(Api):
    """The API of one server. Close it, or use it in a `with`; threads may share it.

    `url` and `token` are those of HAIRPIN_URL and HAIRPIN_API_TOKEN where they are None; ValueError where one of them
    will not do. `timeout` is in seconds, for each step of a request and for its whole answer. Whatever keeps an answer
    from its caller is a ClientError.
    """

    def __init__(self, url: str | None = None, *, token: str | None = None, timeout: float = TIMEOUT) -> None:
        """Nothing is asked yet."""
        origin = Origin.find(url, token)
        super().__init__(origin.url, timeout)
        self._http = httpx2.Client(**_options(origin, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def sessions(self, limit: int | None = None, **which: Unpack[Which]) -> Iterator[Session]:
        """The sessions that match, sorted by id, at most `limit`; they are asked for a page at a time."""
        page: Page | None = Page(which, limit)
        while page is not None:
            found = self._ask(page.call)
            yield from found
            page = page.next(found)

    def events(self, after: str = "") -> Iterator[News]:
        """What happens to sessions from now on, or after the event of that `event_id`, until the server stops.

        An UnreachableError is the end of a connection that broke: `after` goes on.
        """
        with _in_plain_words(self.url, SILENCE), self._http.stream(**_listening(after, self._timeout)) as response:
            self._hear(response)
            if response.status_code != OK:
                raise problem(response.status_code, self._collect(response, _Body(self.url, self._timeout)))
            for told in httpx2.EventSource(response):
                if one := news(told, self.url):
                    yield one

    def _ask(self, call: Call[ANSWER]) -> ANSWER:
        body = _Body(self.url, self._timeout)
        with (
            _in_plain_words(self.url, self._timeout),
            self._http.stream(call.method, call.path, params=dict(call.query), json=call.body) as response,
        ):
            self._hear(response)
            collected = self._collect(response, body)
        return self._read(call, response.status_code, collected)

    def _collect(self, response: httpx2.Response, body: "_Body") -> bytes:
        for chunk in response.iter_raw():
            body.add(chunk)
        return bytes(body.collected)


class AsyncClient(Api):
    """The API of one server, for asyncio: as `Client`, but awaited. Close it, or use it in an `async with`."""

    def __init__(self, url: str | None = None, *, token: str | None = None, timeout: float = TIMEOUT) -> None:
        """Nothing is asked yet."""
        origin = Origin.find(url, token)
        super().__init__(origin.url, timeout)
        self._http = httpx2.AsyncClient(**_options(origin, timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def sessions(self, limit: int | None = None, **which: Unpack[Which]) -> AsyncIterator[Session]:
        """The sessions that match, sorted by id, at most `limit`; they are asked for a page at a time."""
        page: Page | None = Page(which, limit)
        while page is not None:
            found = await self._ask(page.call)
            for session in found:
                yield session
            page = page.next(found)

    async def events(self, after: str = "") -> AsyncIterator[News]:
        """What happens to sessions from now on, or after the event of that `event_id`, until the server stops.

        An UnreachableError is the end of a connection that broke: `after` goes on.
        """
        with _in_plain_words(self.url, SILENCE):
            async with self._http.stream(**_listening(after, self._timeout)) as response:
                self._hear(response)
                if response.status_code != OK:
                    raise problem(response.status_code, await self._collect(response, _Body(self.url, self._timeout)))
                async for told in httpx2.EventSource(response):
                    if one := news(told, self.url):
                        yield one

    async def _ask(self, call: Call[ANSWER]) -> ANSWER:
        body = _Body(self.url, self._timeout)
        with _in_plain_words(self.url, self._timeout):
            async with self._http.stream(call.method, call.path, params=dict(call.query), json=call.body) as response:
                self._hear(response)
                collected = await self._collect(response, body)
        return self._read(call, response.status_code, collected)

    async def _collect(self, response: httpx2.Response, body: "_Body") -> bytes:
        async for chunk in response.aiter_raw():
            body.add(chunk)
        return bytes(body.collected)


def _options(origin: Origin, timeout: float) -> dict[str, Any]:
    return {
        "base_url": origin.url,
        "headers": origin.headers,
        "timeout": timeout,
        "limits": LIMITS,
        "follow_redirects": False,  # they would carry the token elsewhere, as a proxy would
        "trust_env": False,
    }


def _listening(after: str, timeout: float) -> dict[str, Any]:
    """The request for a stream that may be silent for a while."""
    return {
        "method": "GET",
        "url": "/events",
        "headers": {"last-event-id": after} if after else {},
        "timeout": httpx2.Timeout(timeout, read=SILENCE),
    }


class _Body:
    """A body as it comes: not too much, and not for too long."""

    def __init__(self, url: str, timeout: float) -> None:
        self.collected = bytearray()
        self._url = url
        self._end = time.monotonic() + timeout

    def add(self, chunk: bytes) -> None:
        self.collected += chunk
        if len(self.collected) > ANSWER_LIMIT:
            raise AnswerError(f"What {self._url} answers is more than {ANSWER_LIMIT} bytes; ask for less.")
        if time.monotonic() > self._end:
            raise httpx2.ReadTimeout("the answer trickles")


@contextmanager
def _in_plain_words(url: str, timeout: float) -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException:
        raise UnreachableError(f"{url} did not answer within {timeout:g} s.") from None
    except httpx2.ConnectError as error:
        raise UnreachableError(f"Nothing answers at {url}: {error}.") from None
    except httpx2.HTTPError as error:
        raise UnreachableError(f"{url} gave no whole answer in HTTP: {error}.") from None
