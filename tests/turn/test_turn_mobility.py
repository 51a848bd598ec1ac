"""Mobility: RFC 8016. A client shows its ticket from another flow; the rules say where its session is."""

from dataclasses import replace
from typing import Any

import pytest

from hairpin.stun import Address, Attribute, Method
from hairpin.turn.effects import Close, Effect, Expect, ExtendRelay, InstallKey, Keep, Move, Notify, Permit, Reply
from turning import INTERFACE, PEER, SECOND, SETTINGS, World, error, only, reply, told

TICKET = Attribute.MOBILITY_TICKET
ASKED = (TICKET, b"")


@pytest.fixture
def world() -> World:
    """One where sessions may move; flow 1 has a mobile one."""
    made = World(replace(SETTINGS, mobility=True))
    made.allocate(1, ASKED)
    return made


def ticket(effects: list[Effect]) -> bytes:
    """The ticket in the one answer."""
    value: bytes = reply(effects)[TICKET]
    return value


def first_ticket(world: World) -> bytes:
    """The one that the client was given with its allocation."""
    made = world.session(1).ticket
    assert made is not None
    return made


def resume(world: World, flow: int, shown: bytes, *attributes: tuple[int, Any], user: str = "alice") -> list[Effect]:
    """Refresh from another flow with a ticket."""
    return world.ask(flow, Method.REFRESH, *attributes, (TICKET, shown), user=user)


def test_m_3_1_an_empty_ticket_gets_one() -> None:
    """The answer to Allocate has a ticket of 128 bits, and the relay outlives its connection from before that on."""
    world = World(replace(SETTINGS, mobility=True))
    effects = world.allocate(1, ASKED)
    assert only(effects, Keep) == [Keep(1)]
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Keep) < kinds.index(Reply)
    assert len(ticket(effects)) == 32
    assert ticket(world.allocate(2, ASKED)) != ticket(effects)


def test_m_3_1_a_ticket_that_is_not_empty_is_400() -> None:
    """Length other than 0 in Allocate, also where it is a ticket of ours."""
    world = World(replace(SETTINGS, mobility=True))
    world.allocate(1, ASKED)
    for shown in (b"x", first_ticket(world)):
        assert error(world.allocate(2, (TICKET, shown))) == 400


def test_m_3_1_forbidden_is_405_in_allocate_and_in_refresh(world: World) -> None:
    """Where mobility is on, but not for this user (also where that was taken away meanwhile)."""
    world.mobility = False
    assert error(world.allocate(2, ASKED)) == 405
    assert error(resume(world, 3, first_ticket(world))) == 405
    assert error(world.allocate(4)) is None


def test_m_off_the_attribute_is_not_looked_at() -> None:
    """It is comprehension-optional: no ticket, no 400, and a Refresh from elsewhere finds no allocation."""
    world = World()
    for flow, shown in enumerate((b"", b"x"), 1):
        effects = world.allocate(flow, (TICKET, shown))
        assert error(effects) is None
        assert TICKET not in reply(effects)
        assert not only(effects, Keep)
    assert error(resume(world, 3, b"x")) == 437
    assert error(resume(world, 1, b"x")) is None


def test_m_without_asking_there_is_no_ticket() -> None:
    """A client that sends no MOBILITY-TICKET gets none, and its session ends with its connection."""
    effects = World(replace(SETTINGS, mobility=True)).allocate(1)
    assert TICKET not in reply(effects)
    assert not only(effects, Keep)


def test_m_3_2_2_a_refresh_with_the_ticket_is_answered_where_it_came_from(world: World) -> None:
    """The key, then that the session is expected, then the answer with the next ticket; the lease is extended."""
    world.now += 300 * SECOND
    effects = resume(world, 2, first_ticket(world), (Attribute.LIFETIME, 1200))
    assert [type(effect) for effect in effects] == [InstallKey, Expect, ExtendRelay, Notify, Reply]
    assert effects[1:3] == [Expect(2), ExtendRelay(1, 4, world.now + 1200 * SECOND)]
    (answer,) = only(effects, Reply)
    assert (answer.flow, reply(effects)[Attribute.LIFETIME]) == (2, 1200)
    assert ticket(effects) != first_ticket(world)
    assert told(effects) == [("refresh", {"lifetime": 1200})]
    assert world.session(1).flow == 1


def test_m_3_2_2_the_first_data_moves_the_session(world: World) -> None:
    """All that is known by its flow is known by the new one, also the address that events and the API tell."""
    own = world.allocation(1).relays[0].external
    world.bind(1, 0x4000, PEER)
    world.allocate(9)
    world.bind(9, 0x4001, own)  # somebody's channel to it
    relay = world.allocation(9).relays[0].external
    world.bind(1, 0x4002, relay)  # and its own to somebody's
    resume(world, 2, first_ticket(world))
    assert world.server.moving(2) == [Move(1, 2)]
    session = world.session(2)
    assert (session.flow, session.client.port, session.coming) == (2, 1002, None)
    assert set(world.server.sessions) == {2, 9}
    assert world.server.state.relays[own] == 2
    assert world.server.state.bound[relay] == {2: 0x4002}
    world.now = session.expires
    closed = world.server.expire(world.now)
    assert Close(2, disconnect=True) in closed
    assert world.server.state.bound == world.server.state.relays == world.server.state.tickets == {}


def test_m_3_2_2_only_the_first_data_moves_it(world: World) -> None:
    """What is said twice, or of a flow where nobody is expected, does nothing."""
    resume(world, 2, first_ticket(world))
    assert world.server.moving(3) == []
    assert world.server.moving(2) == [Move(1, 2)]
    assert world.server.moving(2) == world.server.moving(1) == []


def test_m_3_2_2_requests_from_both_places_are_the_sessions(world: World) -> None:
    """Until it has moved a session is told from either place: done where it is, answered where it was asked from."""
    resume(world, 2, first_ticket(world))
    for flow in (1, 2):
        effects = world.permit(flow, PEER)
        assert [effect.flow for effect in only(effects, Permit)] == [1]
        assert [effect.flow for effect in only(effects, Reply)] == [flow]
        assert error(effects) is None
    assert error(world.allocate(2)) == 437
    assert error(world.permit(2, PEER, user="bob")) == 441
    assert [effect.flow for effect in only(world.permit(2, PEER, user="bob"), Reply)] == [2]
    world.server.moving(2)
    assert [effect.flow for effect in only(world.permit(2, PEER), Permit)] == [2]
    assert error(world.permit(1, PEER)) == 437


def test_m_3_2_2_another_user_is_441(world: World) -> None:
    """A ticket that was overheard is worth nothing without the credentials, and nothing has changed."""
    effects = resume(world, 2, first_ticket(world), user="bob")
    assert error(effects) == 441
    assert not only(effects, Expect)
    assert world.session(1).coming is None
    assert error(resume(world, 3, first_ticket(world))) is None


@pytest.mark.parametrize("shown", [b"", b"x", b"0" * 32, b"\xff" * 32, bytes(400)])
def test_m_3_2_2_an_unknown_ticket_is_437(world: World, shown: bytes) -> None:
    """A guess, an empty one, and one of an allocation that has ended."""
    assert error(resume(world, 2, shown)) == 437
    old = first_ticket(world)
    world.refresh(1, 0)
    assert error(resume(world, 2, old)) == 437


def test_m_3_2_2_the_old_ticket_is_void_once_the_client_has_moved(world: World) -> None:
    """Until then it finds the session, for the answer may have been lost; afterwards only the next one does."""
    old = first_ticket(world)
    resume(world, 2, old)
    next_one = ticket(resume(world, 3, old))
    world.server.moving(3)
    assert error(resume(world, 4, old)) == 437
    assert error(resume(world, 4, next_one)) is None


def test_m_a_second_resume_replaces_the_first(world: World) -> None:
    """Who moves on before it has sent anything is expected in the last place only; what it was told before is void."""
    overtaken = ticket(resume(world, 2, first_ticket(world)))
    effects = resume(world, 3, overtaken)
    assert only(effects, Close) == [Close(2, disconnect=False)]
    assert only(effects, Expect) == [Expect(3)]
    assert world.server.moving(2) == []
    assert error(resume(world, 4, overtaken)) == 437
    assert world.server.moving(3) == [Move(1, 3)]


def test_m_a_copy_of_the_refresh_gets_the_same_ticket(world: World) -> None:
    """From the new place, also once the client has moved; and a new Refresh from there keeps the ticket it was told."""
    message = world.message(Method.REFRESH, (TICKET, first_ticket(world)))
    told_first = ticket(world.send(2, message))
    again = world.send(2, message)
    assert [type(effect) for effect in again] == [Reply]
    assert (ticket(again), only(again, Reply)[0].flow) == (told_first, 2)
    assert ticket(resume(world, 2, told_first)) == told_first
    world.server.moving(2)
    assert ticket(world.send(2, message)) == told_first


def test_m_3_2_2_from_the_place_where_the_session_is_400(world: World) -> None:
    """A client that has not moved must not show its ticket; without it the Refresh is one as any other."""
    assert error(resume(world, 1, first_ticket(world))) == 400
    assert error(world.refresh(1)) is None


def test_m_3_2_2_from_the_place_of_another_allocation_437(world: World) -> None:
    """A five-tuple has one allocation."""
    world.allocate(2)
    assert error(resume(world, 2, first_ticket(world))) == 437
    assert world.session(1).coming is None


def test_m_a_refused_refresh_expects_nobody(world: World) -> None:
    """443 for the other family: the session is not expected there."""
    effects = resume(world, 2, first_ticket(world), (Attribute.REQUESTED_ADDRESS_FAMILY, 2))
    assert error(effects) == 443
    assert not only(effects, Expect)
    assert world.server.moving(2) == []


def test_m_goodbye_from_elsewhere(world: World) -> None:
    """LIFETIME 0 with a ticket, or from where the session is expected, ends it everywhere."""
    effects = resume(world, 2, first_ticket(world), (Attribute.LIFETIME, 0))
    assert (only(effects, Reply)[0].flow, reply(effects)[Attribute.LIFETIME]) == (2, 0)
    assert only(effects, Close) == [Close(1, disconnect=False)]
    world.allocate(1, ASKED)
    resume(world, 2, first_ticket(world))
    effects = world.refresh(2, 0)
    assert only(effects, Reply)[0].flow == 2
    assert {effect.flow for effect in only(effects, Close)} == {1, 2}
    assert isinstance(effects[0], Reply)
    assert world.server.state.tickets == world.server.state.arriving == {}


def test_m_a_quota_counts_one_through_the_handover() -> None:
    """A user with one session at most can move it, and has one session before, while, and after it moves."""
    world = World(replace(SETTINGS, mobility=True), sessions_per_user=1)
    world.allocate(1, ASKED)
    assert error(resume(world, 2, first_ticket(world))) is None
    assert world.server.state.users == {"alice": 1}
    world.server.moving(2)
    assert world.server.state.users == {"alice": 1}
    assert error(world.allocate(3)) == 486
    world.refresh(2, 0)
    assert world.server.state.users == {}


def test_m_3_2_2_the_end_of_the_old_connection_moves_the_session_too(world: World) -> None:
    """A client that is expected elsewhere is there when its old connection ends."""
    resume(world, 2, first_ticket(world))
    assert world.server.moving(1, away=True) == [Move(1, 2)]


def test_m_a_client_that_comes_back_is_there_at_once(world: World) -> None:
    """Whose old connection is over already is nowhere else: answered, then moved; with the next one it is as ever."""
    assert world.server.moving(1, away=True) == world.server.moving(7, away=True) == []
    effects = resume(world, 2, first_ticket(world))
    assert [type(effect) for effect in effects] == [InstallKey, Expect, ExtendRelay, Notify, Reply, Move]
    assert (only(effects, Reply)[0].flow, world.session(2).flow) == (2, 2)
    assert not only(resume(world, 3, ticket(effects)), Move)


def test_m_the_end_of_the_new_connection_leaves_the_session(world: World) -> None:
    """Who goes away from the new place before it sent data is where it was, and its old ticket holds."""
    overtaken = ticket(resume(world, 2, first_ticket(world)))
    world.server.closed(2, "disconnected", world.now)
    assert world.session(1).coming is None
    assert error(resume(world, 3, overtaken)) == 437
    assert error(resume(world, 3, first_ticket(world))) is None


def test_m_to_another_interface() -> None:
    """A session that comes by another listener and transport is told by that one from then on."""
    other = replace(SETTINGS.listeners[0], interface=Address("203.0.113.9", 443))
    world = World(replace(SETTINGS, mobility=True, listeners=(*SETTINGS.listeners, other)))
    world.allocate(1, ASKED)
    world.listener, world.transport = len(SETTINGS.listeners), 1
    resume(world, 2, first_ticket(world))
    assert world.session(1).interface == INTERFACE
    world.server.moving(2)
    session = world.session(2)
    assert (session.interface, session.transport, session.listener) == (other.interface, 1, world.listener)
    assert only(world.permit(2, PEER), Notify)[0].session.interface == other.interface


@pytest.mark.parametrize(("transport", "kinds"), [(0, []), (1, [Reply])], ids=["udp", "tcp"])
def test_m_a_session_that_lapsed_is_expected_nowhere(world: World, transport: int, kinds: list[type]) -> None:
    """Its flow over UDP goes with it, and the client asks again; a stream stays, and what came by it is answered."""
    world.transport = transport
    resume(world, 2, first_ticket(world))
    world.now += 600 * SECOND
    effects = world.ask(2, Method.REFRESH)
    assert told(effects) == [("closed", {"reason": "expired"})]
    assert [type(effect) for effect in effects if isinstance(effect, Reply)] == kinds
