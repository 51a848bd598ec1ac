"""GET /session/events: what became of one session, for a while also after its end."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from hairpin.api.problems import ApiError
from hairpin.api.sessions import Statistics
from hairpin.api.shared import Live, problem
from hairpin.api.view import Life

router = APIRouter(tags=["sessions"])


class Happening(BaseModel):
    """A control message of a session, or its end; beside time and kind stands what the kind adds, as in /events."""

    model_config = ConfigDict(extra="allow")

    at: float = Field(description="When, in Unix seconds.")
    kind: str = Field(description="allocated, create_permission, channel_bind, refresh, closed.")


class Events(BaseModel):
    """The control messages of a session that are known, the oldest first."""

    id: str
    address: str = Field(description="The client's IP address and port.")
    interface: str = Field(description="The external address of the interface that the client uses, or used.")
    transport: int = Field(ge=0, le=1, description="0 = UDP, 1 = TCP (with or without TLS).")
    username: str
    ended: bool = Field(description="Whether the session is over; the last 256 of those are known.")
    statistics: Statistics | None = Field(description="The last figures of a session that is over.")
    forgotten: int = Field(ge=0, description="How many messages between the first and the second are known no more.")
    events: list[Happening]


_RESPONSES: Mapping[int | str, dict[str, Any]] = {
    404: problem("No session of this id lives, or has ended a moment ago."),
    422: problem("The id is missing."),
}


@router.get("/session/events", response_model=Events, responses=dict(_RESPONSES), operation_id="session_events")
async def session_events(
    view: Live,
    id: Annotated[str, Query(min_length=1, description="The id of the session.")],  # noqa: A002
) -> Events:
    """What became of one session: its first control message, the last ones, and its end."""
    life = view.life(id)
    if life is None:
        raise ApiError(404, "No session of this id lives, or has ended a moment ago; GET /session lists those that do.")
    return _shown(life)


def _shown(life: Life) -> Events:
    session = life.session
    return Events(
        id=session.id,
        address=str(session.client),
        interface=str(session.interface),
        transport=int(session.transport),
        username=session.username,
        ended=life.ended,
        statistics=Statistics.model_validate(life.figures) if life.figures else None,
        forgotten=life.forgotten,
        events=[
            Happening.model_validate({"at": round(at, 3), "kind": kind, **dict(data)})
            for at, kind, data in life.messages
        ],
    )
