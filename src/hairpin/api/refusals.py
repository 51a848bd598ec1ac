"""GET /session/refusals: why a login failed, or another request of a client."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from hairpin.api import filters, view
from hairpin.api.filters import Query
from hairpin.api.shared import Live, errors
from hairpin.stun import Method
from hairpin.turn import effects
from hairpin.turn.refusal import Reason

_LISTED = ("address", "username", "limit")

router = APIRouter(tags=["sessions"])


class Refused(BaseModel):
    """A request that was refused. The client was told the error code and nothing else."""

    at: float = Field(ge=0, description="Unix seconds.")
    address: str = Field(description="The client's IP address and port.")
    interface: str = Field(description="The external address of the interface that the client uses.")
    transport: int = Field(ge=0, le=1, description="0 = UDP, 1 = TCP (with or without TLS).")
    username: str = Field(description="As the client gave it; empty where it gave none.")
    method: str = Field(description="allocate, refresh, create_permission, channel_bind, connect or connection_bind.")
    error: int = Field(ge=0, le=699, description="The error code of the answer; 0 where there was none.")
    reason: Reason = Field(description="The kind of refusal.")
    detail: str = Field(description="A sentence on this case.")


@router.get(
    "/session/refusals",
    response_model=list[Refused],
    responses=errors(400),
    openapi_extra=filters.parameters(_LISTED),
    operation_id="list_refusals",
)
async def list_refusals(request: Request, live: Live) -> JSONResponse:
    """Who was refused of late and why, the latest first: as many as the server remembers (a thousand logins or so)."""
    query = filters.read(request.query_params, _LISTED)
    wanted = (one for one in live.refusals() if _is_wanted(one.request, query))
    return JSONResponse([_body(one) for one in islice(wanted, query.limit)])


def _is_wanted(request: effects.Refused, query: Query) -> bool:
    client = request.client
    return query.address in (None, client, client.ip) and query.username in (None, *_names(request.username))


def _names(username: str) -> Iterable[str]:
    """The user name, and the name that stands behind or before a colon, as in TURN REST credentials."""
    return username, username.partition(":")[2], username.rpartition(":")[0]


def _body(one: view.Refused) -> dict[str, Any]:
    request = one.request
    return {
        "at": round(one.at, 3),
        "address": str(request.client),
        "interface": str(request.interface),
        "transport": int(request.transport),
        "username": request.username,
        "method": Method(request.method).name.lower(),
        "error": request.code,
        "reason": request.refusal.reason,
        "detail": request.refusal.detail,
    }
