"""Refresh: RFC 8656, section 8; and what every request on an allocation needs (section 5)."""

import pytest

from hairpin.stun import Attribute, Method
from hairpin.turn.effects import Close, ExtendRelay, Notify, Reply
from turning import PEER, SECOND, World, error, identity, only, reply, told


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 600), (1, 600), (599, 600), (601, 601), (3600, 3600), (2**32 - 1, 3600)]
)
def test_lifetime(asked: int | None, granted: int) -> None:
    """RFC 8656, 8.2: at least 600 s, at most the limit; the lease is extended first, then the client is told."""
    world = World()
    world.allocate(1)
    world.now += 300 * SECOND
    effects = world.refresh(1, asked)
    expires = world.now + granted * SECOND
    assert [type(effect) for effect in effects] == [ExtendRelay, Notify, Reply]
    assert (effects[0], reply(effects)) == (ExtendRelay(1, 4, expires), {Attribute.LIFETIME: granted})
    assert told(effects) == [("refresh", {"lifetime": granted})]
    assert (world.allocation(1).expires, world.session(1).expires) == (expires, expires)


def test_goodbye() -> None:
    """RFC 8656, 8.2: LIFETIME 0 is answered with 0 and ends the session; its copy gets 437 and leaves nothing."""
    world = World()
    world.allocate(1)
    message = world.message(Method.REFRESH, (Attribute.LIFETIME, 0))
    effects = world.send(1, message)
    assert [type(effect) for effect in effects] == [Reply, Close, Notify]
    assert (reply(effects), effects[1]) == ({Attribute.LIFETIME: 0}, Close(1, disconnect=False))
    assert told(effects) == [("closed", {"reason": "refresh"})]
    again = world.send(2, message)
    assert (error(again), only(again, Reply)[0].key) == (437, identity("alice").key)
    assert (dict(world.server.sessions), world.server.next_deadline()) == ({}, None)


@pytest.mark.parametrize(("family", "code"), [(1, None), (2, 443), (9, 443)])
def test_family(family: int, code: int | None) -> None:
    """RFC 8656, 8.2: 443 for a family that is not the relay's, and nothing is changed."""
    world = World()
    world.allocate(1)
    asked = ((Attribute.REQUESTED_ADDRESS_FAMILY, family), (Attribute.LIFETIME, 0))
    assert error(world.ask(1, Method.REFRESH, *asked)) == code
    assert (1 in world.server.sessions) == (code is not None)


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_without_allocation(method: Method) -> None:
    """RFC 8656, 8.2, 10.2, 12.2: 437 where there is no allocation, with a session and without one, and none begins."""
    world = World()
    assert error(world.ask(1, method)) == 437
    assert 1 not in world.server.sessions
    world.ask(1, Method.ALLOCATE)
    assert error(world.ask(1, method)) == 437


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_another_user(method: Method) -> None:
    """RFC 8656, 5: 441 for another user, signed for him, and the state is untouched, answers that are kept included."""
    world = World()
    world.allocate(1)
    attributes = [(Attribute.LIFETIME, 0), (Attribute.CHANNEL_NUMBER, 0x4000), (Attribute.XOR_PEER_ADDRESS, PEER)]
    before = repr(world.session(1))
    effects = world.ask(1, method, *attributes, user="bob")
    assert (error(effects), only(effects, Reply)[0].key) == (441, identity("bob").key)
    assert repr(world.session(1)) == before


def test_retransmission() -> None:
    """RFC 8489, 6.3.1: the copy of a Refresh is answered alike and extends nothing."""
    world = World()
    world.allocate(1)
    message = world.message(Method.REFRESH)
    (first,) = only(world.send(1, message), Reply)
    expires = world.allocation(1).expires
    world.now += SECOND
    assert world.send(1, message) == [first]
    assert world.allocation(1).expires == expires


def test_eight_answers_are_kept() -> None:
    """RFC 8489, 6.3.1: the last eight answers are kept, so that no client fills the memory."""
    world = World()
    world.allocate(1)
    messages = [world.message(Method.REFRESH) for _ in range(9)]
    for message in messages:
        world.send(1, message)
    copies = [len(world.send(1, message)) for message in reversed(messages)]
    assert copies == [1] * 8 + [3]


def test_an_answer_given_again_is_the_newest() -> None:
    """RFC 8489, 6.3.1: a request that came again after 40 s was judged anew, and is kept like any new one."""
    world = World()
    world.allocate(1)
    messages = [world.message(Method.REFRESH) for _ in range(8)]
    for message in messages:
        world.send(1, message)
    world.now += 40 * SECOND
    assert len(world.send(1, messages[0])) == 3
    for _ in range(7):
        world.refresh(1)
    assert len(world.send(1, messages[0])) == 1
