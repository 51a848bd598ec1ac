"""The driver: who is let in, what waits for whom, and what is left when all is over."""

import asyncio
import errno
import hmac
import os
import struct
from base64 import b64encode

import pytest

import client as codec
from driving import ALLOCATE, EXPIRY, PEER, SECOND, Caller, World
from hairpin.auth import Reason
from hairpin.stun import Request

CHANNEL = [(codec.CHANNEL_NUMBER, struct.pack("!HH", 0x4000, 0))]


def errors(*codes: int) -> list[tuple[int, int]]:
    """Answers to Allocates."""
    return [(codec.ALLOCATE, code) for code in codes]


def secret_user(name: str, secret: str = "shared") -> tuple[str, str]:
    """A user name of the shared secret, and its password."""
    return name, b64encode(hmac.digest(secret.encode(), name.encode(), "sha1")).decode()


def osError(number: int) -> OSError:  # noqa: N802 (it makes one)
    """What the kernel says."""
    return OSError(number, os.strerror(number))


async def test_a_slow_hook_holds_up_one_client_and_nobody_else() -> None:
    """While a look-up is under way another user of the hook, and a static one, are served; then it is answered, too."""
    world = World()
    slow, quick, static = Caller(world, 1, "slow"), Caller(world, 2, "quick"), Caller(world, 3)
    assert slow.ask(codec.ALLOCATE, ALLOCATE) == []
    assert quick.ask(codec.ALLOCATE, ALLOCATE) == []
    await world.settle()
    assert world.asked == ["slow", "quick"]
    assert static.allocate() == 0
    world.answers["quick"].set_result((200, b"secret"))
    await world.settle()
    assert world.codes() == errors(0)
    assert len(world.rules.sessions) == 2
    world.answers["slow"].set_result((200, b"secret\n"))
    await world.settle()
    assert world.codes() == errors(0)
    assert slow.bind() == quick.bind() == static.bind() == 0


async def test_copies_of_a_request_that_waits_are_dropped() -> None:
    """Three copies are one look-up, one answer and one allocation."""
    world = World()
    caller = Caller(world, user="slow")
    message = caller.sign(codec.ALLOCATE, ALLOCATE)
    for _ in range(3):
        assert caller.raw(message) == []
        world.drain()
        await world.settle()
    assert world.asked == ["slow"]
    world.answers["slow"].set_result((200, b"secret"))
    await world.settle()
    assert world.codes() == errors(0)
    assert [event.kind for event in world.events] == ["allocated"]


async def test_requests_of_a_flow_are_judged_in_their_order() -> None:
    """What a client sent behind a request that waits for a look-up is judged behind it."""
    world = World()
    caller = Caller(world, user="slow")
    for message in (
        caller.sign(codec.ALLOCATE, ALLOCATE),
        caller.sign(codec.CREATE_PERMISSION, [], PEER),
        caller.sign(codec.CHANNEL_BIND, CHANNEL, PEER),
        caller.sign(codec.REFRESH, []),
    ):
        caller.raw(message)
        world.drain()
    await world.settle()
    assert world.codes() == []
    world.answers["slow"].set_result((200, b"secret"))
    await world.settle()
    methods = [codec.ALLOCATE, codec.CREATE_PERMISSION, codec.CHANNEL_BIND, codec.REFRESH]
    assert world.codes() == [(method, 0) for method in methods]
    assert [event.kind for event in world.events] == ["allocated", "create_permission", "channel_bind", "refresh"]


async def test_the_time_is_taken_anew_after_a_look_up() -> None:
    """A lease begins when the request is judged, not when it came."""
    world = World()
    caller = Caller(world, user="slow")
    caller.ask(codec.ALLOCATE, ALLOCATE)
    await world.settle()
    world.table.now += 100 * SECOND
    world.answers["slow"].set_result((200, b"secret"))
    await world.settle()
    assert world.rules.sessions[caller.flow].expires == world.table.now + 600 * SECOND


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_a_client_that_leaves_during_its_look_up_leaves_nothing(tcp: bool) -> None:
    """Its flow is gone when the password comes: no session, no port, no answer, and its end is told once."""
    world = World()
    caller = Caller(world, user="slow", tcp=tcp)
    caller.raw(caller.sign(codec.ALLOCATE, ALLOCATE))
    (request,) = world.table.drain(10)
    assert isinstance(request, Request)
    world.engine._request(request, world.table.now)
    await world.settle()
    world.table.close(request.flow, True, 0)
    world.answers["slow"].set_result((200, b"secret"))
    await world.settle()
    assert world.codes() == []
    assert world.is_empty()
    assert [notify.kind for notify, _ in world.ended] == ["closed"]


@pytest.mark.parametrize("answer", [(404, b""), (200, b""), (500, b"secret"), (204, b"secret"), (200, b"wrong")])
async def test_what_is_no_password_lets_nobody_in(answer: tuple[int, bytes]) -> None:
    """Any answer of the hook but the right password is 401, and leaves no slot."""
    world = World()
    caller = Caller(world, user="slow")
    caller.ask(codec.ALLOCATE, ALLOCATE)
    await world.settle()
    world.answers["slow"].set_result(answer)
    await world.settle()
    assert world.codes() == errors(401)
    assert world.is_empty()


async def test_nobody_falls_through_to_the_next_provider() -> None:
    """Who knows the name decides: a wrong password of a static or of a secret's user is never tried on the hook."""
    world = World()
    for name, password in (("alice", "the hook's"), secret_user(f"{EXPIRY}:x", "old"), secret_user("999:x")):
        assert Caller(world, user=name, password=password).allocate() == 401
    await world.settle()
    assert world.asked == []
    reasons = [refused.refusal.reason for refused in world.refused]
    assert reasons == [Reason.WRONG_PASSWORD, Reason.WRONG_PASSWORD, Reason.EXPIRED]
    assert Caller(world, 9, *secret_user(f"{EXPIRY}:x")).allocate() == 0


async def test_the_hook_is_asked_for_allocate_only() -> None:
    """Another method of a name that nobody knows is refused without a look-up."""
    world = World()
    assert Caller(world, user="slow").refresh() == 401
    await world.settle()
    assert (world.asked, world.is_empty()) == ([], True)


@pytest.mark.parametrize("ended", ["by the client", "by DELETE"])
async def test_a_user_of_the_hook_who_left_gets_437(ended: str) -> None:
    """RFC 8656, 8.2: for 40 s a late Refresh is answered without the hook, for the right key only; then it is 401."""
    world = World()
    caller = Caller(world, user="slow")
    caller.ask(codec.ALLOCATE, ALLOCATE)
    await world.settle()
    world.answers["slow"].set_result((200, b"secret"))
    await world.settle()
    assert world.codes() == errors(0)
    if ended == "by the client":
        assert caller.refresh(0) == 0
    else:
        ending = asyncio.ensure_future(world.engine.end(caller.flow, "deleted", world.table.now))
        await asyncio.sleep(0)
        world.drain()
        await ending
    assert caller.refresh() == 437
    assert Caller(world, user="slow", password="wrong").refresh() == 401
    world.table.now += 40 * SECOND
    assert caller.refresh() == 401
    assert (world.asked, world.is_empty()) == (["slow"], True)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_wrong_key_is_never_remembered(tcp: bool) -> None:
    """After a login with a wrong key every name is refused with it, and the right key lets in."""
    world = World(hooked=False)
    for user in ("alice", "alice", "bob", "nobody", "alice"):
        assert Caller(world, 1, user, "wrong", tcp=tcp).allocate() == 401
        assert [entry[1:] for entry in world.table.entries()] == ([([], [], [])] if tcp else [])
    assert world.rules.sessions == {}
    assert Caller(world, 1, tcp=tcp).allocate() == 0
    wrong = Caller(world, 1, password="wrong", tcp=tcp)
    assert [wrong.allocate(), wrong.refresh(), wrong.bind()] == [401, 401, 401]
    assert Caller(world, 1, tcp=tcp).refresh() == 0


def test_another_user_changes_nothing_of_an_allocation() -> None:
    """It gets 441, and 437 for Allocate; the state is as before."""
    world = World()
    assert Caller(world).allocate() == 0
    before = world.table.entries()
    other = Caller(world, 1, "bob", "other")
    assert [other.refresh(), other.refresh(0), other.bind(), other.allocate()] == [441, 441, 441, 437]
    assert other.ask(codec.CREATE_PERMISSION, [], PEER) == [(codec.CREATE_PERMISSION, 441)]
    assert world.table.entries() == before
    assert Caller(world).refresh() == 0


def test_a_request_without_a_session_leaves_no_slot() -> None:
    """437 for the right user, and nothing is kept."""
    world = World()
    assert [Caller(world).refresh(), Caller(world).bind()] == [437, 437]
    assert world.is_empty()


def test_a_relay_that_can_not_be_bound_is_bound_on_the_next_port() -> None:
    """Ports that others hold are passed over, each tried once."""
    world = World(ports=(50000, 50007))
    world.path.refuse = lambda port: osError(errno.EADDRINUSE) if port != 50003 else None
    assert Caller(world).allocate() == 0
    assert world.path.tried[-1] == 50003
    assert len(set(world.path.tried)) == len(world.path.tried)
    assert world.rules.ports_allocated(4) == 1


def test_every_port_of_the_range_taken_is_508_for_that_request_alone() -> None:
    """Each port is tried once, the answer is 508, and the next client is served when there is a port."""
    world = World(ports=(50000, 50007))
    world.path.refuse = lambda _: osError(errno.EADDRINUSE)
    caller = Caller(world)
    assert caller.allocate() == 508
    assert sorted(world.path.tried) == list(range(50000, 50008))
    assert world.rules.ports_allocated(4) == 0
    world.path.refuse = lambda _: None
    assert Caller(world, 2).allocate() == 0
    assert caller.allocate() == 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL])
def test_without_descriptors_no_other_port_is_tried(number: int) -> None:
    """508 at once."""
    world = World()
    world.path.refuse = lambda _: osError(number)
    assert Caller(world).allocate() == 508
    assert len(world.path.tried) == 1
    assert world.rules.ports_allocated(4) == 0


async def test_an_end_is_waited_for() -> None:
    """`end` returns when the packet path has acknowledged, and the last figures are told."""
    world = World()
    caller = Caller(world)
    assert caller.allocate() == 0
    ending = asyncio.ensure_future(world.engine.end(caller.flow, "deleted", world.table.now))
    await asyncio.sleep(0)
    assert not ending.done()
    assert world.table.entries() == []
    world.drain()
    await ending
    ((notify, counters),) = world.ended
    assert notify.data == (("reason", "deleted"),)
    assert (counters.received_pkts, counters.send_pkts) == (1, 1)
    assert world.is_empty()


async def test_a_storm_of_set_ups_leaves_nothing() -> None:
    """10,000 clients come, fail, bind and go in each of the ways there are: all counts return to zero."""
    world = World(sessions_per_user=0)
    callers = []
    for number in range(10_000):
        user, password = ("alice", "secret") if number % 5 else ("alice", "wrong")
        caller = Caller(world, number, user, password, tcp=bool(number % 2))
        assert caller.allocate() == (0 if number % 5 else 401)
        if number % 5:
            assert caller.bind() == 0
            callers.append(caller)
        if len(callers) == 500:
            await go(world, callers)
    world.engine.expire(world.table.now + 10**6 * SECOND)
    for flow, *_ in world.table.entries():  # streams of strangers
        world.table.close(flow, True, 0)
    world.drain()
    assert world.is_empty()
    assert len(world.ended) == 8_000
    assert len({notify.session.id for notify, _ in world.ended}) == 8_000


async def go(world: World, callers: list[Caller]) -> None:
    """By Refresh, by DELETE, without waiting for the end, by time."""
    for number, caller in enumerate(callers[:400]):
        if number % 3 == 0:
            assert caller.refresh(0) == 0
        elif number % 3 == 1:
            ending = asyncio.ensure_future(world.engine.end(caller.flow, "deleted", world.table.now))
            await asyncio.sleep(0)
            world.drain()
            await ending
        else:
            world.engine._apply(world.rules.end(caller.flow, "shutdown", world.table.now), world.table.now)
    world.table.now += 601 * SECOND
    world.engine.expire(world.table.now)
    world.drain()
    assert world.rules.sessions == {}
    callers.clear()
