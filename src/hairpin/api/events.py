"""GET /events: what happens to sessions, live, as server-sent events (HTML, section 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from hairpin.api import login
from hairpin.api.feed import LISTENERS, Feed, FullError, Listener
from hairpin.api.problems import ApiError
from hairpin.api.shared import Live, problem

KEEP_ALIVE = 15.0  # seconds of silence until a comment says that the connection lives
STUCK = 30.0  # seconds in which a listener has to make room for more
RETRY = 2000  # milliseconds until a browser comes back
MEDIA_TYPE = "text/event-stream"

router = APIRouter(tags=["events"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Each event is one JSON object, the body that the hooks are told; an event named `missed` "
        'says how many this listener has lost since its last one: `{"missed": 12}`.',
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    },
    503: problem("There are as many listeners as there may be."),
}


_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was received. One of an earlier run, or of none, means from now on.",
    "schema": {"type": "string"},
}


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses=_RESPONSES,
    openapi_extra={"parameters": [_LAST_EVENT_ID]},
    operation_id="events",
)
async def events(request: Request, view: Live) -> StreamingResponse:
    """Stream what happens to sessions from now on, or from after `Last-Event-ID` on, until one of both hangs up."""
    return _Stream(view.feed, request.headers.get("last-event-id", ""), lambda: login.stands(request))


class _Stream(StreamingResponse):
    """A response without end, for who is `welcome`. However it ends, its listener leaves."""

    def __init__(self, feed: Feed, last_event_id: str, welcome: Callable[[], bool]) -> None:
        self._feed = feed
        self._last_event_id = last_event_id
        self._welcome = welcome
        super().__init__((), media_type=MEDIA_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patiently(message: Message) -> None:
            async with asyncio.timeout(STUCK):
                await send(message)

        try:
            with self._feed.listen(self._last_event_id) as listener:
                self.body_iterator = told(self._feed, listener, self._welcome)
                await super().__call__(scope, receive, patiently)
        except FullError:
            raise ApiError(503, f"{LISTENERS} listen already; close one of them, then try again.") from None
        except TimeoutError:
            return  # without the end of a body: the connection is closed


async def told(feed: Feed, listener: Listener, welcome: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The stream, a piece at a time."""
    yield f"retry: {RETRY}\nid: {feed.id(listener.after)}\n\n".encode()
    while welcome():
        listener.news.clear()
        missed, some = feed.take(listener)
        if missed:
            yield f'event: missed\ndata: {{"missed":{missed}}}\n\n'.encode()
        if some:
            yield b"".join(b"id: %b\ndata: %b\n\n" % (feed.id(number).encode(), body) for number, body in some)
            await asyncio.sleep(0)
        elif feed.ended:
            return
        elif not await _news(listener):
            yield b":\n\n"


async def _news(listener: Listener) -> bool:
    """Whether anything happens before it is time for a sign of life."""
    try:
        async with asyncio.timeout(KEEP_ALIVE):
            return await listener.news.wait()
    except TimeoutError:
        return False
