"""TCP allocations: RFC 6062."""

from dataclasses import replace
from typing import Any

import pytest

from hairpin.stun import Address, Attribute, Kind, Message, Method, Reach, Transport
from hairpin.turn.effects import Close, Connect, Disconnect, Effect, Join, Listen, Notify, OpenRelay, Reply, Send
from hairpin.turn.grant import Grant
from hairpin.turn.state import Connection
from turning import (
    DENIED,
    OTHER_PEER,
    OWN_IP,
    PEER,
    PEER6,
    RELAY_IP,
    SECOND,
    SETTINGS,
    TCP,
    UDP,
    World,
    error,
    everywhere,
    identity,
    only,
    reply,
    told,
)

ON = replace(SETTINGS, tcp=True)
EVEN, ODD_FAMILY = (Attribute.EVEN_PORT, 0), (Attribute.REQUESTED_ADDRESS_FAMILY, 9)


class TcpWorld(World):
    """Clients that come by TCP to a server with TCP relays; flow 1 has one."""

    def __init__(self, **limits: int) -> None:
        super().__init__(ON, **limits)
        self.transport = Transport.TCP
        self.allocate(1, relays=TCP)

    def connect(self, flow: int, peer: Address, user: str = "alice") -> list[Effect]:
        """Connect."""
        return self.ask(flow, Method.CONNECT, (Attribute.XOR_PEER_ADDRESS, peer), user=user)

    def change(self, flow: int, peer: Address, change: str) -> list[Effect]:
        """What the packet path tells."""
        return self.server.changed(flow, peer, change, self.now)

    def pend(self, peer: Address = PEER) -> int:
        """A connection of flow 1 that waits to be bound: its CONNECTION-ID."""
        self.connect(1, peer)
        made: int = reply(self.change(1, peer, "connected"))[Attribute.CONNECTION_ID]
        return made

    def bind_data(self, flow: int, number: int, user: str = "alice") -> list[Effect]:
        """ConnectionBind."""
        return self.ask(flow, Method.CONNECTION_BIND, (Attribute.CONNECTION_ID, number), user=user)

    def connection(self, peer: Address = PEER) -> Connection:
        """One of flow 1."""
        return self.allocation(1).connections[peer]

    def pass_by(self, seconds: int) -> list[Effect]:
        """Time passes, and what is over ends."""
        self.now += seconds * SECOND
        return self.server.expire(self.now)


def test_a_tcp_relay_listens_before_the_client_is_told() -> None:
    """RFC 6062, 5.1: a TCP relayed transport address is allocated instead of a UDP one, and accepts at once."""
    world = World(ON, connections=7)
    world.transport = Transport.TCP
    effects = world.allocate(1, relays=TCP)
    [listen] = only(effects, Listen)
    assert not only(effects, OpenRelay)
    assert (listen.external, listen.bind.ip, listen.connections) == (world.relay(1), "10.9.9.9", 7)
    assert listen.deadline == world.now + 600 * SECOND
    assert effects.index(listen) < effects.index(only(effects, Reply)[0])
    assert reply(effects)[Attribute.XOR_RELAYED_ADDRESS] == world.relay(1)


@pytest.mark.parametrize(
    ("tcp", "transport", "attributes", "code"),
    [
        (True, Transport.TCP, (TCP,), None),
        (True, Transport.TCP, (TCP, (Attribute.REQUESTED_ADDRESS_FAMILY, 2)), None),
        (True, Transport.TCP, (UDP,), None),
        (True, Transport.UDP, (UDP,), None),
        (True, Transport.UDP, (TCP,), 400),
        (True, Transport.TCP, (TCP, EVEN), 400),
        (True, Transport.TCP, (TCP, (Attribute.EVEN_PORT, 1)), 400),
        (True, Transport.TCP, (TCP, (Attribute.RESERVATION_TOKEN, b"nobody's")), 400),
        (True, Transport.TCP, (TCP, (Attribute.DONT_FRAGMENT, b"")), 400),
        (True, Transport.TCP, (TCP, ODD_FAMILY), 440),
        (True, Transport.TCP, ((Attribute.REQUESTED_TRANSPORT, 5),), 442),
        (True, Transport.TCP, (), 400),
        (False, Transport.TCP, (TCP,), 442),
        (False, Transport.UDP, (TCP,), 442),
        (False, Transport.TCP, (TCP, EVEN), 442),
    ],
)
def test_allocate(tcp: bool, transport: Transport, attributes: tuple[tuple[int, Any], ...], code: int | None) -> None:
    """RFC 6062, 5.1: 442 where TCP is not offered; 400 over UDP, or with what means nothing for TCP."""
    world = World(replace(SETTINGS, tcp=tcp))
    world.transport = transport
    effects = world.ask(1, Method.ALLOCATE, *attributes)
    assert error(effects + world.server.relay_opened(1, world.now)) == code


def test_both_families_at_once() -> None:
    """RFC 8656, 7.2: ADDITIONAL-ADDRESS-FAMILY gives a TCP allocation two relays as well."""
    world = World(ON)
    world.transport = Transport.TCP
    effects = world.allocate(1, (Attribute.ADDITIONAL_ADDRESS_FAMILY, 2), relays=TCP)
    assert [listen.external.version for listen in only(effects, Listen)] == [4, 6]


def test_connect_is_answered_when_the_peer_is_there() -> None:
    """RFC 6062, 5.2: nothing is said before; then the success holds a CONNECTION-ID, and 30 s run."""
    world = TcpWorld()
    assert world.connect(1, PEER) == [Connect(1, PEER, Reach.OUTSIDE)]
    world.now += SECOND
    effects = world.change(1, PEER, "connected")
    assert reply(effects) == {Attribute.CONNECTION_ID: world.connection().id}
    assert (world.connection().expires, world.connection().request) == (world.now + 30 * SECOND, None)


def test_connection_ids_are_never_the_same_twice() -> None:
    """RFC 6062, 5.2: a CONNECTION-ID names one connection, whatever chance says."""
    world = TcpWorld()
    draws = iter([5, 5, 5, 6])
    world.server.state.chance = lambda _: next(draws)
    assert world.pend(PEER) == 5
    assert world.pend(OTHER_PEER) == 6


def peer(address: Address) -> tuple[tuple[int, Any], ...]:
    """XOR-PEER-ADDRESS."""
    return ((Attribute.XOR_PEER_ADDRESS, address),)


@pytest.mark.parametrize(
    ("flow", "attributes", "user", "code"),
    [
        (2, peer(PEER), "alice", 437),
        (2, (), "alice", 437),
        (1, (), "alice", 400),
        (1, peer(PEER6), "alice", 443),
        (1, peer(DENIED), "alice", 403),
        (1, peer(Address(RELAY_IP, 5)), "alice", 403),
        (1, peer(Address("10.9.9.9", 5)), "alice", 403),
        (1, peer(PEER), "mallory", 441),
        (1, peer(OTHER_PEER), "alice", 446),
        (1, peer(PEER), "alice", None),
        (1, peer(Address(OWN_IP, 80)), "alice", None),
    ],
)
def test_connect(flow: int, attributes: tuple[tuple[int, Any], ...], user: str, code: int | None) -> None:
    """RFC 6062, 5.2: each error, and nothing is connected where there is one."""
    world = TcpWorld()
    world.connect(1, OTHER_PEER)
    effects = world.ask(flow, Method.CONNECT, *attributes, user=user)
    assert (len(only(effects, Connect)), len(only(effects, Reply))) == ((1, 0) if code is None else (0, 1))
    assert code is None or error(effects) == code


def test_a_udp_allocation_connects_to_nobody() -> None:
    """RFC 6062, 5.2: 437 for an allocation that is none of TCP."""
    world = TcpWorld()
    world.allocate(2)
    assert error(world.connect(2, PEER)) == 437


def test_the_same_peer_again() -> None:
    """RFC 6062, 5.2: 446 while a Connect is under way, pending or active; when it is over the peer is free."""
    world = TcpWorld()
    world.connect(1, PEER)
    assert error(world.connect(1, PEER)) == 446
    number = reply(world.change(1, PEER, "connected"))[Attribute.CONNECTION_ID]
    assert error(world.connect(1, PEER)) == 446
    world.bind_data(9, number)
    assert error(world.connect(1, PEER)) == 446
    world.change(1, PEER, "closed")
    assert world.connect(1, PEER) == [Connect(1, PEER, Reach.OUTSIDE)]


def test_our_own_relays_are_peers_where_they_are_tcp_relays() -> None:
    """Of our own addresses a live TCP relay is reached inside, by either of its names; a UDP relay is 403."""
    world = TcpWorld()
    world.allocate(2, relays=TCP)
    world.allocate(3)
    assert world.connect(1, Address("10.9.9.9", world.relay(2).port)) == [Connect(1, world.relay(2), Reach.INSIDE)]
    assert error(world.connect(1, world.relay(2))) == 446
    assert error(world.connect(1, world.relay(3))) == 403


def test_a_failure_is_447() -> None:
    """RFC 6062, 5.2: a refusal is told, once, and leaves nothing behind."""
    world = TcpWorld()
    world.connect(1, PEER)
    assert error(world.change(1, PEER, "failed")) == 447
    assert (world.allocation(1).connections, world.server.state.connections) == ({}, {})
    assert world.change(1, PEER, "failed") == []


def test_a_peer_that_does_not_answer_is_given_30_seconds() -> None:
    """RFC 6062, 5.2: 447 not before 30 s; a connection that comes after it is closed."""
    world = TcpWorld()
    world.connect(1, PEER)
    assert world.pass_by(29) == []
    effects = world.pass_by(1)
    assert (effects[0], error(effects)) == (Disconnect(1, PEER), 447)
    assert world.change(1, PEER, "connected") == [Disconnect(1, PEER)]


def test_a_copy_of_a_connect_has_no_second_effect() -> None:
    """RFC 8489, 6.3.1: nothing while the first waits; then the same answer, success or error."""
    world = TcpWorld()
    for change in ("connected", "failed"):
        message = world.message(Method.CONNECT, *peer(PEER if change == "connected" else OTHER_PEER))
        assert only(world.send(1, message), Connect)
        assert world.send(1, message) == []
        answer = reply(world.change(1, message.peers[0], change))
        assert reply(world.send(1, message)) == answer


def test_a_limit_on_connections() -> None:
    """508 for one more than an allocation may have, whoever began them."""
    world = TcpWorld(connections=2)
    world.connect(1, PEER)
    world.change(1, OTHER_PEER, "arrived")
    assert error(world.connect(1, Address(PEER.ip, 1))) == 508
    world.change(1, OTHER_PEER, "closed")
    assert only(world.connect(1, Address(PEER.ip, 1)), Connect)


def test_a_peer_that_connects_is_announced() -> None:
    """RFC 6062, 5.3: ConnectionAttempt tells who it is and the CONNECTION-ID; its transaction id is a new one."""
    world = TcpWorld()
    first, second = (only(world.change(1, one, "arrived"), Send)[0] for one in (PEER, OTHER_PEER))
    message = first.message
    assert (message.method, message.kind) == (Method.CONNECTION_ATTEMPT, Kind.INDICATION)
    assert (message.peers, message.connection_id) == ((PEER,), world.connection().id)
    assert message.transaction_id != second.message.transaction_id
    assert world.connection().expires == world.now + 30 * SECOND


def test_connection_bind() -> None:
    """RFC 6062, 5.4: the answer and the data connection are one effect, and the 30 s no longer run."""
    world = TcpWorld()
    number = world.pend()
    message = world.message(Method.CONNECTION_BIND, (Attribute.CONNECTION_ID, number))
    effects = world.send(9, message)
    assert effects == [Join(Reply(9, message, (), identity("alice").key), 1, PEER)]
    assert world.pass_by(100) == []
    assert world.connection().expires is None


@pytest.mark.parametrize(
    ("flow", "transport", "user", "offset", "code"),
    [
        (9, Transport.UDP, "alice", 0, 400),
        (9, Transport.TCP, "alice", 1, 400),
        (9, Transport.TCP, "alice", None, 400),
        (1, Transport.TCP, "alice", 0, 400),
        (2, Transport.TCP, "alice", 0, 400),
        (9, Transport.TCP, "mallory", 0, 441),
        (9, Transport.TCP, "mallory", 1, 400),
    ],
)
def test_connection_bind_errors(flow: int, transport: Transport, user: str, offset: int | None, code: int) -> None:
    """RFC 6062, 5.4: only by TCP, not on a control connection, for a connection that waits, and by its own user."""
    world = TcpWorld()
    world.allocate(2, relays=TCP)
    number = world.pend()
    world.transport = transport
    attributes = () if offset is None else ((Attribute.CONNECTION_ID, number + offset),)
    effects = world.ask(flow, Method.CONNECTION_BIND, *attributes, user=user)
    assert (error(effects), only(effects, Join)) == (code, [])
    world.transport = Transport.TCP
    assert only(world.bind_data(10, number), Join)


def test_a_connection_is_bound_once_and_only_when_it_is_there() -> None:
    """RFC 6062, 5.4: 400 while it is being made, when it is bound, and when it is gone."""
    world = TcpWorld()
    world.connect(1, PEER)
    assert error(world.bind_data(9, world.connection().id)) == 400
    number = reply(world.change(1, PEER, "connected"))[Attribute.CONNECTION_ID]
    assert only(world.bind_data(9, number), Join)
    assert error(world.bind_data(10, number)) == 400
    world.change(1, PEER, "closed")
    assert error(world.bind_data(10, number)) == 400


@pytest.mark.parametrize("inbound", [True, False])
def test_who_is_not_bound_is_closed_after_30_seconds(inbound: bool) -> None:
    """RFC 6062, 5.2 and 5.3: not before, whichever side began."""
    world = TcpWorld()
    if inbound:
        world.change(1, PEER, "arrived")
    else:
        world.pend()
    number = world.connection().id
    assert world.pass_by(29) == []
    assert world.pass_by(1) == [Disconnect(1, PEER)]
    assert error(world.bind_data(9, number)) == 400


@pytest.mark.parametrize("end", ["refresh", "expiry", "delete", "closed"])
def test_connections_end_with_their_allocation(end: str) -> None:
    """RFC 6062, 5.5: nothing of them is left, and a late word about one is nobody's."""
    world = TcpWorld()
    number = world.pend()
    world.connect(1, OTHER_PEER)
    if end == "refresh":
        effects = world.refresh(1, 0)
    elif end == "expiry":
        effects = world.pass_by(600)
    elif end == "delete":
        effects = world.server.end(1, "deleted", world.now)
    else:
        effects = world.server.closed(1, "disconnected", world.now)
    assert told(effects)[-1][0] == "closed"
    assert (len(only(effects, Close)), world.server.state.connections) == (int(end != "closed"), {})
    assert error(world.bind_data(9, number)) == 400
    assert world.change(1, PEER, "closed") == world.change(1, OTHER_PEER, "connected") == []


def test_one_family_ends_with_its_connections() -> None:
    """RFC 8656, 8.2: a Refresh of one family with LIFETIME 0 takes the connections of that family and no other."""
    world = World(ON)
    world.transport = Transport.TCP
    world.allocate(1, (Attribute.ADDITIONAL_ADDRESS_FAMILY, 2), relays=TCP)
    for one in (PEER, PEER6):
        world.ask(1, Method.CONNECT, *peer(one))
    effects = world.ask(1, Method.REFRESH, (Attribute.LIFETIME, 0), (Attribute.REQUESTED_ADDRESS_FAMILY, 2))
    assert only(effects, Disconnect) == [Disconnect(1, PEER6)]
    assert list(world.allocation(1).connections) == [PEER]


def test_no_channels() -> None:
    """RFC 6062, 3: no data goes over the control connection: ChannelBind is 400, CreatePermission as for UDP."""
    world = TcpWorld()
    assert error(world.bind(1, 0x4000, PEER)) == 400
    assert error(world.permit(1, PEER)) is None


def test_a_peer_that_is_denied_later_is_disconnected() -> None:
    """Settings that are read again close what they no longer allow, and answer who still waits."""
    world = TcpWorld()
    world.pend(PEER)
    world.connect(1, Address(PEER.ip, 1))
    world.connect(1, OTHER_PEER)
    verdicts = (lambda ip: () if ip == PEER.ip else everywhere(Reach.OUTSIDE), _same, str)
    grant = Grant(identity("alice"), world.limits, *verdicts)
    effects = world.server.regrant(world.session(1), grant, world.now)
    assert only(effects, Disconnect) == [Disconnect(1, PEER), Disconnect(1, Address(PEER.ip, 1))]
    assert error(effects) == 447
    assert list(world.allocation(1).connections) == [OTHER_PEER]


def _same(named: Address) -> Address:
    return named


def test_no_hook_is_told_of_connections() -> None:
    """A connection that comes or goes is no event; its session tells of itself."""
    world = TcpWorld()
    world.pend()
    effects = [*world.change(1, PEER, "closed"), *world.change(1, OTHER_PEER, "arrived")]
    assert not only(effects, Notify)


def test_a_message_of_the_indication_is_unsigned() -> None:
    """RFC 8489, 9.2: indications are not authenticated."""
    [send] = only(TcpWorld().change(1, PEER, "arrived"), Send)
    assert Attribute.MESSAGE_INTEGRITY not in dict(Message.decode(bytes(send.message)).attributes())


def test_a_tcp_allocation_is_not_mobile() -> None:
    """RFC 8016, 3.1: no ticket, as by a server that has none to give, for connections can not move with it."""
    world = World(replace(ON, mobility=True))
    world.transport = Transport.TCP
    for relays, given in ((TCP, False), (UDP, True)):
        answer = reply(world.allocate(1 + given, (Attribute.MOBILITY_TICKET, b""), relays=relays))
        assert (Attribute.MOBILITY_TICKET in answer) == given
