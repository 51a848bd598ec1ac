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
from hairpin.client.models import Deleted, Health, IceServer, IceServers, Info, Interface, Peer, Session, Statistics
from hairpin.client.which import Which

__all__ = [
    "AnswerError",
    "AsyncClient",
    "Client",
    "ClientError",
    "Deleted",
    "Health",
    "IceServer",
    "IceServers",
    "Info",
    "Interface",
    "NotFoundError",
    "Peer",
    "ProblemError",
    "QueryError",
    "Session",
    "SeveralError",
    "Statistics",
    "TokenError",
    "UnreachableError",
    "Which",
]
