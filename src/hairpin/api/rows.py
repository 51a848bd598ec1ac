"""Sessions as the dashboard shows them: searched, sorted, and without their passwords."""

import asyncio
import heapq
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from hairpin.api.listing import SCAN, alive, found, matching, seconds
from hairpin.api.sessions import Statistics, Uint16, Uint32
from hairpin.api.view import SECOND, View
from hairpin.turn import state


class Sort(StrEnum):
    """By what sessions may be sorted."""

    AGE = "age"
    USERNAME = "username"
    ADDRESS = "address"
    INTERFACE = "interface"
    RELAY = "relay"
    PEERS = "peers"
    CHANNELS = "channels"
    EXPIRES = "expires"


class Row(BaseModel):
    """A session in the list."""

    id: str
    username: str
    address: str
    interface: str
    transport: int = Field(ge=0, le=1, description="0 = UDP, 1 = TCP (with or without TLS).")
    age: int = Field(ge=0, description="Whole seconds since it began.")
    expires: Uint32 = Field(description="Whole seconds until it ends unless it is refreshed.")
    relays: list[str] = Field(description="The relayed transport addresses.")
    peers: int = Field(ge=0, description="Permissions that live.")
    channels: int = Field(ge=0, description="Channels that are bound.")
    statistics: Statistics | None = Field(description="null where the worker has not answered.")


class PermittedPeer(BaseModel):
    """A permission that lives."""

    address: str
    ports: list[Uint16] = Field(description="The ports that the client named, sorted.")
    expires: Uint32


class Channel(BaseModel):
    """A channel that is bound."""

    number: Uint16
    peer: str
    expires: Uint32


class Connection(BaseModel):
    """A TCP connection to a peer (RFC 6062)."""

    peer: str
    bound: bool = Field(description="Whether a data connection is bound to it.")


class Details(BaseModel):
    """All that is known of one session."""

    session: Row
    permissions: list[PermittedPeer]
    bindings: list[Channel]
    connections: list[Connection]


_BY: dict[Sort, Callable[[state.Session], Any]] = {
    Sort.AGE: lambda one: -one.began,
    Sort.USERNAME: lambda one: one.username.casefold(),
    Sort.ADDRESS: lambda one: (one.client.version, one.client.ip, one.client.port),
    Sort.INTERFACE: lambda one: (one.transport, str(one.interface)),
    Sort.RELAY: lambda one: str(one.allocation.relays[0].external) if one.allocation else "",
    Sort.PEERS: lambda one: len(one.allocation.permissions) if one.allocation else 0,
    Sort.CHANNELS: lambda one: len(one.allocation.channels) if one.allocation else 0,
    Sort.EXPIRES: lambda one: one.expires,
}


async def find(view: View, search: str, sort: Sort, *, descending: bool) -> list[state.Session]:
    """The live sessions that match, in order."""
    wanted, key = _chooser(search), _BY[sort]
    runs = await matching(view, wanted, key, reverse=descending)
    shown, ordered = [], heapq.merge(*runs, key=key, reverse=descending)
    for number, one in enumerate(ordered, 1):
        if alive(view, one):
            shown.append(one)
        if not number % SCAN:
            await asyncio.sleep(0)
    return shown


async def named(view: View, identity: str) -> state.Session | None:
    """The live session of this id."""
    return next(iter(await found(view, lambda one: one.id == identity)), None)


def row(session: state.Session, now: int, statistics: Statistics | None) -> Row:
    """A session in the list."""
    allocation = session.allocation
    return Row(
        id=session.id,
        username=session.username,
        address=str(session.client),
        interface=str(session.interface),
        transport=int(session.transport),
        age=max(0, now - session.began) // SECOND,
        expires=seconds(session.expires, now),
        relays=[str(one.external) for one in allocation.relays] if allocation else [],
        peers=sum(one.expires > now for one in allocation.permissions.values()) if allocation else 0,
        channels=sum(one.expires > now for one in allocation.channels.values()) if allocation else 0,
        statistics=statistics,
    )


def details(session: state.Session, now: int, statistics: Statistics) -> Details:
    """All that is known of a session."""
    allocation = session.allocation
    permissions = allocation.permissions.values() if allocation else ()
    channels = allocation.channels.values() if allocation else ()
    return Details(
        session=row(session, now, statistics),
        permissions=[
            PermittedPeer(address=one.ip, ports=sorted(one.ports), expires=seconds(one.expires, now))
            for one in permissions
            if one.expires > now
        ],
        bindings=[
            Channel(number=one.number, peer=str(one.peer), expires=seconds(one.expires, now))
            for one in channels
            if one.expires > now
        ],
        connections=[Connection(peer=str(one.peer), bound=one.expires is None) for one in session.connections()],
    )


def _chooser(search: str) -> Callable[[state.Session], bool]:
    if not search:
        return lambda _: True
    wanted = search.casefold()
    return lambda one: wanted in _text(one)


def _text(one: state.Session) -> str:
    """What a search looks at."""
    texts = [one.id, one.username, str(one.client), str(one.interface)]
    if one.allocation:
        texts += [str(relay.external) for relay in one.allocation.relays]
        texts += one.allocation.permissions
    return "\n".join(texts).casefold()
