"""What the API answers, field by field as /openapi.json has it. A newer server's further fields are left out."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hairpin.client.which import Which


class Answer(BaseModel):
    """A value that does not change."""

    model_config = ConfigDict(frozen=True)


class Open(Answer):
    """A value with fields of its own beside those of its model: what an event says depends on its kind."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def data(self) -> Mapping[str, Any]:
        """What the kind adds, such as the `port` of one that is `allocated`."""
        return self.model_extra or {}


class Interface(Answer):
    """A listener: `transport` is 0 for UDP, 1 for TCP; `tls` where TLS (over UDP: DTLS) runs there."""

    transport: int
    bind: str
    external: str
    tls: bool | None = None


class Info(Answer):
    """The server; `uptime` in seconds."""

    software: str
    uptime: int
    port_allocated: int
    port_capacity: int
    interfaces: tuple[Interface, ...]


class Peer(Answer):
    """An IP address with a permission that lives `expires` seconds more."""

    address: str
    expires: int


class Session(Answer):
    """A client that proved its credentials; `port` is absent until it has allocated, `expires` in seconds."""

    id: str
    address: str
    interface: str
    transport: int
    username: str
    password: str = Field(repr=False)
    channels: tuple[int, ...]
    port: int | None = None
    expires: int
    permissions: tuple[int, ...]
    relays: tuple[str, ...]
    peers: tuple[Peer, ...]

    @property
    def which(self) -> Which:
        """What names this session: `client.statistics(**session.which)`."""
        return {"id": self.id}


class Statistics(Answer):
    """What came from one client (`received`) and went to it (`send`), as its socket saw it."""

    received_bytes: int
    send_bytes: int
    received_pkts: int
    send_pkts: int
    error_pkts: int


class Happening(Open):
    """A control message of a session, or its end, at `at` in Unix seconds."""

    at: float
    kind: str


class Events(Answer):
    """What became of a session; `statistics` are the last ones where it has `ended`.

    `forgotten` is how many messages between the first and the second are known no more.
    """

    id: str
    address: str
    interface: str
    transport: int
    username: str
    ended: bool
    statistics: Statistics | None
    forgotten: int
    events: tuple[Happening, ...]


class Refused(Answer):
    """A request that was refused at `at` (Unix seconds); the client was told `error` alone (0: nothing)."""

    at: float
    address: str
    interface: str
    transport: int
    username: str
    method: str
    error: int
    reason: str
    detail: str


class Deleted(Answer):
    """How many sessions were ended."""

    deleted: int


class IceServer(Answer):
    """An RTCIceServer."""

    urls: tuple[str, ...]
    username: str
    credential: str = Field(repr=False)


class IceServers(Answer):
    """An RTCConfiguration: `model_dump(mode="json")` is what a browser takes."""

    iceServers: tuple[IceServer, ...]  # noqa: N815  the browser's spelling


class Health(Answer):
    """How the server is; `failing` and `warnings` for those alone who may use the API."""

    status: str
    failing: tuple[str, ...] | None = None
    warnings: tuple[str, ...] | None = None


class ProblemDetails(Answer):
    """What went wrong, and what to do about it (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    matched: int | None = None
