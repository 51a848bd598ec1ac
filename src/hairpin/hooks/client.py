"""The HTTP client of the hooks: no redirects, no proxy from the environment, short answers, in limited time."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx2

BODY_LIMIT = 1024
# More than look-ups and events have in flight together. Idle connections go before usual servers (5 s) close them.
LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0)


class HookClient:
    """Requests to the hooks' base URL; whatever goes wrong is a ConnectionError or TimeoutError in plain words."""

    def __init__(self, base_url: str, headers: Mapping[str, str], timeout: float) -> None:
        """Send `headers` with every request."""
        self._timeout = timeout
        self._base_url = base_url.rstrip("/")
        self._client = httpx2.AsyncClient(
            headers={"accept-encoding": "identity", **headers},
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            limits=LIMITS,
        )

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def get(self, path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        """GET a path with a query: the status and the body."""
        return await self._request("GET", path, params=params)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """POST a JSON body: the status."""
        headers = {"content-type": "application/json", **headers}
        status, _ = await self._request("POST", path, content=body, headers=headers)
        return status

    async def _request(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        try:
            # The client's own limits are for a step each; an answer may not trickle either.
            async with asyncio.timeout(self._timeout):
                return await self._send(self._client.build_request(method, self._base_url + path, **more))
        except (TimeoutError, httpx2.TimeoutException):
            raise TimeoutError(f"no answer in {self._timeout:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.CookieConflict, httpx2.StreamError) as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from None

    async def _send(self, request: httpx2.Request) -> tuple[int, bytes]:
        response = await self._client.send(request, stream=True)
        try:
            return response.status_code, await _body(response)
        finally:
            await response.aclose()


async def _body(response: httpx2.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise ConnectionError(f"an answer of more than {BODY_LIMIT} bytes")
    return body
