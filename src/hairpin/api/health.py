"""Whether the server takes new allocations, and the way to make it stop doing so."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from hairpin.api.guard import TRUSTED
from hairpin.api.shared import Live

router = APIRouter(tags=["server"])


class Health(BaseModel):
    """The server's state."""

    status: Literal["ok", "draining"]
    warnings: list[str] | None = Field(
        default=None, description="What the operator should know; for those who are let in."
    )


_DRAINING: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "The server is about to stop and takes no new allocations."}
}


@router.get(
    "/health", response_model=Health, response_model_exclude_none=True, responses=_DRAINING, operation_id="health"
)
async def health(request: Request, response: Response, view: Live) -> Health:
    """200 while new allocations are taken, 503 while the server drains. Without the token it says no more than that."""
    response.status_code = 503 if view.draining else 200
    warnings = list(view.warnings()) if request.scope[TRUSTED] else None
    return Health(status="draining" if view.draining else "ok", warnings=warnings)


@router.post("/drain", response_model=Health, response_model_exclude_none=True, status_code=202, operation_id="drain")
async def drain(view: Live) -> Health:
    """Refuse new allocations, wait up to limits.drain for sessions to end, then stop. A second one stops at once."""
    view.drain()
    return Health(status="draining")
