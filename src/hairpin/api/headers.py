"""The outermost layer: headers that stand on every response, and the answer when everything below has crashed."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hairpin.api.problems import CRASHED, respond
from hairpin.api.view import View

# Nothing is kept, and what a client called itself is shown as what the answer says it is: JSON, never a page.
_SAFE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def stamps(view: View) -> list[tuple[bytes, bytes]]:
    """The headers that stand on every response."""
    values = {"realm": view.realm, "nonce": view.run_id, **_SAFE}
    return [(name.encode(), value.encode()) for name, value in values.items()]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Sets `realm`, `nonce` and what browsers must know below the framework, so that no response is without them."""

    app: ASGIApp
    view: View

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = _Response(send, stamps(self.view))
        try:
            await self.app(scope, receive, response.send)
        except Exception:
            self.view.crashed(scope["path"])
            if not response.started:
                await respond(500, CRASHED)(scope, receive, response.send)
            elif not response.ended:
                raise  # a body cut short must not look whole: the server closes the connection


@dataclass(slots=True)
class _Response:
    """One response on its way out."""

    onward: Send
    stamps: list[tuple[bytes, bytes]]
    started: bool = False
    ended: bool = False

    async def send(self, message: Message) -> None:
        """Pass one message on; the first one is stamped."""
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *self.stamps]}
            self.started = True
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self.onward(message)
