"""Usage: what is told of it, when, and of whom; over the packet path in memory."""

import asyncio
import json
import struct
from collections.abc import Iterable
from typing import Any

import pytest

import client as codec
from driving import PEER, SECOND, Caller, World, fail
from hairpin.config import Log
from hairpin.hooks import body
from hairpin.logging import make_logger
from hairpin.server import slices
from hairpin.server.meter import Meter
from hairpin.server.observer import Observer
from hairpin.stun import Address, Counters
from hairpin.turn.effects import Notify


class Watched(World):
    """A world with somebody who listens."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []
        self.observer = Observer(make_logger(Log(level="error")), self.seconds, lambda: self.table.now)
        self.observer.on_event.append(self.hear)
        self.observer.watch(self.engine)
        self.engine.on_failure = fail

    def hear(self, notify: Notify, at: float) -> None:
        """Keep what is told, as receivers read it."""
        self.told.append(json.loads(body(notify, at)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What was told of this kind."""
        return [one for one in self.told if one["kind"] == kind]

    def calling(self, number: int = 1) -> Caller:
        """A client with a channel to a peer."""
        caller = Caller(self, number)
        assert caller.allocate() == 0
        assert caller.bind() == 0
        return caller

    async def read(self, meter: Meter, count: int) -> None:
        """Have so many sessions read."""
        reading = asyncio.ensure_future(meter.read(list(self.rules.sessions.values())[:count]))
        await self.settle()
        await reading


def talk(world: World, caller: Caller) -> None:
    """Ten bytes to the peer, and five back; two packets that go nowhere."""
    caller.raw(struct.pack("!HH", 0x4000, 10) + bytes(10))
    caller.raw(struct.pack("!HH", 0x4001, 10) + bytes(10))
    session = world.rules.sessions[caller.flow]
    assert session.allocation
    relay = session.allocation.relays[0].external
    world.table.from_peer(relay, Address(*PEER), bytes(5))
    world.table.from_peer(relay, Address("203.0.113.99", 1), bytes(5))


async def test_usage_comes_right_before_the_end() -> None:
    """Who, from when, how much each way on both sides, and why it ended."""
    world = Watched()
    caller = world.calling()
    talk(world, caller)
    world.table.now += 7 * SECOND
    ((method, error),) = caller.ask(codec.REFRESH, [(codec.LIFETIME, bytes(4))])
    assert (method, error) == (codec.REFRESH, 0)
    assert [one["kind"] for one in world.told] == ["allocated", "channel_bind", "usage", "closed"]
    allocated, _, usage, closed = world.told
    assert {key: usage[key] for key in ("id", "session", "username")} == {
        key: closed[key] for key in ("id", "session", "username")
    }
    assert (usage["reason"], closed["reason"]) == ("refresh", "refresh")
    assert (usage["began"], usage["until"]) == (allocated["at"], allocated["at"] + 7)
    assert usage["peers"] == {"received_bytes": 5, "received_pkts": 1, "send_bytes": 10, "send_pkts": 1}
    assert (usage["client"]["received_pkts"], usage["client"]["send_pkts"]) == (5, 4)
    assert usage["client"]["received_bytes"] > 2 * 14
    assert usage["error_pkts"] == 1


async def test_who_leaves_is_told_of_with_its_figures() -> None:
    """A client whose connection breaks tells nobody, but its worker does."""
    world = Watched()
    caller = world.calling()
    talk(world, caller)
    world.engine._apply(world.rules.closed(caller.flow, "disconnected", world.table.now), world.table.now)
    assert [one["kind"] for one in world.told] == ["allocated", "channel_bind", "usage", "closed"]
    assert {one["reason"] for one in world.told[2:]} == {"disconnected"}


async def test_figures_of_living_sessions_only_grow() -> None:
    """A record has no reason while the session lives, and the last one says all that the others said."""
    world = Watched()
    meter = Meter(world.engine, 60, world.observer.usage)
    caller = world.calling()
    for _ in range(3):
        talk(world, caller)
        world.table.now += 60 * SECOND
        await world.read(meter, 1)
    assert [one["peers"]["send_bytes"] for one in world.of("usage")] == [10, 20, 30]
    assert [one["until"] - one["began"] for one in world.of("usage")] == [60, 120, 180]
    assert not any("reason" in one for one in world.told)
    caller.refresh(0)
    assert world.of("usage")[-1]["peers"] == world.of("usage")[-2]["peers"]


async def test_nothing_is_told_behind_an_end() -> None:
    """A session that ends while its figures are on their way has one last record."""
    world = Watched()
    meter = Meter(world.engine, 60, world.observer.usage)
    caller = world.calling()
    reading = asyncio.ensure_future(meter.read(list(world.rules.sessions.values())))
    await asyncio.sleep(0)
    caller.refresh(0)
    await world.settle()
    await reading
    assert [one["kind"] for one in world.told[-2:]] == ["usage", "closed"]
    assert len(world.of("usage")) == 1


async def test_a_sweep_goes_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that have an allocation, so many at a time."""
    monkeypatch.setattr(slices, "SLICE", 2)
    world = Watched()
    for number in range(5):
        world.calling(number)
    Caller(world, 9).ask(codec.ALLOCATE, [])  # a session without an allocation
    asked: list[int] = []
    figures = world.engine.figures

    async def counted(flows: Iterable[int]) -> list[Counters | None]:
        asked.append(len(list(flows)))
        return await figures(flows)

    monkeypatch.setattr(world.engine, "figures", counted)
    sweeping = asyncio.ensure_future(Meter(world.engine, 0, world.observer.usage).run())
    while len(world.of("usage")) < 5:
        await world.settle()
    sweeping.cancel()
    assert asked[:3] == [2, 2, 1]
    assert len({one["id"] for one in world.of("usage")[:5]}) == 5


async def test_a_worker_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told of its sessions meanwhile."""
    world = Watched()
    caller = world.calling()

    async def late(_: object) -> list[Counters | None]:
        raise TimeoutError

    meter = Meter(world.engine, 60, world.observer.usage)
    with monkeypatch.context() as stuck:
        stuck.setattr(world.engine, "figures", late)
        await world.read(meter, 1)
    assert world.of("usage") == []
    await world.read(meter, 1)
    assert [one["id"] for one in world.of("usage")] == [world.rules.sessions[caller.flow].id]


async def test_an_end_without_an_acknowledgement_is_told_when_the_server_stops() -> None:
    """Once, with what is known."""
    world = Watched()
    caller = world.calling()
    world.engine._apply(world.rules.end(caller.flow, "shutdown", world.table.now), world.table.now)
    assert world.of("closed") == []
    world.engine.finish()
    world.drain()
    assert [one["reason"] for one in world.of("closed")] == ["shutdown"]
    assert len(world.of("usage")) == 1
