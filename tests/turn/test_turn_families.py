"""Two address families in one allocation: RFC 8656, sections 7.2 (ADDITIONAL-ADDRESS-FAMILY) and 8.2."""

from dataclasses import replace

import pytest

from hairpin.stun import Attribute, Method
from hairpin.turn.effects import (
    BindChannel,
    Close,
    CloseRelay,
    Effect,
    ExtendRelay,
    Forbid,
    Notify,
    OpenRelay,
    Permit,
    Reply,
    Unbind,
)
from hairpin.turn.settings import ListenerSettings
from turning import (
    INTERFACE,
    PEER,
    PEER6,
    RELAY_IP,
    RELAY_IP6,
    SECOND,
    SETTINGS,
    UDP,
    World,
    error,
    everywhere,
    only,
    reply,
    told,
)

BOTH = (Attribute.ADDITIONAL_ADDRESS_FAMILY, 2)
IPV4, IPV6 = (Attribute.REQUESTED_ADDRESS_FAMILY, 1), (Attribute.REQUESTED_ADDRESS_FAMILY, 2)
FULL = replace(SETTINGS, ports=(50000, 50000))


def dual() -> World:
    """A client that has a relay of each family, a permission and a channel on both."""
    world = World()
    world.allocate(1, BOTH)
    world.bind(1, 0x4000, PEER)
    world.bind(1, 0x4001, PEER6)
    return world


def only_family(version: int) -> World:
    """A server that relays to one family alone."""
    relays = {version: SETTINGS.listeners[0].relays[version]}
    return World(replace(SETTINGS, listeners=(ListenerSettings(INTERFACE, relays),)))


def said(effects: list[Effect], attribute: Attribute) -> list[object]:
    """Every value of that attribute in the answer."""
    (answer,) = only(effects, Reply)
    return [value for code, value in answer.attributes if code == attribute]


def test_two_relays() -> None:
    """RFC 8656, 7.2: one IPv4 and one IPv6 relayed transport address in one answer, which waits for both binds."""
    world = World()
    effects = world.allocate(1, BOTH)
    assert [type(effect) for effect in effects[1:]] == [OpenRelay, OpenRelay, Notify, Reply]
    assert said(effects, Attribute.XOR_RELAYED_ADDRESS) == [world.relay(1), world.relay(1, 1)]
    assert [world.relay(1).ip, world.relay(1, 1).ip] == [RELAY_IP, RELAY_IP6]
    assert said(effects, Attribute.ADDRESS_ERROR_CODE) == []
    assert [world.server.ports_allocated(version) for version in (4, 6)] == [1, 1]
    assert told(effects) == [("allocated", {"port": world.relay(1).port})]
    assert len(world.server.sessions) == 1


@pytest.mark.parametrize(
    "attributes",
    [
        ((Attribute.ADDITIONAL_ADDRESS_FAMILY, 1),),
        ((Attribute.ADDITIONAL_ADDRESS_FAMILY, 3),),
        (BOTH, IPV4),
        (BOTH, IPV6),
        (BOTH, (Attribute.EVEN_PORT, 1)),
    ],
)
def test_bad_requests(attributes: tuple[tuple[int, int], ...]) -> None:
    """RFC 8656, 7.2 and 18.11: 400 for any value but IPv6, with REQUESTED-ADDRESS-FAMILY, and with EVEN-PORT R=1."""
    world = World()
    assert error(world.allocate(1, *attributes)) == 400
    assert (world.session(1).allocation, world.server.ports_allocated(4)) == (None, 0)


def test_even_ports() -> None:
    """RFC 8656, 7.2: EVEN-PORT with R=0 is for both relays."""
    world = World()
    world.allocate(1, BOTH, (Attribute.EVEN_PORT, 0))
    assert [world.relay(1, place).port % 2 for place in (0, 1)] == [0, 0]


def test_no_ipv6() -> None:
    """RFC 8656, 7.2: a success with the IPv4 relay, and 440 for IPv6 in ADDRESS-ERROR-CODE."""
    world = only_family(4)
    effects = world.allocate(1, BOTH)
    assert error(effects) is None
    assert said(effects, Attribute.XOR_RELAYED_ADDRESS) == [world.relay(1)]
    assert said(effects, Attribute.ADDRESS_ERROR_CODE) == [(2, 440, "Address Family not Supported")]


def test_no_ipv4() -> None:
    """RFC 8656, 7.2: 440 where REQUESTED-ADDRESS-FAMILY is absent and there is no IPv4, whatever else is asked for."""
    assert error(only_family(6).allocate(1, BOTH)) == 440


@pytest.mark.parametrize(("taken", "family"), [(IPV4, 1), (IPV6, 2)])
def test_no_port_of_one_family(taken: tuple[int, int], family: int) -> None:
    """RFC 8656, 7.2: a success with the relay that is to be had, and 508 for the other in ADDRESS-ERROR-CODE."""
    world = World(FULL)
    world.allocate(1, taken, user="bob")
    effects = world.allocate(2, BOTH)
    assert said(effects, Attribute.ADDRESS_ERROR_CODE) == [(family, 508, "Insufficient Capacity")]
    assert said(effects, Attribute.XOR_RELAYED_ADDRESS) == [world.relay(2)]
    assert told(effects) == [("allocated", {"port": 50000})]


def test_no_port_of_any_family() -> None:
    """RFC 8656, 7.2: 508 where neither relay is to be had, and nothing is held."""
    world = World(FULL)
    world.allocate(1, BOTH)
    effects = world.allocate(2, BOTH)
    assert (error(effects), said(effects, Attribute.ADDRESS_ERROR_CODE)) == (508, [])
    assert world.session(2).allocation is None
    world.refresh(1, 0)
    assert error(world.allocate(2, BOTH)) is None


@pytest.mark.parametrize("refused", [4, 6])
def test_one_cannot_be_bound(refused: int) -> None:
    """RFC 8656, 7.2: a relay that the kernel refuses is 508 in ADDRESS-ERROR-CODE, and its port is free again."""
    world = World()
    effects = world.ask(1, Method.ALLOCATE, UDP, BOTH)
    while isinstance(effects[-1], OpenRelay):
        if effects[-1].bind.version == refused:
            effects = world.server.relay_refused(1, world.now, exhausted=True)
        else:
            effects = world.server.relay_opened(1, world.now)
    assert said(effects, Attribute.ADDRESS_ERROR_CODE) == [(refused // 2 - 1, 508, "Insufficient Capacity")]
    assert world.relay(1).version != refused
    assert (world.server.ports_allocated(refused), len(world.server.state.relays)) == (0, 1)


def test_gone_while_the_second_is_bound() -> None:
    """Both ports of a client that leaves before it was answered are free again."""
    world = World()
    world.ask(1, Method.ALLOCATE, UDP, BOTH)
    world.server.relay_opened(1, world.now)
    world.server.closed(1, "gone", world.now)
    assert [world.server.ports_allocated(version) for version in (4, 6)] == [0, 0]
    assert world.server.state.relays == {}


def test_peers_of_both() -> None:
    """RFC 8656, 10.2 and 12.2: peers of either family, also both in one request; a channel number is one for both."""
    world = dual()
    effects = world.permit(1, PEER, PEER6)
    assert [each.ip for each in only(effects, Permit)] == [PEER.ip, PEER6.ip]
    assert error(world.bind(1, 0x4000, PEER6)) == 400
    assert error(world.bind(1, 0x4002, PEER6)) == 400
    assert only(effects, Permit)[1] == Permit(1, PEER6.ip, everywhere(0), world.now + 300 * SECOND)  # type: ignore[arg-type]
    assert [each.number for each in only(world.bind(1, 0x4001, PEER6), BindChannel)] == [0x4001]


def test_refresh_of_both() -> None:
    """RFC 8656, 8.1: without REQUESTED-ADDRESS-FAMILY a Refresh is for both relays."""
    world = dual()
    world.now += 300 * SECOND
    effects = world.refresh(1, 900)
    expires = world.now + 900 * SECOND
    assert only(effects, ExtendRelay) == [ExtendRelay(1, 4, expires), ExtendRelay(1, 6, expires)]
    assert [relay.expires for relay in world.allocation(1).relays] == [expires, expires]


@pytest.mark.parametrize(("family", "version", "other"), [(IPV4, 4, 6), (IPV6, 6, 4)])
def test_refresh_of_one(family: tuple[int, int], version: int, other: int) -> None:
    """RFC 8656, 8.2: with REQUESTED-ADDRESS-FAMILY it is for that relay; the other ends when it would have."""
    world = dual()
    began = world.now
    world.now += 300 * SECOND
    effects = world.ask(1, Method.REFRESH, family, (Attribute.LIFETIME, 900))
    assert only(effects, ExtendRelay) == [ExtendRelay(1, version, world.now + 900 * SECOND)]
    assert world.session(1).expires == world.now + 900 * SECOND
    assert only(world.server.expire(began + 600 * SECOND - 1), CloseRelay) == []
    effects = world.server.expire(began + 600 * SECOND)
    assert only(effects, CloseRelay) == [CloseRelay(1, other)]
    assert told(effects) == []
    assert [relay.version for relay in world.allocation(1).relays] == [version]
    assert world.server.ports_allocated(other) == 0
    assert told(world.server.expire(world.now + 900 * SECOND)) == [("closed", {"reason": "expired"})]
    assert world.server.state.relays == {}


@pytest.mark.parametrize(("family", "version", "other"), [(IPV4, 4, 6), (IPV6, 6, 4)])
def test_lifetime_0_of_one(family: tuple[int, int], version: int, other: int) -> None:
    """RFC 8656, 8.2: that relay goes, with what is of its family, before the answer; the last one ends the session."""
    world = dual()
    message = world.message(Method.REFRESH, family, (Attribute.LIFETIME, 0))
    effects = world.send(1, message)
    assert [type(effect) for effect in effects] == [Unbind, Forbid, CloseRelay, Reply]
    assert effects[:3] == [
        Unbind(1, 0x4000 if version == 4 else 0x4001),
        Forbid(1, PEER.ip if version == 4 else PEER6.ip),
        CloseRelay(1, version),
    ]
    assert reply(effects) == {Attribute.LIFETIME: 0}
    assert [world.server.ports_allocated(each) for each in (version, other)] == [0, 1]
    assert list(world.allocation(1).channels) == [0x4001 if version == 4 else 0x4000]
    assert only(world.send(1, message), Reply) == only(effects, Reply)
    assert error(world.ask(1, Method.REFRESH, family)) == 443
    assert error(world.permit(1, PEER if version == 4 else PEER6)) == 443
    effects = world.refresh(1, 0)
    assert (only(effects, Close), told(effects)) == ([Close(1, disconnect=False)], [("closed", {"reason": "refresh"})])
    assert (world.server.state.relays, world.server.sessions) == ({}, {})


def test_channels_of_others_to_one() -> None:
    """A channel to a relay goes with that relay, one to the other relay of the same session stays."""
    world = World()
    world.allocate(1, BOTH)
    world.allocate(2, BOTH, user="bob")
    world.bind(2, 0x4000, world.relay(1), user="bob")
    world.bind(2, 0x4001, world.relay(1, 1), user="bob")
    effects = world.ask(1, Method.REFRESH, IPV6, (Attribute.LIFETIME, 0))
    assert only(effects, Unbind) == [Unbind(2, 0x4001)]
    assert list(world.allocation(2).channels) == [0x4000]
    assert only(world.refresh(1, 0), Unbind) == [Unbind(2, 0x4000)]
    assert world.server.state.bound == {}
