"""Who is let in. With a token: who holds it. Without: programs on this machine, and no web page."""

import re
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hairpin.api import cookie
from hairpin.api.logins import Logins
from hairpin.api.problems import ApiError
from hairpin.api.view import Access

TRUSTED = "hairpin.trusted"
BY_COOKIE = "hairpin.by_cookie"
# What a stranger may see: that the server lives, and a page that asks for the token.
PUBLIC = frozenset({"/health", "/", "/login", "/page/login.js", "/page/style.css", "/page/icon.svg"})
_SAFE = ("GET", "HEAD")  # methods that change nothing (RFC 9110, section 9.2.1)
_BODY_LIMIT = 16 * 1024
_HOST = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?")
_PROXIED = "This request came through a proxy, which makes everyone look local; set api.token and send it as a Bearer."


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses strangers before the framework sees them; marks the scope of those that may know more, and how."""

    app: ASGIApp
    access: Access
    logins: Logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # none is served here
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = refused(self.access, scope["headers"])
        if by_cookie := refusal is not None and self._logged_in(scope["headers"]):
            refusal = _from_elsewhere(scope["method"], scope["headers"])
        scope[TRUSTED], scope[BY_COOKIE] = refusal is None, by_cookie
        public = self.access.token is not None and scope["path"] in PUBLIC
        if refusal is None or public:
            await self.app(scope, _bounded(receive), send)
        else:
            await refusal.response()(scope, receive, send)

    def _logged_in(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a browser that has shown the token asks; who sends an Authorization is judged by that."""
        value = cookie.read(Headers(raw=headers))
        asks = self.access.token is not None and not _all(headers, b"authorization")
        return asks and value is not None and self.logins.knows(value)


def _bounded(receive: Receive) -> Receive:
    """The same request, with an end to what it may make us keep in memory."""
    left = _BODY_LIMIT

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"Send a body of at most {_BODY_LIMIT} bytes.")
        return message

    return bounded


def refused(access: Access, headers: list[tuple[bytes, bytes]]) -> ApiError | None:
    """Why a request with these headers is refused, None where it is welcome."""
    if access.token is not None:
        return _without_token(access.token, headers)
    return _from_a_page(headers) or (None if access.open else _not_local(headers))


def _without_token(token: str, headers: list[tuple[bytes, bytes]]) -> ApiError | None:
    scheme, _, given = (_only(headers, b"authorization") or b"").partition(b" ")
    if scheme.lower() == b"bearer" and compare_digest(given.strip(), token.encode()):
        return None
    return ApiError(401, "Send `Authorization: Bearer TOKEN` with api.token.", {"WWW-Authenticate": "Bearer"})


def _from_a_page(headers: list[tuple[bytes, bytes]]) -> ApiError | None:
    if any(b"websocket" in value.lower() for value in _all(headers, b"upgrade")):
        return ApiError(403, "No WebSocket is opened without a token; set api.token and send it as a Bearer.")
    return _foreign(headers)


def _foreign(headers: list[tuple[bytes, bytes]]) -> ApiError | None:
    """A page may only use the API that served it: its Origin names the Host that it asks."""
    host = (_only(headers, b"host") or b"").lower()
    origins = {origin.lower() for origin in _all(headers, b"origin")}
    if origins <= {b"http://" + host} or origins <= {b"https://" + host}:
        return None
    return ApiError(403, "A web page of another origin may not use this API; set api.token and send it as a Bearer.")


def _from_elsewhere(method: str, headers: list[tuple[bytes, bytes]]) -> ApiError | None:
    """A browser sends the cookie along, whoever asks it to: what changes something has to come from our own page."""
    if method not in _SAFE and not _all(headers, b"origin"):
        return ApiError(403, "With a cookie this needs an Origin, which browsers send; programs send a Bearer.")
    return _foreign(headers)


def _not_local(headers: list[tuple[bytes, bytes]]) -> ApiError | None:
    if any(name in (b"forwarded", b"via") or name.startswith(b"x-forwarded-") for name, _ in headers):
        return ApiError(403, _PROXIED)
    host = _only(headers, b"host")
    if host is None or not _loopback(host.decode("latin-1")):
        return ApiError(403, "Ask for 127.0.0.1, [::1] or localhost, or set api.token and send it as a Bearer.")
    return None


def _loopback(host: str) -> bool:
    """Whether a Host names this machine to itself; any other name may have been rebound to it by a web page's DNS."""
    match = _HOST.fullmatch(host)
    name = (match["ipv6"] or match["name"]).lower() if match else ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _all(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _only(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of a header that stands there once; two of them are as good as none."""
    values = _all(headers, name)
    return values[0] if len(values) == 1 else None
