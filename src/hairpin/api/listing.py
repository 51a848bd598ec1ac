"""Long lists of sessions, read live and in small steps, so that the loop never waits for the API."""

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Any

from hairpin.api.view import SECOND, View
from hairpin.turn.state import Allocation, Session

SCAN = 500
ENCODE = 50
ENTRIES = 2000  # permissions, channels and ports: one session may have thousands
_NO_RELAY: dict[str, Any] = {"channels": [], "permissions": [], "relays": [], "peers": []}
_id = attrgetter("id")


async def matching(
    view: View, wanted: Callable[[Session], bool], key: Callable[[Session], Any] = _id, *, reverse: bool = False
) -> list[list[Session]]:
    """The sessions that are wanted, in runs that are sorted each; who is `alive` is asked when its turn comes."""
    return [sorted(filter(wanted, some), key=key, reverse=reverse) async for some in in_steps(view)]


async def found(view: View, wanted: Callable[[Session], bool]) -> list[Session]:
    """The live sessions that are wanted, in no order."""
    return [one for run in await matching(view, wanted) for one in run if alive(view, one)]


async def in_steps(view: View) -> AsyncIterator[list[Session]]:
    """All sessions of this moment, some at a time."""
    everyone = iter(list(view.sessions().values()))
    while some := list(islice(everyone, SCAN)):
        yield some
        await asyncio.sleep(0)


def alive(view: View, session: Session) -> bool:
    """Whether a session that was seen before a wait is still there."""
    return view.sessions().get(session.flow) is session and session.expires > view.now()


async def encoded(
    view: View, runs: list[list[Session]], limit: int | None, hide_passwords: bool
) -> AsyncIterator[bytes]:
    """A JSON array, a piece at a time.

    Sorted by id: that order never changes, and `after` finds its place also when the session that it names is gone.
    """
    left, opening = limit, b"["
    for some in _slices(heapq.merge(*runs, key=_id)):
        bodies = list(islice(_bodies(view, some, hide_passwords), left))
        if bodies:
            yield opening + json.dumps(bodies, separators=(",", ":")).encode()[1:-1]
            opening = b","
            left = None if left is None else left - len(bodies)
        if left == 0:
            break
        await asyncio.sleep(0)
    yield b"[]" if opening == b"[" else b"]"


def _slices(ordered: Iterable[Session]) -> Iterator[list[Session]]:
    """Sessions together until they are many, or have much to show."""
    some: list[Session] = []
    entries = 0
    for session in ordered:
        some.append(session)
        entries += _entries(session)
        if len(some) >= ENCODE or entries >= ENTRIES:
            yield some
            some, entries = [], 0
    yield some


def _entries(session: Session) -> int:
    allocation = session.allocation
    if allocation is None:
        return 0
    ports = sum(len(permission.ports) for permission in allocation.permissions.values())
    return len(allocation.permissions) + len(allocation.channels) + ports


def _bodies(view: View, some: list[Session], hide_passwords: bool) -> Iterator[dict[str, Any]]:
    return (body(one, view.now(), hide_passwords) for one in some if alive(view, one))


def body(session: Session, now: int, hide_password: bool) -> dict[str, Any]:
    """A session as the API shows it: what is alive at `now`."""
    identity = session.identity
    shown = {
        "id": session.id,
        "address": str(session.client),
        "interface": str(session.interface),
        "transport": int(session.transport),
        "username": identity.username,
        "password": "" if hide_password else identity.password,
        "expires": seconds(session.expires, now),
    }
    return {**shown, **(_relay(session.allocation, now) if session.allocation else _NO_RELAY)}


def _relay(allocation: Allocation, now: int) -> dict[str, Any]:
    permissions = [one for one in allocation.permissions.values() if one.expires > now]
    channels = [one.number for one in allocation.channels.values() if one.expires > now]
    return {
        "port": allocation.relays[0].external.port,
        "channels": sorted(channels),
        "permissions": sorted(set[int]().union(*(one.ports for one in permissions))),
        "relays": [str(one.external) for one in allocation.relays if one.expires > now],
        "peers": [{"address": one.ip, "expires": seconds(one.expires, now)} for one in permissions],
    }


def seconds(deadline: int, now: int) -> int:
    """Whole seconds until a deadline."""
    return max(0, (deadline - now) // SECOND)
