"""EVEN-PORT with R=1 and RESERVATION-TOKEN: RFC 8656, section 7.2."""

from dataclasses import replace
from random import Random

import pytest

from hairpin.stun import Attribute, Method
from hairpin.turn.effects import Effect, OpenRelay, Reply, Unreserve
from hairpin.turn.errors import InsufficientCapacity
from hairpin.turn.ports import REST, Ports
from hairpin.turn.settings import ListenerSettings, RelayAddress
from turning import INTERFACE, RELAY_IP, SECOND, SETTINGS, UDP, World, error, only, reply

PAIR = (Attribute.EVEN_PORT, 1)
FOUR = replace(SETTINGS, ports=(50000, 50003))


def token_of(effects: list[Effect]) -> tuple[int, bytes]:
    """The token in an answer, as the attribute that redeems it."""
    value = reply(effects)[Attribute.RESERVATION_TOKEN]
    assert len(value) == 8
    return Attribute.RESERVATION_TOKEN, value


def test_a_pair() -> None:
    """RFC 8656, 7.2: an even port for this allocation, and the next one for whoever brings the token."""
    world = World()
    asked = world.ask(1, Method.ALLOCATE, UDP, PAIR)
    assert [relay.reserve for relay in only(asked, OpenRelay)] == [True]
    token = token_of(world.server.relay_opened(1, world.now))
    assert (world.relay(1).port % 2, world.server.ports_allocated(4)) == (0, 2)
    effects = world.allocate(2, token)
    assert (world.relay(2).ip, world.relay(2).port) == (RELAY_IP, world.relay(1).port + 1)
    assert reply(effects)[Attribute.LIFETIME] == 600
    assert [relay.reserve for relay in only(effects, OpenRelay)] == [False]
    assert world.allocation(2).expires == world.now + 600 * SECOND
    assert (world.server.ports_allocated(4), dict(world.server.state.reservations)) == (2, {})


def test_r_0_reserves_nothing() -> None:
    """RFC 8656, 7.2: with R=0 the port is even, and the next one is anybody's."""
    world = World(FOUR)
    effects = world.allocate(1, (Attribute.EVEN_PORT, 0))
    assert Attribute.RESERVATION_TOKEN not in reply(effects)
    assert world.server.ports_allocated(4) == 1


def test_nobody_else_gets_it() -> None:
    """RFC 8656, 7.2: while the reservation lives its port is handed to nobody without the token."""
    world = World(FOUR)
    token = token_of(world.allocate(1, PAIR))
    assert [error(world.allocate(flow)) for flow in (2, 3, 4)] == [None, None, 508]
    assert error(world.allocate(5, token)) is None


def test_one_use() -> None:
    """RFC 8656, 7.2: 508 for a token that was redeemed, or never was; a copy of the request is answered alike."""
    world = World()
    token = token_of(world.allocate(1, PAIR))
    message = world.message(Method.ALLOCATE, UDP, token)
    world.send(2, message)
    (first,) = only(world.server.relay_opened(2, world.now), Reply)
    assert world.send(2, message) == [first]
    assert error(world.allocate(3, token)) == 508
    assert error(world.allocate(4, (Attribute.RESERVATION_TOKEN, b"whatever"))) == 508


@pytest.mark.parametrize(
    "other",
    [
        (Attribute.EVEN_PORT, 0),
        (Attribute.EVEN_PORT, 1),
        (Attribute.REQUESTED_ADDRESS_FAMILY, 1),
        (Attribute.REQUESTED_ADDRESS_FAMILY, 2),
        (Attribute.ADDITIONAL_ADDRESS_FAMILY, 2),
    ],
)
def test_alone(other: tuple[int, int]) -> None:
    """RFC 8656, 7.2: 400 for a token beside EVEN-PORT or an address family; the reservation stays."""
    world = World()
    token = token_of(world.allocate(1, PAIR))
    assert error(world.allocate(2, token, other)) == 400
    assert error(world.allocate(2, token)) is None


def test_another_user() -> None:
    """A token is good for the user who got it: it crossed the network in the clear."""
    world = World()
    token = token_of(world.allocate(1, PAIR))
    assert error(world.allocate(2, token, user="bob")) == 508
    assert error(world.allocate(3, token)) is None


@pytest.mark.parametrize("gone", [False, True], ids=["allocated", "gone"])
def test_lapse(gone: bool) -> None:
    """RFC 8656, 7.2: held for 40 s (30 are asked for), also when its allocation is gone; then the port rests."""
    world = World()
    token = token_of(world.allocate(1, PAIR))
    held, ends = world.relay(1).port + 1, world.now + 40 * SECOND
    if gone:
        world.refresh(1, 0)
    assert world.server.next_deadline() == ends
    assert world.server.expire(ends - 1) == []
    (effect,) = world.server.expire(ends)
    assert isinstance(effect, Unreserve)
    assert (effect.bind.ip, effect.bind.port) == ("10.9.9.9", held)
    world.now = ends
    assert error(world.allocate(2, token)) == 508
    assert world.server.ports_allocated(4) == (0 if gone else 1)


def test_lapsed_before_anybody_looked() -> None:
    """A token whose time is over is refused also where expire() was not called."""
    world = World()
    token = token_of(world.allocate(1, PAIR))
    world.now += 40 * SECOND
    effects = world.allocate(2, token)
    assert (error(effects), len(only(effects, Unreserve))) == (508, 1)


def test_any_listener() -> None:
    """RFC 8656, 7.2: the reservation is the server's: another listener, with relays elsewhere, opens it as it is."""
    elsewhere = ListenerSettings(INTERFACE, {4: RelayAddress("192.0.2.77", "192.0.2.77")})
    world = World(replace(SETTINGS, listeners=(*SETTINGS.listeners, elsewhere)))
    token = token_of(world.allocate(1, PAIR))
    world.listener = 1
    world.allocate(2, token)
    assert world.relay(2).ip == RELAY_IP


def test_no_pair() -> None:
    """RFC 8656, 7.2: 508 where ports are left and no two of them are a pair, and nothing is held."""
    world = World(replace(SETTINGS, ports=(50001, 50002)))
    assert error(world.allocate(1, PAIR)) == 508
    assert (world.server.ports_allocated(4), world.server.state.reservations) == (0, {})
    assert error(world.allocate(1)) is None


def test_a_pair_that_cannot_be_bound() -> None:
    """RFC 8656, 7.2: the next pair where one cannot be bound, until each was tried once; then 508, and all are free."""
    world = World(FOUR)
    tried = only(world.ask(1, Method.ALLOCATE, UDP, PAIR), OpenRelay)
    while again := only(effects := world.server.relay_refused(1, world.now, exhausted=False), OpenRelay):
        tried += again
    assert sorted(relay.external.port for relay in tried) == [50000, 50002]
    assert (error(effects), world.server.ports_allocated(4), world.server.state.reservations) == (508, 0, {})


def test_a_reservation_that_cannot_be_opened() -> None:
    """508 for a reserved port that fails after all; no other one is tried, and the token is gone."""
    world = World()
    token = token_of(world.allocate(1, PAIR))
    world.ask(2, Method.ALLOCATE, UDP, token)
    assert error(world.server.relay_refused(2, world.now, exhausted=False)) == 508
    assert (error(world.allocate(3, token)), world.server.ports_allocated(4)) == (508, 1)


def test_reservations_of_a_user() -> None:
    """RFC 8656, 7.2: 486 for a user who holds as many reservations as it may have sessions; others get theirs."""
    world = World(sessions_per_user=2)
    for flow in (1, 2):
        token_of(world.allocate(flow, PAIR))
        world.refresh(flow, 0)
    assert error(world.allocate(3, PAIR)) == 486
    assert error(world.allocate(4, PAIR, user="bob")) is None
    world.now += 40 * SECOND
    assert error(world.allocate(3, PAIR)) is None


def test_nothing_leaks() -> None:
    """Reserve 100,000 times; redeem, let lapse, lose, be refused: ports, users and reservations return to none."""
    world = World(replace(SETTINGS, ports=(50000, 50063)), sessions_per_user=3)
    for flow in range(0, 200_000, 2):
        effects = world.ask(flow, Method.ALLOCATE, UDP, PAIR)
        if flow % 10 == 0:
            world.server.closed(flow, "gone", world.now)
        elif flow % 10 == 2:
            world.server.relay_refused(flow, world.now, exhausted=True)
            world.server.closed(flow, "gone", world.now)
        else:
            effects = world.server.relay_opened(flow, world.now)
            if flow % 10 == 4:
                world.refresh(flow, 0)
            if flow % 10 != 6:
                world.allocate(flow + 1, token_of(effects))
                world.refresh(flow + 1, 0)
            world.refresh(flow, 0)
            world.now += 20 * SECOND
    world.server.expire(world.now + 40 * SECOND)
    state = world.server.state
    assert (state.sessions, state.users, state.relays, state.reservations) == ({}, {}, {}, {})
    assert (world.server.ports_allocated(4), world.server.next_deadline()) == (0, None)


def test_pairs_are_drawn_by_chance() -> None:
    """RFC 8656, 7.2: all pairs, none twice, in no order; an odd first port and an even last one are no pair."""
    ports = Ports(50001, 50064, Random(1).randrange)
    drawn = [ports.take(0, 1) for _ in range(31)]
    assert sorted(drawn) == list(range(50002, 50064, 2))
    assert drawn != sorted(drawn)
    assert {ports.take(0), ports.take(0)} == {50001, 50064}
    with pytest.raises(InsufficientCapacity):
        ports.take(0, 1)


def test_pairs_that_rest() -> None:
    """A pair that rests is taken when no other is left: the one whose later port has rested for the longest."""
    ports = Ports(50000, 50005, Random(1).randrange)
    for _ in range(3):
        ports.take(0, 1)
    for at, port in enumerate((50000, 50002, 50003, 50001, 50004), 1):
        ports.release(port, at)
    assert [ports.take(6, 1), ports.take(6, 1)] == [50002, 50000]
    with pytest.raises(InsufficientCapacity):
        ports.take(6, 1)
    assert (ports.take(6), ports.available) == (50004, 0)
    ports.release(50002, 7)
    ports.release(50003, 7 + REST)
    assert (ports.take(7 + REST, 1), ports.taken) == (50002, 6)
