"""GET /info: what this server is and how full it is."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from hairpin.api import view
from hairpin.api.sessions import Uint16, Uint64
from hairpin.api.shared import Live

router = APIRouter(tags=["server"])


class Interface(BaseModel):
    """A listener."""

    transport: int = Field(ge=0, le=1, description="0 = UDP, 1 = TCP.")
    bind: str = Field(description="The address that the server listens on.")
    external: str = Field(description="The address that clients use.")
    tls: Literal[True] | None = Field(default=None, description="Present where TLS runs over it (over UDP: DTLS).")


class Info(BaseModel):
    """The server."""

    software: str
    uptime: Uint64 = Field(description="Whole seconds since the start.")
    port_allocated: Uint16 = Field(description="Relay ports taken now, of the fuller IP version (all: /metrics).")
    port_capacity: Uint16 = Field(description="The size of the relay port range, 65535 at most.")
    interfaces: list[Interface]


@router.get("/info", response_model=Info, response_model_exclude_none=True, operation_id="info")
async def info(server: Live) -> Info:
    """Version, uptime, relay ports and interfaces."""
    allocated, capacity = max(server.ports().values(), default=(0, 0))
    return Info(
        software=server.software,
        uptime=(server.now() - server.started) // view.SECOND,
        port_allocated=min(allocated, 65535),
        port_capacity=min(capacity, 65535),
        interfaces=[interface(one) for one in server.interfaces],
    )


def interface(one: view.Interface) -> Interface:
    """A listener as the API shows it."""
    return Interface(
        transport=one.transport, bind=str(one.bind), external=str(one.external), tls=True if one.tls else None
    )
