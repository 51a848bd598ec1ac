"""Whether the server takes new allocations, and the way to make it stop doing so."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from hairpin.api.guard import TRUSTED
from hairpin.api.shared import Live
from hairpin.api.view import View

router = APIRouter(tags=["server"])


Status = Literal["ok", "draining", "failing"]


class Health(BaseModel):
    """The server's state."""

    status: Status
    failing: list[str] | None = Field(
        default=None,
        description="What failed when the server last tried its own listeners as a client; for those who are let in.",
    )
    warnings: list[str] | None = Field(
        default=None, description="What the operator should know; for those who are let in."
    )


_NOT_WELL: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "The server is about to stop, or fails when it tries itself as a client."}
}


@router.get(
    "/health", response_model=Health, response_model_exclude_none=True, responses=_NOT_WELL, operation_id="health"
)
async def health(request: Request, response: Response, view: Live) -> Health:
    """200 while new allocations are taken; 503 while the server drains, or failed when it last tried its own listeners
    as a client. Without the token it says no more than that."""
    status, problems = condition(view)
    response.status_code = 200 if status == "ok" else 503
    if not request.scope[TRUSTED]:
        return Health(status=status)
    return Health(status=status, failing=problems or None, warnings=list(view.warnings()))


def condition(view: View) -> tuple[Status, list[str]]:
    """How the server is, and what failed when it last tried its own listeners."""
    problems = [f"{one.transport} {one.interface}: {one.problem}" for one in view.probes() if one.problem]
    return "draining" if view.draining else "failing" if problems else "ok", problems


@router.post("/drain", response_model=Health, response_model_exclude_none=True, status_code=202, operation_id="drain")
async def drain(view: Live) -> Health:
    """Refuse new allocations, wait up to limits.drain for sessions to end, then stop. A second one stops at once."""
    view.drain()
    return Health(status="draining")
