"""What `events()` gives: GET /events, an event at a time."""

from typing import Any, TypeAlias

import httpx2
from pydantic import Field, TypeAdapter

from hairpin.client.errors import AnswerError
from hairpin.client.models import Answer, Open

SILENCE = 40.0  # seconds; a server without news gives a sign of life every 15


class Whose(Answer):
    """The client of a session, the interface as clients know it, and `udp` or `tcp`."""

    address: str
    interface: str
    transport: str


class Event(Open):
    """Something that happened to a session, as hooks are told it: `id` is the session's, `at` in Unix seconds.

    `event_id` is the event's own: `events(after=event.event_id)` goes on behind it.
    """

    event_id: str = Field(exclude=True)
    kind: str
    id: str
    at: float
    session: Whose
    username: str


class Missed(Answer):
    """So many events were lost to this listener, before the next one: it was too slow, or away for too long."""

    missed: int


News: TypeAlias = Event | Missed
_BODY = TypeAdapter(dict[str, Any])


def news(told: httpx2.ServerSentEvent, url: str) -> News | None:
    """What a piece of the stream says; None for one that only names its place."""
    if not told.data:
        return None
    try:
        return Missed.model_validate_json(told.data) if told.event == "missed" else _event(told)
    except ValueError:
        raise AnswerError(f"What {url} tells of its sessions is nothing that this client understands.") from None


def _event(told: httpx2.ServerSentEvent) -> Event:
    return Event.model_validate({**_BODY.validate_json(told.data), "event_id": told.id})
