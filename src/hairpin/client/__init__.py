"""A client of the REST API: `with Client() as hairpin: hairpin.info()`, or `async with AsyncClient() as hairpin`."""

from hairpin.client.clients import AsyncClient, Client
from hairpin.client.errors import (
    AnswerError,
    ClientError,
    NotFoundError,
    ProblemError,
    QueryError,
    SeveralError,
    TokenError,
    UnreachableError,
)
from hairpin.client.models import (
    Deleted,
    Events,
    Happening,
    Health,
    IceServer,
    IceServers,
    Info,
    Interface,
    Peer,
    Refused,
    Session,
    Statistics,
)
from hairpin.client.stream import Event, Missed, Whose
from hairpin.client.which import Which

__all__ = [
    "AnswerError",
    "AsyncClient",
    "Client",
    "ClientError",
    "Deleted",
    "Event",
    "Events",
    "Happening",
    "Health",
    "IceServer",
    "IceServers",
    "Info",
    "Interface",
    "Missed",
    "NotFoundError",
    "Peer",
    "ProblemError",
    "QueryError",
    "Refused",
    "Session",
    "SeveralError",
    "Statistics",
    "TokenError",
    "UnreachableError",
    "Which",
    "Whose",
]
