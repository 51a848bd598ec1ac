"""HTTP below the application: what is no HTTP at all, who is too slow, and who is one too many."""

import asyncio
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hairpin.api.headers import stamps
from hairpin.api.problems import respond
from hairpin.api.view import View

PATIENCE = 30.0  # seconds for a whole request, from the connection's begin or the response before
CONNECTIONS = 256  # at a time: each costs a descriptor, and those are for relays


def protocol(view: View) -> type[H11Protocol]:
    """uvicorn's protocol, for its setting `http`; the application never sees the requests that this answers."""
    garbage = respond(400, "This is no HTTP/1.1 request; send one.", {"Connection": "close"})

    class Protocol(_Bounded):
        """One connection."""

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002
            """Answer, with the headers that stand on every response, and hang up; only hang up after an answer."""
            if self.cycle is not None:
                self.cycle.disconnected = True  # or the application would answer, too
                self.cycle.message_event.set()
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                start = h11.Response(status_code=400, headers=garbage.raw_headers + stamps(view), reason=b"Bad Request")
                for event in (start, h11.Data(data=bytes(garbage.body)), h11.EndOfMessage()):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return Protocol


def _silence() -> logging.Logger:
    """A logger that nobody else has: what strangers send is no news, and what fails here is logged by the view."""
    logger = logging.Logger("hairpin.api.http", logging.CRITICAL)
    logger.disabled = True
    return logger


_SILENCE = _silence()


class _Bounded(H11Protocol):
    """A connection that says nothing in uvicorn's logs, waits for a request so long, and is one of so many."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.logger = self.access_logger = _SILENCE
        self.access_log = False
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        self._rest()
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Limit the wait for the client while it is the client's turn."""
        if self.transport.is_closing() or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._rest()
        elif self._limit is None:
            self._limit = self.loop.call_later(PATIENCE, self.transport.abort)

    def _rest(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
