"""How sessions begin and end, and that nothing is left of them."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from hairpin.stun import Attribute, Message, Method
from hairpin.turn.deadlines import Deadlines
from hairpin.turn.effects import Close, Effect, Notify, Reply, Unbind
from hairpin.turn.errors import InsufficientCapacity
from hairpin.turn.ports import REST, Ports
from turning import OTHER_PEER, PEER, SECOND, SETTINGS, World, error, identity, only, told


def nothing_is_left(world: World) -> bool:
    """Every index is as empty as the sessions are."""
    state = world.server.state
    empty = not (state.sessions or state.users or state.relays or state.bound)
    return empty and not any(ports.taken for ports in state.ports.values())


def test_unallocated_session() -> None:
    """A client that proved its credentials and allocates nothing is gone after 60 s."""
    world = World()
    world.ask(1, Method.ALLOCATE)
    assert world.server.next_deadline() == world.now + 60 * SECOND
    assert world.server.expire(world.now + 60 * SECOND - 1) == []
    effects = world.server.expire(world.now + 60 * SECOND)
    assert effects[0] == Close(1, disconnect=True)
    assert told(effects) == [("closed", {"reason": "expired"})]
    assert nothing_is_left(world)


def test_expiry() -> None:
    """RFC 8656, 7: an allocation ends with its lifetime, to the nanosecond, and a Refresh moves that."""
    world = World()
    world.allocate(1)
    world.now += 599 * SECOND
    world.refresh(1)
    assert only(world.server.expire(world.now + 600 * SECOND - 1), Close) == []
    assert told(world.server.expire(world.now + 600 * SECOND)) == [("closed", {"reason": "expired"})]
    assert nothing_is_left(world)


def test_too_late() -> None:
    """A request that comes after the end finds its flow closed and is not answered: its copy comes on a new flow."""
    world = World()
    world.allocate(1)
    world.now += 600 * SECOND
    effects = world.refresh(1)
    assert ([type(effect) for effect in effects], nothing_is_left(world)) == ([Close, Notify], True)
    assert error(world.refresh(2)) == 437


@pytest.mark.parametrize("disconnect", [True, False])
def test_end(disconnect: bool) -> None:
    """An end from our side closes the flow, the client's finds it closed; channels to it go, all are told once."""
    world = World()
    world.allocate(1)
    world.allocate(2, user="bob")
    world.bind(2, 0x4000, world.relay(1), user="bob")
    effects = world.server.end(1, "why", world.now) if disconnect else world.server.closed(1, "why", world.now)
    assert only(effects, Close) == ([Close(1, disconnect=True)] if disconnect else [])
    assert only(effects, Unbind) == [Unbind(2, 0x4000)]
    assert told(effects) == [("closed", {"reason": "why"})]
    assert world.server.end(1, "why", world.now) == world.server.closed(1, "why", world.now) == []


def test_an_event_says_whose_it_is() -> None:
    """An event carries its session's random id, five-tuple and user, also when that is gone."""
    world = World()
    (allocated,) = only(world.allocate(1), Notify)
    (closed,) = only(world.refresh(1, 0), Notify)
    assert allocated.session == closed.session
    assert (closed.session.flow, closed.session.username, closed.session.transport) == (1, "alice", 0)
    (other,) = only(world.allocate(2), Notify)
    assert other.session.id != closed.session.id


def test_quota_does_not_leak() -> None:
    """Allocate and free 100,000 times in every way: counts, ports and indexes return to nothing."""
    world = World(replace(SETTINGS, ports=(50000, 50063)), sessions_per_user=3)
    world.allocate(0, user="bob")
    ends = (
        lambda flow: world.refresh(flow, 0),
        lambda flow: world.server.end(flow, "deleted", world.now),
        lambda flow: world.server.closed(flow, "gone", world.now),
        lambda flow: world.server.relay_refused(flow, world.now, exhausted=True),
    )
    for flow in range(1, 100_001):
        additional = [(Attribute.ADDITIONAL_ADDRESS_FAMILY, 2)] * (flow % 8 > 3)
        if flow % 4 == 3:
            world.ask(flow, Method.ALLOCATE, (Attribute.REQUESTED_TRANSPORT, 17), *additional)
        else:
            world.allocate(flow, *additional)
            world.bind(flow, 0x4000, world.relay(0))
        ends[flow % 4](flow)
        world.server.closed(flow, "gone", world.now)
    world.server.end(0, "deleted", world.now)
    assert nothing_is_left(world)
    assert len(world.server.state.deadlines._heap) < 100


@given(st.integers(0, 2**32))
@profile(max_examples=200)
def test_state_is_consistent(seed: int) -> None:
    """After any run of requests the indexes say what the sessions say, and expire() leaves nothing lapsed."""
    random = Random(seed)
    world = World(replace(SETTINGS, ports=(50000, 50003)), sessions_per_user=3, channels=2, permissions=2)
    for _ in range(60):
        step(world, random)
        world.now += random.choice([0, 0, 1, 30, 100, 300]) * SECOND
        world.server.expire(world.now)
        consistent(world)


def step(world: World, random: Random) -> None:
    """Something that may happen."""
    flow, user = random.randrange(6), random.choice(["alice", "bob"])
    relays = [*world.server.state.relays, PEER, OTHER_PEER]
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, random.choice([1, 2]))
    steps = (
        lambda: world.allocate(flow, user=user),
        lambda: world.allocate(flow, (Attribute.ADDITIONAL_ADDRESS_FAMILY, 2), user=user),
        lambda: world.ask(flow, Method.REFRESH, family, (Attribute.LIFETIME, random.choice([0, 900])), user=user),
        lambda: world.ask(flow, Method.ALLOCATE, user=user),
        lambda: world.permit(flow, *random.sample(relays, 2), user=user),
        lambda: world.bind(flow, 0x4000 + random.randrange(3), random.choice(relays), user=user),
        lambda: world.refresh(flow, random.choice([0, 600, None]), user=user),
        lambda: world.server.end(flow, "deleted", world.now),
    )
    random.choice(steps)()


def consistent(world: World) -> None:
    """The sessions are the truth; everything else follows from them."""
    state, sessions = world.server.state, list(world.server.sessions.values())
    allocated = {session.flow: session.allocation for session in sessions if session.allocation}
    users = [session.identity.user for session in sessions]
    assert state.users == {user: users.count(user) for user in users}
    assert state.relays == {each.external: flow for flow, one in allocated.items() for each in one.relays}
    assert sum(ports.taken for ports in state.ports.values()) == len(state.relays)
    channels = [(flow, channel) for flow, each in allocated.items() for channel in each.channels.values()]
    inside = {(channel.peer, flow): channel.number for flow, channel in channels if channel.peer.ip != PEER.ip}
    inside = {key: number for key, number in inside.items() if key[0].ip != OTHER_PEER.ip}
    assert inside == {(peer, flow): number for peer, each in state.bound.items() for flow, number in each.items()}
    assert all(peer in state.relays for peer, _ in inside)
    assert all(session.deadline() > world.now for session in sessions)
    earliest = min((session.deadline() for session in sessions), default=None)
    assert earliest is None or world.server.state.deadlines.next() <= earliest  # type: ignore[operator]


def test_same_run_same_effects() -> None:
    """All is decided by the requests, the times and the draws: a second run has the same effects."""

    def run() -> list[Effect]:
        world = World()
        return [*world.allocate(1), *world.permit(1, PEER), *world.bind(1, 0x4000, PEER), *world.refresh(1, 0)]

    assert run() == run()


def test_answers_are_plain_values() -> None:
    """Every answer can be written at once and again, to the same bytes."""
    world = World()
    effects = [*world.allocate(1), *world.allocate(1), *world.permit(1, PEER), *world.refresh(1, 0)]
    for answer in only(effects, Reply):
        first, second = (bytes(answer.request.answer(answer.attributes, answer.key)) for _ in range(2))
        assert first == second
        assert Message.decode(first).transaction_id == answer.request.transaction_id
        assert answer.key == identity("alice").key


def test_ports_rest() -> None:
    """RFC 8656, 7.2: a port rests 300 s after its release; when no other is left, the longest-resting one is used."""
    ports = Ports(50000, 50002, Random(1).randrange)
    first, second = ports.take(0), ports.take(0)
    ports.release(first, 1)
    ports.release(second, 2)
    third = ports.take(3)
    assert {first, second, third} == {50000, 50001, 50002}
    assert ports.take(4) == first
    assert (ports.take(5), ports.available, ports.taken) == (second, 0, 3)
    with pytest.raises(InsufficientCapacity):
        ports.take(6)
    ports.release(second, 7)
    ports.release(third, 7 + REST)
    assert ports.take(7 + REST) == second


def test_ports_are_drawn_by_chance() -> None:
    """RFC 8656, 7.2: every free port is as likely as any other, and none is handed out twice."""
    ports = Ports(50000, 50063, Random(1).randrange)
    drawn = [ports.take(0) for _ in range(64)]
    assert sorted(drawn) == list(range(50000, 50064))
    assert drawn != sorted(drawn)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50))), st.integers(0, 60))
@profile(max_examples=300)
def test_deadlines(watched: list[tuple[int, int]], now: int) -> None:
    """A flow is due by the earliest time that was asked for, once, and the earliest come first."""
    deadlines, earliest = Deadlines(), dict[int, int]()
    for flow, at in watched:
        deadlines.watch(flow, at)
        earliest[flow] = min(at, earliest.get(flow, at))
    assert deadlines.next() == min(earliest.values(), default=None)
    due = list(deadlines.due(now))
    assert due == sorted((flow for flow, at in earliest.items() if at <= now), key=lambda flow: (earliest[flow], flow))
    assert list(deadlines.due(now)) == []
