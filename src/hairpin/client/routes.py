"""The routes of the API as values: what is asked, and how the answer is read. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Self, TypeVar, Unpack

from pydantic import TypeAdapter

from hairpin.client.models import Deleted, Events, Health, IceServers, Info, Refused, Session, Statistics
from hairpin.client.which import Which

ANSWER = TypeVar("ANSWER")
DAY = 86_400
PAGE = 1000  # sessions asked for at a time
_SESSIONS = TypeAdapter(tuple[Session, ...])
_REFUSALS = TypeAdapter(tuple[Refused, ...])


@dataclass(frozen=True, slots=True)
class Call(Generic[ANSWER]):
    """One request; `well` is the statuses that bring an answer, every other brings a problem."""

    method: str
    path: str
    read: Callable[[bytes], ANSWER]
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, str | int] | None = None
    well: tuple[int, ...] = (200,)


def info() -> Call[Info]:
    """Version, uptime, relay ports and interfaces."""
    return Call("GET", "/info", Info.model_validate_json)


def statistics(**which: Unpack[Which]) -> Call[Statistics]:
    """The statistics of exactly one session: NotFoundError for none, SeveralError for several."""
    return Call("GET", "/session/statistics", Statistics.model_validate_json, _query(which))


def session_events(id: str) -> Call[Events]:  # noqa: A002
    """What became of a session, also a while after its end; NotFoundError where nobody knows any more."""
    return Call("GET", "/session/events", Events.model_validate_json, {"id": id})


def refusals(username: str = "", address: str = "", limit: int | None = None) -> Call[tuple[Refused, ...]]:
    """Who was refused of late and why, the latest first; of a user, of a client's IP:PORT or IP, or of all."""
    query = _query({"username": username, "address": address, "limit": limit})
    return Call("GET", "/session/refusals", _REFUSALS.validate_json, query)


def delete(**which: Unpack[Which]) -> Call[Deleted]:
    """End exactly one session: NotFoundError for none, SeveralError for several. Then nothing is relayed any more."""
    return Call("DELETE", "/session", Deleted.model_validate_json, _query(which))


def throw_out(username: str, block: int | None = None) -> Call[Deleted]:
    """End all sessions of a user, and refuse his Allocates for `block` seconds."""
    query = _query({"username": username, "all": "true", "block": block})
    return Call("DELETE", "/session", Deleted.model_validate_json, query)


def credentials(user: str = "", ttl: int = DAY) -> Call[IceServers]:
    """Fresh credentials for a browser, good for `ttl` seconds; the server needs auth.static_auth_secret."""
    return Call("POST", "/credentials", IceServers.model_validate_json, body={"user": user, "ttl": ttl})


def health() -> Call[Health]:
    """How the server is: `status` is "ok" while all is well."""
    return Call("GET", "/health", Health.model_validate_json, well=(200, 503))


def drain() -> Call[Health]:
    """Refuse new allocations, and stop when the sessions have ended; a second one stops at once."""
    return Call("POST", "/drain", Health.model_validate_json, well=(202,))


def metrics() -> Call[str]:
    """All figures, in Prometheus' text format."""
    return Call("GET", "/metrics", bytes.decode)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of sessions, sorted by id; `left` is how many are still wanted, None for all."""

    which: Which
    left: int | None = None
    after: str = ""

    @property
    def call(self) -> Call[tuple[Session, ...]]:
        """What asks for it."""
        query = _query({**self.which, "limit": self._size, "after": self.after})
        return Call("GET", "/session", _SESSIONS.validate_json, query)

    def next(self, found: tuple[Session, ...]) -> Self | None:
        """The page after one that had these; None after the last one."""
        left = None if self.left is None else self.left - len(found)
        if len(found) < self._size or left == 0:
            return None
        return replace(self, left=left, after=found[-1].id)

    @property
    def _size(self) -> int:
        return PAGE if self.left is None else min(PAGE, self.left)


def _query(fields: Mapping[str, object]) -> dict[str, str | int]:
    return {name: value for name, value in fields.items() if isinstance(value, str | int) and value != ""}
