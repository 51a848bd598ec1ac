"""Calls of a policy that go wrong: each is counted and told, and its default holds."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

import client as codec
from driving import ALLOCATE, PEER, SECOND, Caller, World
from hairpin import Deny, EndedSession, Policy, TurnClient
from hairpin.engine import Goodbyes, PolicyCalls, goodbyes
from hairpin.engine.policy_calls import IN_FLIGHT, IN_FLIGHT_PER_USER, Outcome
from hairpin.policy.answers import AnswerError, Failure, Why
from hairpin.stun import Counters
from policies import Answers, Later

SHORT = 0.01  # seconds, for a call that would never end


class Told(PolicyCalls):
    """Notes the failures that it is told of."""

    def __init__(self, policy: Policy, deadline: float = 1.0) -> None:
        self.now = 0
        super().__init__(policy, deadline, lambda: self.now)
        self.told: list[Failure] = []
        self.on_failure = self.told.append

    def begin(self, user: str = "alice") -> Outcome | Awaitable[Outcome]:
        """Ask whether somebody may allocate."""
        return self.ask("may_allocate", user, [("a client",)])

    def failed(self) -> list[tuple[str, Why]]:
        """What failed, and why; the counts say the same."""
        assert sum(self.failures.values()) == len(self.told)
        return [(failure.method, failure.why) for failure in self.told]


FLAWS: list[tuple[Any, Why]] = [
    (ValueError("broken"), Why.RAISED),
    (asyncio.CancelledError(), Why.RAISED),
    (RecursionError(), Why.RAISED),
    (None, Why.ANSWER),
    ("yes", Why.ANSWER),
]


@pytest.mark.parametrize(("flaw", "why"), FLAWS)
def test_a_method_that_fails_gets_its_default(flaw: object, why: Why) -> None:
    """508 for an Allocate, 403 for a peer; the next request is served."""
    policy = Answers()
    world = World()
    calls = world.ask_policy(policy)
    caller = Caller(world)
    policy.allocate = flaw
    assert caller.allocate() == 508
    assert world.is_empty()
    policy.allocate, policy.reach = True, flaw
    assert (caller.allocate(), caller.bind()) == (0, 403)
    policy.reach = True
    assert caller.bind() == 0
    assert calls.failures == {("may_allocate", why): 1, ("may_reach", why): 1}


@pytest.mark.parametrize(("flaw", "why"), FLAWS)
async def test_an_async_method_that_fails_gets_its_default(flaw: object, why: Why) -> None:
    """The same for one that waited first."""
    policy = Later()
    world = World()
    calls = world.ask_policy(policy)
    caller = Caller(world)
    for number, code in enumerate((508, 0, 403)):
        caller.ask(*(codec.ALLOCATE, ALLOCATE) if number < 2 else (codec.CREATE_PERMISSION, [], PEER))
        await world.settle()
        if code and isinstance(flaw, BaseException):
            policy.asked[number].set_exception(flaw) if isinstance(flaw, Exception) else policy.asked[number].cancel()
        else:
            policy.asked[number].set_result(flaw if code else True)
        await world.settle()
        assert [error for _, error in world.codes()] == [code]
    assert calls.failures == {("may_allocate", why): 1, ("may_reach", why): 1}


def test_an_answer_that_comes_late_is_none() -> None:
    """A method that held up the server for longer than the deadline is counted, and its yes does not count."""
    world = World()

    def slow(_: object) -> bool:
        world.table.now += 2 * SECOND
        return True

    calls = world.ask_policy(Answers(slow))
    caller = Caller(world)
    assert caller.allocate() == 508
    assert calls.failures == {("may_allocate", Why.LATE): 1}


async def test_an_async_method_is_cancelled_at_its_deadline() -> None:
    """The client is answered then, and what came behind it on this flow, which is closed, is nobody's."""
    policy = Later()
    world = World()
    calls = world.ask_policy(policy, SHORT)
    caller = Caller(world)
    for message in (caller.sign(codec.ALLOCATE, ALLOCATE), caller.sign(codec.REFRESH, [])):
        caller.raw(message)
        world.drain()
    await asyncio.gather(*world.engine._tasks)
    world.drain()
    assert world.codes() == [(codec.ALLOCATE, 508)]
    assert world.is_empty()
    await asyncio.sleep(0)
    assert policy.asked[0].cancelled()
    assert calls.failures == {("may_allocate", Why.LATE): 1}


async def test_the_deadline_is_for_all_peers_of_a_request() -> None:
    """The second question gets what the first has left of it."""
    policy = Later()
    calls = Told(policy, 1.0)
    outcome = calls.ask("may_reach", "alice", [("a client", number) for number in range(2)])
    assert not isinstance(outcome, Outcome)
    waiting = asyncio.ensure_future(outcome)
    for number in range(2):
        await settled()
        calls.now += SECOND * 6 // 10
        policy.asked[number].set_result(True)
    assert (await waiting).word == Failure("may_reach", Why.LATE)


async def test_a_first_no_is_the_last_question() -> None:
    """Of the other peers nobody is asked any more, and the outcome names the one that was denied."""
    policy = Later()
    calls = Told(policy)
    outcome = calls.ask("may_reach", "alice", [("a client", number) for number in range(3)])
    assert not isinstance(outcome, Outcome)
    waiting = asyncio.ensure_future(outcome)
    for word in (True, Deny("no")):
        await settled()
        policy.asked[-1].set_result(word)
    assert await waiting == Outcome(Deny("no"), ("a client", 1))
    assert len(policy.asked) == 2


async def test_a_method_may_wait_or_not() -> None:
    """A `def` that hands out something to wait for is waited for."""
    future = asyncio.get_running_loop().create_future()
    calls = Told(Answers(lambda _: future))
    outcome = calls.begin()
    assert not isinstance(outcome, Outcome)
    future.set_result(Deny("no"))
    assert (await outcome).word == Deny("no")


@pytest.mark.parametrize(("users", "most"), [(1, IN_FLIGHT_PER_USER), (IN_FLIGHT, IN_FLIGHT)])
async def test_so_many_calls_wait_and_no_more(users: int, most: int) -> None:
    """Of one user, and of all: the next one gets the default at once; when one has ended, there is room."""
    policy = Later()
    calls = Told(policy, 1000)
    waiting = [asyncio.ensure_future(begun(calls, f"user {number % users}")) for number in range(most)]
    await settled()
    assert calls.begin("user 0") == Outcome(Failure("may_allocate", Why.BUSY))
    assert calls.failed() == [("may_allocate", Why.BUSY)]
    policy.asked[0].set_result(True)
    await waiting[0]
    waiting.append(asyncio.ensure_future(begun(calls, "user 0")))
    await settled()
    assert len(policy.asked) == most + 1
    calls.close()
    outcomes = await asyncio.gather(*waiting[1:])
    assert len(outcomes) == most
    assert all(isinstance(outcome.word, Failure) for outcome in outcomes)
    assert calls.failed() == [("may_allocate", Why.BUSY)], "what the end gives up is no failure of the policy"


async def test_a_call_that_does_not_listen_stays_counted() -> None:
    """One that goes on after its deadline holds its place until it ends, and nobody waits for it."""
    end = asyncio.Event()

    class Deaf(Policy):
        async def may_allocate(self, *_: object) -> bool:
            while not end.is_set():
                try:
                    await end.wait()
                except asyncio.CancelledError:
                    continue
            raise ValueError("too late for anybody")

    calls = Told(Deaf(), SHORT)
    outcomes = await asyncio.gather(*(begun(calls, "alice") for _ in range(IN_FLIGHT_PER_USER)))
    assert {outcome.word for outcome in outcomes} == {Failure("may_allocate", Why.LATE)}
    assert calls.begin() == Outcome(Failure("may_allocate", Why.BUSY))
    end.set()
    await settled()
    await begun(calls, "alice")
    assert calls.failed()[-2:] == [("may_allocate", Why.BUSY), ("may_allocate", Why.RAISED)]


async def begun(calls: Told, user: str) -> Outcome:
    """A call until its end."""
    outcome = calls.begin(user)
    return outcome if isinstance(outcome, Outcome) else await outcome


async def settled() -> None:
    """All tasks ran that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_failure_brings_the_exception() -> None:
    """For the log: what was raised, or what is wrong with the answer."""
    calls = Told(Answers(ValueError("broken")))
    calls.begin()
    assert repr(calls.told[0].error) == "ValueError('broken')"
    calls = Told(Answers("yes"))
    calls.begin()
    assert isinstance(calls.told[0].error, AnswerError)


async def test_a_session_that_ended_is_told() -> None:
    """Who it was, from when to when, why, and how much came and went."""
    policy = Answers()
    world = World()
    calls = world.ask_policy(policy)
    told = Goodbyes(calls, lambda: world.table.now)
    world.engine.on_ended = lambda notify, counters: told.add(notify, counters, 5000.0)
    caller = Caller(world)
    assert caller.allocate() == 0
    session = world.rules.sessions[caller.flow]
    world.table.now += 100 * SECOND
    assert caller.refresh(0) == 0
    world.drain()
    running = asyncio.ensure_future(told.run())
    await told.close(10)
    running.cancel()
    (ended,) = policy.ended
    assert ended.client == TurnClient("alice", "alice", *caller.address, "192.0.2.1:3478", "udp", session.id)
    assert (ended.reason, ended.began, ended.ended, ended.duration) == ("refresh", 4900.0, 5000.0, 100.0)
    assert ended.received_bytes > ended.received_pkts == ended.send_pkts == 2
    assert ended.error_pkts == 0


async def test_ends_are_told_one_after_another() -> None:
    """The next one waits for the one before it; one that fails or overruns is counted, and the others are told."""
    policy = Later()
    calls = Told(policy, SHORT)
    told = Goodbyes(calls, lambda: 0)
    for number in range(3):
        told._waiting.put_nowait(end(number))
    running = asyncio.ensure_future(told.run())
    await settled()
    assert len(policy.asked) == 1
    policy.asked[0].set_exception(ValueError("broken"))
    await told.close(10)
    running.cancel()
    assert len(policy.asked) == 3
    assert calls.failed() == [("session_ended", Why.RAISED), ("session_ended", Why.LATE), ("session_ended", Why.LATE)]


async def test_ends_that_nobody_takes_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many wait and no more, and at the end no longer than the grace."""
    monkeypatch.setattr(goodbyes, "WAITING", 3)
    calls = Told(Answers())
    world = World()
    told = Goodbyes(calls, lambda: 0)
    world.engine.on_ended = lambda notify, counters: told.add(notify, counters, 0.0)
    for number in range(5):
        caller = Caller(world, number)
        assert (caller.allocate(), caller.refresh(0)) == (0, 0)
        world.drain()
    assert calls.failed() == [("session_ended", Why.BUSY)] * 2
    await told.close(0)
    assert calls.failed() == [("session_ended", Why.BUSY)] * 5


def end(number: int) -> EndedSession:
    """A session that ended."""
    policy = Answers()
    world = World()
    world.ask_policy(policy)
    told = Goodbyes(Told(policy), lambda: 0)
    assert Caller(world, number).allocate() == 0
    (session,) = world.rules.sessions.values()
    told.add(session.notify("closed", ("reason", "test")), Counters(), 0.0)
    return told._waiting.get_nowait()
