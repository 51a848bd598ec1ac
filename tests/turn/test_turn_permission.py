"""CreatePermission: RFC 8656, sections 9 and 10."""

import pytest

from hairpin.stun import Address, Attribute, Method, Reach
from hairpin.turn.effects import Forbid, Notify, Permit, Refused, Reply
from turning import (
    DENIED,
    OTHER_PEER,
    OWN_IP,
    PEER,
    PEER6,
    RELAY_IP,
    SECOND,
    World,
    error,
    everywhere,
    only,
    told,
    wire,
)


def test_success() -> None:
    """RFC 8656, 10.2: every peer that is named gets a permission of 300 s for its IP, before the client is told."""
    world = World()
    world.allocate(1)
    effects = world.permit(1, PEER, OTHER_PEER, Address(PEER.ip, 1))
    expires = world.now + 300 * SECOND
    assert [type(effect) for effect in effects] == [Permit, Permit, Notify, Reply]
    assert effects[:2] == [Permit(1, peer.ip, everywhere(Reach.OUTSIDE), expires) for peer in (PEER, OTHER_PEER)]
    assert error(effects) is None
    assert told(effects) == [("create_permission", {"ports": (1, 4000, 5000)})]
    permissions = world.allocation(1).permissions.values()
    assert [(each.ip, each.expires, each.ports) for each in permissions] == [
        (PEER.ip, expires, {1, 4000}),
        (OTHER_PEER.ip, expires, {5000}),
    ]


@pytest.mark.parametrize(
    ("peers", "code"),
    [
        ((), 400),
        ((PEER6,), 443),
        ((PEER, PEER6), 443),
        ((DENIED,), 403),
        ((PEER, DENIED), 403),
        ((DENIED, PEER), 403),
        ((PEER, DENIED, OTHER_PEER), 403),
    ],
)
def test_all_or_nothing(peers: tuple[Address, ...], code: int) -> None:
    """RFC 8656, 10.2: no peer 400, another family 443, a denied one 403; then nothing is installed or extended."""
    world = World()
    world.allocate(1)
    world.permit(1, OTHER_PEER)
    before = repr(world.allocation(1))
    world.now += SECOND
    effects = world.permit(1, *peers)
    assert [type(effect) for effect in effects] == [Reply, Refused]
    assert (error(effects), repr(world.allocation(1))) == (code, before)


WIRED = (Attribute.XOR_PEER_ADDRESS, bytes.fromhex("00012eb2e721c045"))  # PEER


def test_malformed_peer_beside_a_good_one() -> None:
    """RFC 8656, 10.2: 400 where one of the peers cannot be read, and nothing is installed."""
    world = World()
    world.allocate(1)
    assert error(world.send(1, wire(Method.CREATE_PERMISSION, WIRED, (Attribute.XOR_PEER_ADDRESS, b"\0\3")))) == 400
    assert world.allocation(1).permissions == {}


def test_limit_counts_what_lives() -> None:
    """RFC 8656, 10.2: 508 beyond the limit, and nothing is installed; lapsed ones do not count."""
    world = World(permissions=2)
    world.allocate(1)
    world.permit(1, PEER)
    third = Address("198.51.100.9", 1)
    assert error(world.permit(1, OTHER_PEER, third)) == 508
    assert list(world.allocation(1).permissions) == [PEER.ip]
    world.now += SECOND
    assert error(world.permit(1, PEER, OTHER_PEER)) is None
    assert error(world.permit(1, third)) == 508
    world.now += 300 * SECOND
    assert error(world.permit(1, third)) is None


def test_lapse() -> None:
    """RFC 8656, 9: a permission ends 300 s after it was installed or extended, to the nanosecond."""
    world = World()
    world.allocate(1)
    world.permit(1, PEER)
    world.now += 100 * SECOND
    world.permit(1, PEER, OTHER_PEER)
    assert world.server.expire(world.now + 300 * SECOND - 1) == []
    effects = world.server.expire(world.now + 300 * SECOND)
    assert sorted(each.ip for each in only(effects, Forbid)) == [PEER.ip, OTHER_PEER.ip]
    assert world.allocation(1).permissions == {}


def test_lapsed_before_anybody_looked() -> None:
    """RFC 8656, 9: a permission that has lapsed starts anew, also where expire() was not called."""
    world = World()
    world.allocate(1)
    world.permit(1, Address(PEER.ip, 1))
    world.now += 300 * SECOND
    effects = world.permit(1, Address(PEER.ip, 2))
    assert [type(effect) for effect in effects] == [Forbid, Permit, Notify, Reply]
    assert world.allocation(1).permissions[PEER.ip].ports == {2}


def test_named_ports_are_bounded() -> None:
    """A session notes 64 ports of a permission, however many its client names."""
    world = World()
    world.allocate(1)
    for port in range(100):
        world.permit(1, Address(PEER.ip, port))
    assert world.allocation(1).permissions[PEER.ip].ports == set(range(64))


@pytest.mark.parametrize(
    ("named", "ip", "reach"),
    [
        (PEER, PEER.ip, Reach.OUTSIDE),
        (Address(RELAY_IP, 50000), RELAY_IP, Reach.INSIDE),
        (Address("10.9.9.9", 50000), RELAY_IP, Reach.INSIDE),
        (Address(OWN_IP, 80), OWN_IP, Reach.BOTH),
    ],
)
def test_reach(named: Address, ip: str, reach: Reach) -> None:
    """A permission says where its data may go, and a relay is one peer by its bind and by its announced address."""
    world = World()
    world.allocate(1)
    (permit,) = only(world.permit(1, named), Permit)
    assert (permit.ip, permit.reaches) == (ip, everywhere(reach))


def test_retransmission() -> None:
    """RFC 8489, 6.3.1: a copy installs nothing again; the same id in another method is another transaction."""
    world = World()
    world.allocate(1)
    first = wire(Method.CREATE_PERMISSION, WIRED)
    assert [each.ip for each in only(world.send(1, first), Permit)] == [PEER.ip]
    assert [type(effect) for effect in world.send(1, first)] == [Reply]
    assert len(world.send(1, wire(Method.REFRESH))) == 3
