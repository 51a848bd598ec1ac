"""What the dashboard shows, as its page asks for it: never a password."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from hairpin.api import rows
from hairpin.api.health import Status, condition
from hairpin.api.info import Interface, interface
from hairpin.api.problems import ApiError
from hairpin.api.rows import Details, Row, Sort
from hairpin.api.sessions import Statistics, Uint64
from hairpin.api.shared import Live, errors, problem
from hairpin.api.view import SECOND, Figures, View

MOST_ROWS = 200  # each asks a worker for its figures

router = APIRouter(prefix="/dashboard", tags=["dashboard"])


class Ports(BaseModel):
    """Relay ports of an IP version."""

    ip: Literal[4, 6]
    allocated: int = Field(ge=0)
    capacity: int = Field(ge=0)


class Delivery(BaseModel):
    """How the delivery of events to the hooks is."""

    waiting: int = Field(ge=0, description="Events that are not delivered yet.")
    failing: bool = Field(description="Whether the last attempt failed.")


class State(BaseModel):
    """The server at this moment. Figures only grow: two of these make a rate."""

    status: Status
    failing: list[str] = Field(description="What failed when the server last tried its own listeners as a client.")
    software: str
    realm: str
    uptime: Uint64 = Field(description="Whole seconds since the start.")
    asks_for_token: bool = Field(description="Whether there is a login to leave.")
    warnings: list[str]
    interfaces: list[Interface]
    ports: list[Ports]
    sessions: int = Field(ge=0, description="Sessions that live.")
    clients: Statistics = Field(description="All sessions, living and ended ones.")
    strangers: Statistics = Field(description="Clients that proved nothing.")
    drops: dict[str, Uint64] = Field(description="Packets dropped, by reason.")
    given_up: dict[str, Uint64] = Field(description="What was given up to stay bounded, by what it was.")
    hooks: Delivery | None = Field(description="null where there are none.")


class Page(BaseModel):
    """A page of sessions."""

    total: int = Field(ge=0, description="Sessions that live.")
    matching: int = Field(ge=0, description="Those that match the search.")
    sessions: list[Row]


class Entrance(BaseModel):
    """A way into the server."""

    name: Literal["udp", "tcp", "tls", "dtls"]
    url: str


class Trial(BaseModel):
    """What a browser needs to test this server."""

    username: str
    credential: str
    seconds: int = Field(ge=1, description="How long an allocation may be made with them.")
    entrances: list[Entrance]


@router.get("/state", response_model=State, responses=errors(503))
async def state(view: Live) -> State:
    """The server, its listeners, what was carried and what was dropped."""
    workers = await view.totals()
    drops: Counter[str] = Counter()
    for one in workers:
        drops.update(one.drops)
    hooks = view.hooks()
    status, failing = condition(view)
    return State(
        status=status,
        failing=failing,
        software=view.software,
        realm=view.realm,
        uptime=(view.now() - view.started) // SECOND,
        asks_for_token=view.access.token is not None,
        warnings=list(view.warnings()),
        interfaces=[interface(one) for one in view.interfaces],
        ports=_ports(view),
        sessions=len(view.sessions()),
        clients=_sum(one.sessions for one in workers),
        strangers=_sum(one.strangers for one in workers),
        drops=drops,
        given_up=dict(view.given_up()),
        hooks=None if hooks is None else Delivery(waiting=hooks.waiting, failing=hooks.failing),
    )


@router.get("/sessions", response_model=Page, responses={422: problem("The query cannot be read.")})
async def sessions(
    view: Live,
    search: Annotated[str, Query(max_length=512, description="A part of a name, an address, a peer or an id.")] = "",
    sort: Annotated[Sort, Query(description="By what.")] = Sort.AGE,
    descending: bool = False,
    offset: Annotated[int, Query(ge=0, le=2**32)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 50,
) -> Page:
    """The sessions that match, sorted, a page of them with their figures."""
    found = await rows.find(view, search, sort, descending=descending)
    shown = found[offset : offset + limit]
    figures = await asyncio.gather(*(view.statistics(one.flow) for one in shown), return_exceptions=True)
    listed = [rows.row(one, view.now(), _known(its)) for one, its in zip(shown, figures, strict=True)]
    return Page(total=len(view.sessions()), matching=len(found), sessions=listed)


@router.get(
    "/session",
    response_model=Details,
    responses={404: problem("No such session."), 422: problem("The query cannot be read."), **errors(503)},
)
async def session(view: Live, id: Annotated[str, Query(min_length=1)]) -> Details:  # noqa: A002
    """One live session with its peers, channels and connections."""
    found = await rows.named(view, id)
    figures = await view.statistics(found.flow) if found else None
    if found is None or figures is None:
        raise ApiError(
            404, "No session of this id lives; GET /session/events knows those that have ended a moment ago."
        )
    return rows.details(found, view.now(), Statistics.model_validate(figures))


@router.post("/trial", response_model=Trial)
async def trial(view: Live) -> Trial:
    """Credentials for a test from a browser: good for a short while, and only between relays of this server."""
    made = view.trial()
    entrances = [Entrance.model_validate({"name": name, "url": url}) for name, url in made.entrances]
    return Trial(username=made.username, credential=made.password, seconds=made.seconds, entrances=entrances)


def _ports(view: View) -> list[Ports]:
    known = view.ports().items()
    return [Ports.model_validate({"ip": ip, "allocated": taken, "capacity": all_}) for ip, (taken, all_) in known]


def _known(figures: Figures | BaseException | None) -> Statistics | None:
    """None for a session that has just ended, and where the worker is late."""
    if isinstance(figures, BaseException | None):
        return None
    return Statistics.model_validate(figures)


def _sum(figures: Iterable[Figures]) -> Statistics:
    known = [Statistics.model_validate(one) for one in figures]
    sums = {name: sum(getattr(one, name) for one in known) for name in Statistics.model_fields}
    return Statistics(**{name: min(value, 2**64 - 1) for name, value in sums.items()})
