"""Events: their order, their retries and their bounds. Deliveries and time are the test's."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairpin.hooks.backlog import ATTEMPTS, Backlog
from hairpin.hooks.event import Event
from hairpin.hooks.events import IN_FLIGHT, LONGEST_DELAY, delay
from hairpin.hooks.signature import webhook_headers
from hairpin.hooks.store import VITAL
from receiving import Receiver, notify, settle

KEY = b"k" * 24


async def test_an_event_says_all_of_the_contract() -> None:
    """The kind, the session, the user, what the kind adds, and when it was."""
    receiver = Receiver()
    async with receiver.running():
        receiver.events.publish(notify("create_permission", ports=(1, 2)), 1_699_999_999.1234)
        await settle()
    assert receiver.bodies == [
        {
            "kind": "create_permission",
            "id": "s",
            "at": 1_699_999_999.123,
            "session": {"address": "198.51.100.1:4000", "interface": "192.0.2.1:3478", "transport": "udp"},
            "username": "bob\x1b",
            "ports": [1, 2],
        }
    ]


async def test_whatever_goes_wrong_is_a_failure() -> None:
    """Also an error that nobody thought of: the event is sent again, and others are delivered."""
    receiver = Receiver()
    receiver.status = RuntimeError("out of luck")
    async with receiver.running():
        receiver.events.publish(notify("allocated", port=1), 0)
        await settle()
        receiver.status = 204
        receiver.fire()
        await settle()
        receiver.events.publish(notify("closed", reason="r"), 0)
        await settle()
    assert receiver.told() == ["allocated", "allocated", "closed"]
    assert receiver.logged[0][1]["reason"] == "RuntimeError: out of luck"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification, which openssl agrees with; without a key there is none."""
    key = bytes.fromhex("31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0")
    body = b'{"test": 2432232314}'
    headers = webhook_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert "webhook-signature" not in webhook_headers(None, "m", 1, body)


async def test_a_retry_has_the_same_identity() -> None:
    """So that the receiver can tell a repetition; each event has its own."""
    receiver = Receiver(KEY)
    receiver.status = 500
    async with receiver.running():
        receiver.events.publish(notify("allocated"), 0)
        await settle()
        receiver.status = 200
        receiver.fire()
        await settle()
        receiver.events.publish(notify("closed"), 0)
        await settle()
    ids = [headers["webhook-id"] for headers in receiver.headers]
    assert ids[0] == ids[1] != ids[2]
    assert {headers["webhook-timestamp"] for headers in receiver.headers} == {"1700000000"}
    assert all(headers["webhook-signature"].startswith("v1,") for headers in receiver.headers)


async def test_a_session_is_told_in_order_with_one_event_in_flight() -> None:
    """What comes later waits for what failed."""
    receiver = Receiver()
    receiver.status = ConnectionError("refused")
    async with receiver.running():
        for kind in ("allocated", "channel_bind", "closed"):
            receiver.events.publish(notify(kind), 0)
        await settle()
        assert receiver.told() == ["allocated"]
        receiver.status = 200
        receiver.fire()
        await settle()
    assert receiver.told() == ["allocated", "allocated", "channel_bind", "closed"]
    assert not receiver.events.dropped


async def test_sessions_do_not_wait_for_each_other() -> None:
    """One that fails, or is slow, holds up itself; so many are in flight and no more."""
    receiver = Receiver()
    receiver.gate.clear()
    async with receiver.running():
        for number in range(IN_FLIGHT + 3):
            receiver.events.publish(notify("allocated", f"s{number}"), 0)
        await settle()
        assert len(receiver.bodies) == IN_FLIGHT
        receiver.gate.set()
        await settle()
        assert len(receiver.bodies) == IN_FLIGHT + 3


async def test_a_session_in_backoff_takes_no_place() -> None:
    """While many wait for their next attempt, others are delivered."""
    receiver = Receiver()
    receiver.status = 500
    async with receiver.running():
        for number in range(IN_FLIGHT * 2):
            receiver.events.publish(notify("allocated", f"bad{number}"), 0)
        await settle()
        receiver.status = 200
        receiver.events.publish(notify("allocated", "good"), 0)
        await settle()
        assert receiver.told("id")[-1] == "good"
        assert len(receiver.bodies) == IN_FLIGHT * 2 + 1


async def test_attempts_end() -> None:
    """After the last one the event is given up, counted and logged, and the next one has its turn."""
    receiver = Receiver()
    receiver.status = 404
    delays: list[float] = []
    async with receiver.running():
        receiver.events.publish(notify("allocated"), 0)
        receiver.events.publish(notify("closed"), 0)
        for _ in range(ATTEMPTS - 1):
            await settle()
            delays += receiver.fire()
        await settle()
        assert receiver.told() == ["allocated"] * ATTEMPTS + ["closed"]
        assert receiver.events.dropped == {"allocated": 1}
    assert delays == [delay(attempt) for attempt in range(1, ATTEMPTS)]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
    assert ("events were given up", {"allocated": 1}) in receiver.logged


async def test_an_outage_is_logged_once_and_its_end_too() -> None:
    """Not once for each failure."""
    receiver = Receiver()
    receiver.status = 503
    async with receiver.running():
        for number in range(10):
            receiver.events.publish(notify("allocated", f"s{number}"), 0)
        await settle()
        receiver.status = 200
        receiver.fire()
        await settle()
    assert [event for event, _ in receiver.logged] == ["events cannot be delivered", "events are delivered again"]
    assert receiver.logged[0][1]["reason"] == "answered 503"


async def test_refreshes_coalesce() -> None:
    """Of those that wait, the last one says it all; one that is on its way stays."""
    receiver = Receiver()
    receiver.gate.clear()
    async with receiver.running():
        for lifetime in (1, 2, 3):
            receiver.events.publish(notify("refresh", lifetime=lifetime), 0)
            await settle()
        receiver.gate.set()
        await settle()
    assert receiver.told("lifetime") == [1, 3]
    assert not receiver.events.dropped


async def test_a_flood_of_given_up_events_is_logged_seldom() -> None:
    """Each time their number has doubled."""
    receiver = Receiver(store=lambda _: Backlog(capacity=10))
    for number in range(1010):
        receiver.events.publish(notify("channel_bind", f"s{number}"), 0)
    assert receiver.events.dropped == {"channel_bind": 1000}
    assert len(receiver.logged) <= 12


async def test_close_waits_for_what_can_be_delivered() -> None:
    """Nothing is given up where the receiver answers."""
    receiver = Receiver()
    task = asyncio.create_task(receiver.events.run())
    for kind in ("allocated", "closed"):
        receiver.events.publish(notify(kind), 0)
    await receiver.events.close(60)
    await task
    assert receiver.told() == ["allocated", "closed"]
    assert not receiver.events.dropped


async def test_close_with_nothing_to_deliver_does_not_wait() -> None:
    """Whatever the grace."""
    receiver = Receiver()
    task = asyncio.create_task(receiver.events.run())
    await settle()
    async with asyncio.timeout(10):
        await receiver.events.close(3600)
    await task


async def test_an_event_given_up_before_its_turn_is_passed_over() -> None:
    """Its session was in line, and is empty when its turn comes."""
    receiver = Receiver(store=lambda _: Backlog(capacity=1))
    receiver.events.publish(notify("channel_bind", "a"), 0)
    receiver.events.publish(notify("allocated", "b"), 0)
    async with receiver.running():
        await settle()
    assert receiver.told("id") == ["b"]


@pytest.mark.parametrize(("status", "posts"), [(200, 1), (204, 1), (299, 1), (199, 2), (301, 2), (404, 2), (500, 2)])
async def test_only_a_2xx_is_a_delivery(status: int, posts: int) -> None:
    """Anything else is tried again."""
    receiver = Receiver()
    receiver.status = status
    async with receiver.running():
        receiver.events.publish(notify("allocated"), 0)
        await settle()
        receiver.fire()
        await settle()
        assert len(receiver.bodies) == posts


async def test_close_gives_up_what_cannot_be_delivered() -> None:
    """Counted and logged, and `run` ends."""
    receiver = Receiver()
    receiver.status = 500
    task = asyncio.create_task(receiver.events.run())
    receiver.events.publish(notify("allocated"), 0)
    await settle()
    await receiver.events.close(0)
    await task
    assert receiver.events.dropped == {"allocated": 1}


def add(backlog: Backlog, kind: str, session: str = "s") -> Event:
    """Put an event into a backlog."""
    event = make(kind, session)
    backlog.add(event)
    return event


def make(kind: str, session: str = "s") -> Event:
    """An event."""
    return Event(f"{kind}-{session}", session, kind, 0.0, notify(kind, session))


def kinds(backlog: Backlog, session: str = "s") -> list[str]:
    """What waits of a session, in order."""
    lines = {line.session: line for line, _ in backlog.waiting()}
    return [event.kind for event in lines[session].events]


def test_a_full_session_gives_up_its_oldest_ordinary_event() -> None:
    """Never `allocated` or `closed` while there is another."""
    backlog = Backlog(capacity_per_session=3)
    for kind in ("allocated", "channel_bind", "create_permission", "refresh", "closed"):
        add(backlog, kind)
    assert kinds(backlog) == ["allocated", "refresh", "closed"]
    assert backlog.dropped == {"channel_bind": 1, "create_permission": 1}


def test_a_full_backlog_gives_up_ordinary_events_of_any_session_first() -> None:
    """Then the oldest of all."""
    backlog = Backlog(capacity=2)
    add(backlog, "allocated", "a")
    add(backlog, "channel_bind", "b")
    add(backlog, "allocated", "c")
    assert backlog.dropped == {"channel_bind": 1}
    add(backlog, "allocated", "d")
    assert backlog.dropped == {"channel_bind": 1, "allocated": 1}
    assert [line.session for line, _ in backlog.waiting()] == ["c", "d"]


def test_what_is_on_its_way_is_not_given_up() -> None:
    """Or its session could be on its way twice."""
    backlog = Backlog(capacity=2, capacity_per_session=2)
    first = make("channel_bind")
    line = backlog.add(first)
    assert line is not None
    line.sending = first
    add(backlog, "create_permission")
    add(backlog, "channel_bind")
    assert kinds(backlog) == ["channel_bind", "channel_bind"]
    assert line.events[0] is first


def test_a_refresh_on_its_way_is_not_coalesced() -> None:
    """It may fail, and then it is still the first in line."""
    backlog = Backlog()
    first = make("refresh")
    line = backlog.add(first)
    assert line is not None
    line.sending = first
    add(backlog, "refresh")
    last = add(backlog, "refresh")
    assert list(line.events) == [first, last]


@given(
    st.lists(st.tuples(st.sampled_from(["allocated", "closed", "refresh", "channel_bind"]), st.integers(0, 5))),
    st.integers(1, 8),
    st.integers(1, 4),
)
def test_a_backlog_never_holds_more_than_it_may(
    added: list[tuple[str, int]], capacity: int, capacity_per_session: int
) -> None:
    """All that came is waiting, counted as given up, or a coalesced refresh; `allocated` and `closed` go last."""
    backlog = Backlog(capacity, capacity_per_session)
    for kind, session in added:
        add(backlog, kind, str(session))
        assert len(backlog) <= capacity
        assert all(len(line.events) <= capacity_per_session for line, _ in backlog.waiting())
    waiting = [event.kind for _, event in backlog.waiting()]
    for kind in {"allocated", "closed", "channel_bind"}:
        assert waiting.count(kind) + backlog.dropped[kind] == [name for name, _ in added].count(kind)
    assert len(waiting) == len(backlog)


@pytest.mark.parametrize("kind", sorted(VITAL))
def test_a_delivered_session_leaves_nothing(kind: str) -> None:
    """The line goes with its last event, and a later event begins a new one."""
    backlog = Backlog()
    event = make(kind)
    line = backlog.add(event)
    assert line is not None
    backlog.remove(line, event)
    assert len(backlog) == 0
    assert backlog.add(event) is not line
