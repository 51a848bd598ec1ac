"""The routes of sessions: list them, read one's statistics, end one or all of a user's."""

import asyncio
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from hairpin.api import filters
from hairpin.api.filters import FILTERS, Query
from hairpin.api.guard import BY_COOKIE
from hairpin.api.listing import encoded, found, matching
from hairpin.api.problems import ApiError
from hairpin.api.shared import Live, errors
from hairpin.api.view import View
from hairpin.turn import state

Uint16 = Annotated[int, Field(ge=0, le=65535)]
Uint32 = Annotated[int, Field(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Field(ge=0, le=2**64 - 1, json_schema_extra={"format": "uint64"})]

_LISTED = (*FILTERS, "limit", "after")
_DELETED = (*FILTERS, "all", "block")
_AT_ONCE = 64

router = APIRouter(tags=["sessions"])


class Peer(BaseModel):
    """An IP address that may send to the session's relays and be sent to (RFC 8656, section 9)."""

    address: str = Field(description="The peer's IP address: a permission is for all of its ports.")
    expires: Uint32 = Field(description="Whole seconds until the permission ends.")


class Session(BaseModel):
    """A client that proved its credentials, by its address, the interface and the transport."""

    id: str = Field(description="Random, one for a session; events carry it too.")
    address: str = Field(description="The client's IP address and port.")
    interface: str = Field(description="The external address of the interface that the client uses.")
    transport: int = Field(ge=0, le=1, description="0 = UDP, 1 = TCP (with or without TLS).")
    username: str
    password: str = Field(description="Empty with api.hide_passwords, and for who asks with a cookie.")
    channels: list[Uint16] = Field(description="Channel numbers that are bound now, sorted.")
    port: Uint16 | None = Field(default=None, description="The relay port; absent until the session has allocated.")
    expires: Uint32 = Field(description="Whole seconds until the session ends unless it is refreshed.")
    permissions: list[Uint16] = Field(description="The ports that the client named in its live permissions, sorted.")
    relays: list[str] = Field(description="The relayed transport addresses.")
    peers: list[Peer] = Field(description="The peers with a live permission.")


class Statistics(BaseModel):
    """What passed the server's socket towards this client, STUN and ChannelData headers counted in."""

    model_config = ConfigDict(from_attributes=True)

    received_bytes: Uint64 = Field(description="Bytes that came from the client.")
    send_bytes: Uint64 = Field(description="Bytes that went to the client.")
    received_pkts: Uint64 = Field(description="Packets that came from the client.")
    send_pkts: Uint64 = Field(description="Packets that went to the client.")
    error_pkts: Uint64 = Field(description="Packets of the client that were not carried on.")


class Deleted(BaseModel):
    """How many sessions were ended."""

    deleted: int = Field(ge=0)


@router.get(
    "/session",
    response_model=list[Session],
    responses=errors(400),
    openapi_extra=filters.parameters(_LISTED),
    operation_id="list_sessions",
)
async def list_sessions(request: Request, view: Live) -> StreamingResponse:
    """The sessions that match every filter, sorted by id. Page with `limit`, and `after` = the last id seen."""
    query = filters.read(request.query_params, _LISTED)
    runs = await matching(view, query.chooser(view.interfaces))
    hide = view.hide_passwords or request.scope[BY_COOKIE]
    return StreamingResponse(encoded(view, runs, query.limit, hide), media_type="application/json")


@router.get(
    "/session/statistics",
    response_model=Statistics,
    responses=errors(400, 404, 503),
    openapi_extra=filters.parameters(FILTERS),
    operation_id="session_statistics",
)
async def statistics(request: Request, view: Live) -> Statistics:
    """The statistics of exactly one session, asked of the worker that carries it."""
    session = await _only(view, filters.read(request.query_params, FILTERS))
    figures = await view.statistics(session.flow)
    if figures is None:
        raise _none()
    return Statistics.model_validate(figures)


@router.delete(
    "/session",
    response_model=Deleted,
    responses=errors(400, 404, 503),
    openapi_extra=filters.parameters(_DELETED),
    operation_id="delete_sessions",
)
async def delete(request: Request, view: Live) -> Deleted:
    """End exactly one session, or with `username` and `all=true` all of a user's; after the 200 nothing is relayed."""
    query = filters.read(request.query_params, _DELETED)
    if query.all:
        return await _throw_out(view, query)
    if query.block is not None:
        raise ApiError(400, f"block is '{query.block}' without all=true; add username=NAME&all=true to block a user.")
    session = await _only(view, query)
    await view.delete(session.flow)
    return Deleted(deleted=1)


async def _only(view: View, query: Query) -> state.Session:
    """The one session that is meant; 404 where there is none, 400 where there are several."""
    meant = await found(view, query.chooser(view.interfaces))
    if not meant:
        raise _none()
    if len(meant) > 1:
        detail = f"{len(meant)} sessions match, and one is meant; add filters (GET /session lists them)."
        raise ApiError(400, detail, matched=len(meant))
    return meant[0]


def _none() -> ApiError:
    return ApiError(404, "No live session matches these filters; GET /session lists all of them.")


async def _throw_out(view: View, query: Query) -> Deleted:
    """All of a user's sessions, after the door is shut."""
    if query.username is None:
        raise ApiError(400, "all is 'true' without a username; say whose sessions shall end.")
    if query.block is not None:
        view.block(query.username, query.block)
    ending = await found(view, query.chooser(view.interfaces))
    if query.block is not None:
        for user in {one.identity.user for one in ending}:
            view.block(user, query.block)
    rest = iter(ending)
    while some := list(islice(rest, _AT_ONCE)):
        await _end(view, some)
    return Deleted(deleted=len(ending))


async def _end(view: View, some: list[state.Session]) -> None:
    """End these together, and see all of them through before a failure is told."""
    outcomes = await asyncio.gather(*(view.delete(one.flow) for one in some), return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome
