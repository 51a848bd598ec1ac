"""A long listing over the API, while TURN goes on in the same loop."""

import asyncio
import json

import httpx2
import pytest

from api.conftest import FakeView
from driving import Caller, World
from hairpin.api import create_app, listing

SESSIONS = 50_000
AT_ONCE = 100  # sessions between two turns of the loop: some 2 ms where one takes 20 us


@pytest.fixture(scope="module")
def world() -> World:
    """50,000 sessions that all came through the packet path."""
    world = World(ports=(1024, 65535), sessions_per_user=0)
    for number in range(SESSIONS):
        assert Caller(world, number).allocate() == 0
    return world


async def test_turn_is_answered_while_50_000_sessions_are_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two turns of the loop a bounded number of sessions is encoded, and in each turn a request is answered."""
    encoded = 0
    body = listing.body

    def counted(*arguments: object) -> object:
        nonlocal encoded
        encoded += 1
        return body(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(listing, "body", counted)
    view = FakeView(live=world.rules.sessions, clock=world.table.now)
    transport = httpx2.ASGITransport(create_app(view))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3000") as api:
        asked = asyncio.create_task(api.get("/session"))
        caller, steps, before = Caller(world, 7), [], 0
        while not asked.done():
            assert caller.refresh() == 0
            await asyncio.sleep(0)
            steps.append(encoded - before)
            before = encoded
        sessions = json.loads((await asked).content)
    assert max(steps) <= AT_ONCE
    assert len(steps) >= SESSIONS / AT_ONCE
    assert len({one["id"] for one in sessions}) == encoded == SESSIONS
    assert all(one["port"] for one in sessions)
