"""ChannelBind: RFC 8656, section 12."""

from dataclasses import replace

import pytest

from hairpin.stun import Address, Attribute, Method, Reach
from hairpin.turn.effects import BindChannel, Forbid, Notify, Permit, Reply, Unbind
from turning import (
    DENIED,
    OTHER_PEER,
    OWN_IP,
    PEER,
    PEER6,
    RELAY_IP,
    SECOND,
    SETTINGS,
    World,
    error,
    everywhere,
    only,
    reply,
    told,
)


def test_success() -> None:
    """RFC 8656, 12.2: the channel lives 600 s and its permission 300 s, and both stand before the client is told."""
    world = World()
    world.allocate(1)
    effects = world.bind(1, 0x4000, PEER)
    assert [type(effect) for effect in effects] == [Permit, BindChannel, Notify, Reply]
    assert effects[0] == Permit(1, PEER.ip, everywhere(Reach.OUTSIDE), world.now + 300 * SECOND)
    assert effects[1] == BindChannel(1, 0x4000, PEER, world.now + 600 * SECOND)
    assert (reply(effects), told(effects)) == ({}, [("channel_bind", {"channel": 0x4000})])
    assert world.allocation(1).permissions[PEER.ip].ports == {PEER.port}


NUMBER, HERE = (Attribute.CHANNEL_NUMBER, 0x4000), (Attribute.XOR_PEER_ADDRESS, PEER)


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ((), 400),
        ((NUMBER,), 400),
        ((HERE,), 400),
        (((Attribute.CHANNEL_NUMBER, 0x3FFF), HERE), 400),
        (((Attribute.CHANNEL_NUMBER, 0x5000), HERE), 400),
        (((Attribute.CHANNEL_NUMBER, 0xFFFF), HERE), 400),
        ((NUMBER, (Attribute.XOR_PEER_ADDRESS, PEER6)), 443),
        ((NUMBER, (Attribute.XOR_PEER_ADDRESS, DENIED)), 403),
        ((NUMBER, (Attribute.XOR_PEER_ADDRESS, DENIED), HERE), 403),
        ((NUMBER, HERE, (Attribute.XOR_PEER_ADDRESS, DENIED)), None),
        (((Attribute.CHANNEL_NUMBER, 0x4FFF), HERE), None),
    ],
)
def test_table(attributes: tuple[tuple[int, int | Address], ...], code: int | None) -> None:
    """RFC 8656, 12.2: 400, 443 and 403; of two peers the first one counts; nothing is bound where there is an error."""
    world = World()
    world.allocate(1)
    effects = world.ask(1, Method.CHANNEL_BIND, *attributes)
    assert error(effects) == code
    assert [channel.peer for channel in only(effects, BindChannel)] == ([] if code else [PEER])
    assert list(world.allocation(1).permissions) == ([] if code else [PEER.ip])


def test_numbers_of_rfc_5766() -> None:
    """RFC 5766, 2.5: with the concession, numbers up to 0x7FFE."""
    world = World(replace(SETTINGS, channel_last=0x7FFE))
    world.allocate(1)
    assert [error(world.bind(1, 0x7FFE, PEER)), error(world.bind(1, 0x7FFF, OTHER_PEER))] == [None, 400]


def test_one_peer_one_number() -> None:
    """RFC 8656, 12.2: 400 for a number or a peer that is bound elsewhere; the same pair is refreshed."""
    world = World()
    world.allocate(1)
    world.bind(1, 0x4000, PEER)
    world.now += SECOND
    assert error(world.bind(1, 0x4000, OTHER_PEER)) == 400
    assert error(world.bind(1, 0x4001, PEER)) == 400
    assert error(world.bind(1, 0x4000, Address(PEER.ip, 4001))) == 400
    assert OTHER_PEER.ip not in world.allocation(1).permissions
    assert only(world.bind(1, 0x4000, PEER), BindChannel)[0].deadline == world.now + 600 * SECOND
    assert len(world.allocation(1).channels) == 1


def test_outlives_its_permission() -> None:
    """RFC 8656, 9 and 12: after 300 s the permission is gone and the channel is not; after 600 s both."""
    world = World()
    world.allocate(1, (Attribute.LIFETIME, 3600))
    world.bind(1, 0x4000, PEER)
    assert world.server.expire(world.now + 300 * SECOND) == [Forbid(1, PEER.ip)]
    assert world.server.expire(world.now + 600 * SECOND - 1) == []
    assert world.server.expire(world.now + 600 * SECOND) == [Unbind(1, 0x4000)]


@pytest.mark.parametrize("after", [600, 900])
def test_bind_again(after: int) -> None:
    """RFC 8656, 12: once the binding is over, number and peer are free again, at once and five minutes later."""
    world = World()
    world.allocate(1, (Attribute.LIFETIME, 3600))
    world.bind(1, 0x4000, PEER)
    world.now += after * SECOND
    effects = world.bind(1, 0x4000, OTHER_PEER)
    assert effects.index(Unbind(1, 0x4000)) < effects.index(only(effects, BindChannel)[0])
    assert error(world.bind(1, 0x4001, PEER)) is None


def test_limits() -> None:
    """RFC 8656, 12.2: 508 beyond the channels or the permissions of a session; those that are there are refreshed."""
    world = World(channels=1, permissions=1)
    world.allocate(1)
    world.bind(1, 0x4000, PEER)
    assert error(world.bind(1, 0x4001, Address(PEER.ip, 1))) == 508
    assert error(world.bind(1, 0x4000, PEER)) is None
    crowded = World(channels=2, permissions=1)
    crowded.allocate(1)
    crowded.bind(1, 0x4000, PEER)
    assert error(crowded.bind(1, 0x4001, OTHER_PEER)) == 508
    assert list(crowded.allocation(1).channels) == [0x4000]


def test_our_own_addresses() -> None:
    """Of our own addresses only live relays are peers, by either address; an allowed one has all its ports."""
    world = World()
    world.allocate(1)
    world.allocate(2, user="bob")
    port = world.relay(2).port
    assert error(world.bind(1, 0x4000, Address(RELAY_IP, 3478))) == 403
    assert error(world.bind(1, 0x4000, Address("10.9.9.9", port))) is None
    assert world.allocation(1).channels[0x4000].peer == world.relay(2)
    assert error(world.bind(1, 0x4001, Address(OWN_IP, 9))) is None


def test_the_peer_goes() -> None:
    """A channel to a relay of ours goes with that relay: the next owner of its port is somebody else."""
    world = World()
    world.allocate(1)
    world.allocate(2, user="bob")
    world.bind(1, 0x4000, world.relay(2))
    world.bind(2, 0x4001, world.relay(1), user="bob")
    effects = world.refresh(2, 0, user="bob")
    assert only(effects, Unbind) == [Unbind(1, 0x4000)]
    assert (world.allocation(1).channels, world.allocation(1).numbers) == ({}, {})
    assert error(world.bind(1, 0x4000, PEER)) is None
    assert only(world.refresh(1, 0), Unbind) == []
    assert world.server.state.bound == {}


def test_a_channel_to_oneself() -> None:
    """A client that talks to its own relay ends like any other."""
    world = World()
    world.allocate(1)
    assert error(world.bind(1, 0x4000, world.relay(1))) is None
    assert only(world.refresh(1, 0), Unbind) == []
    assert world.server.state.bound == {}
