"""Data through the packet path in memory, by the clauses of RFC 8656: sections 9, 11 and 12."""

import struct

import pytest

import client as codec
from client import Endpoint, build, mask, parse
from driving import PEER, SECOND, Caller, World
from hairpin.stun import Address

OTHER_PORT, OTHER = (PEER[0], 4001), ("203.0.113.6", 4000)
TRANSPORTS = pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])


def begin(*, tcp: bool = False) -> Caller:
    """A client with an allocation that lives for an hour."""
    caller = Caller(World(), tcp=tcp)
    lifetime = (codec.LIFETIME, struct.pack("!I", 3600))
    assert caller.ask(codec.ALLOCATE, [(codec.TRANSPORT, codec.UDP_RELAY), lifetime]) == [(codec.ALLOCATE, 0)]
    return caller


def permit(caller: Caller, peer: Endpoint = PEER) -> None:
    """CreatePermission."""
    assert caller.ask(codec.CREATE_PERMISSION, [], peer) == [(codec.CREATE_PERMISSION, 0)]


def relay(caller: Caller) -> Address:
    """The client's relayed transport address."""
    allocation = caller.world.rules.sessions[caller.flow].allocation
    assert allocation is not None
    return allocation.relays[0].external


def indication(peer: Endpoint | None, data: bytes | None) -> bytes:
    """A Send indication, with what is given."""
    attributes = [(codec.XOR_PEER_ADDRESS, mask(peer, bytes(12)))] if peer else []
    attributes += [(codec.DATA_VALUE, data)] if data is not None else []
    return build(codec.SEND | codec.INDICATION, bytes(12), attributes)


def channel_data(data: bytes, number: int = 0x4000, *, length: int | None = None, behind: bytes = b"") -> bytes:
    """ChannelData that claims a length, with bytes behind its payload."""
    return struct.pack("!HH", number, len(data) if length is None else length) + data + behind


def sent(caller: Caller, frame: bytes) -> list[tuple[Endpoint, bytes]]:
    """What a frame makes the relay send: to whom, and the bytes."""
    out = caller.raw(frame)
    assert all(source == relay(caller) for source, _, _ in out)
    return [((to.ip, to.port), data) for _, to, data in out]


def got(caller: Caller, peer: Endpoint, data: bytes = b"data") -> list[tuple[Endpoint | int, bytes]]:
    """What the client gets of a peer's datagram: from an address or on a channel, and the bytes."""
    found: list[tuple[Endpoint | int, bytes]] = []
    for _, to, frame in caller.world.table.from_peer(relay(caller), Address(*peer), data):
        assert (to.ip, to.port) == caller.address
        if frame[0] & 0xC0:
            number, length = struct.unpack_from("!HH", frame)
            found.append((number, frame[4 : 4 + length]))
        else:
            message = parse(frame)
            found.append((message.address(codec.XOR_PEER_ADDRESS), message.get(codec.DATA_VALUE) or b""))
    return found


@TRANSPORTS
def test_traffic_refreshes_nothing(tcp: bool) -> None:
    """RFC 8656, 9, 11.2 and 12.6: data either way, in indications and on a channel, extends none of both."""
    caller = begin(tcp=tcp)
    caller.bind()
    world, began = caller.world, caller.world.table.now
    for second in range(0, 600, 20):
        world.table.now = began + second * SECOND
        if second == 280:
            permit(caller)  # 300 s more, and none for the channel
        world.drain()
        alive = [(PEER, b"data")] if second < 580 else []
        assert sent(caller, indication(PEER, b"data")) == alive
        assert sent(caller, channel_data(b"data")) == alive
        assert got(caller, PEER) == ([(0x4000, b"data")] if alive else [])
    permit(caller)
    world.table.now = began + 600 * SECOND
    assert sent(caller, channel_data(b"data")) == []
    assert got(caller, PEER) == [(PEER, b"data")]


@TRANSPORTS
def test_what_is_no_send_indication(tcp: bool) -> None:
    """RFC 8656, 11.2: dropped without a word without XOR-PEER-ADDRESS, DATA or a permission; DATA may be empty."""
    caller = begin(tcp=tcp)
    permit(caller)
    for bad in (indication(None, b"data"), indication(PEER, None), indication(OTHER, b"data"), indication(None, None)):
        assert sent(caller, bad) == []
    assert sent(caller, indication(PEER, b"")) == [(PEER, b"")]
    assert caller.world.outputs() == []


def test_any_port_of_a_permitted_peer() -> None:
    """RFC 8656, 9: a permission is for the IP address, whatever the port, and for no other address."""
    caller = begin()
    permit(caller)
    assert sent(caller, indication(OTHER_PORT, b"data")) == [(OTHER_PORT, b"data")]
    assert got(caller, OTHER_PORT) == [(OTHER_PORT, b"data")]
    assert got(caller, OTHER) == []


@TRANSPORTS
def test_how_data_comes(tcp: bool) -> None:
    """RFC 8656, 11.3 and 12.7: ChannelData from the address that is bound, a Data indication from its other ports."""
    caller = begin(tcp=tcp)
    caller.bind()
    for data in (b"", b"x", b"four", bytes(1200)):
        assert got(caller, PEER, data) == [(0x4000, data)]
        assert got(caller, OTHER_PORT, data) == [(OTHER_PORT, data)]


def test_channel_data_over_udp() -> None:
    """RFC 8656, 12.5 and 12.6: bytes behind the payload are ignored; too few are no message; none is one."""
    caller = begin()
    caller.bind()
    for behind in (b"", b"\0", b"\0\0\0", b"more than padding"):
        assert sent(caller, channel_data(b"odd", behind=behind)) == [(PEER, b"odd")]
        assert sent(caller, channel_data(b"", behind=behind)) == [(PEER, b"")]
    for short in (channel_data(b"data", length=5), channel_data(b"", length=1), b"\x40\0\0", b"\x40"):
        assert sent(caller, short) == []


@TRANSPORTS
def test_channels_that_are_none(tcp: bool) -> None:
    """RFC 8656, 12.6: a number that is not bound, or reserved (0x5000 to 0x7FFF), is dropped without a word."""
    caller = begin(tcp=tcp)
    caller.bind()
    for number in (0x4001, 0x4FFF, 0x5000, 0x7FFF):
        assert sent(caller, channel_data(b"data", number)) == []
    assert caller.world.outputs() == []


@pytest.mark.parametrize("after", [600, 900])
def test_a_channel_bound_anew(after: int) -> None:
    """RFC 8656, 12: nothing of the old binding comes in the new one, at once after its end and five minutes later."""
    caller = begin()
    caller.bind()
    caller.world.table.now += after * SECOND
    assert caller.bind(peer=OTHER) == 0
    permit(caller)
    assert got(caller, PEER) == [(PEER, b"data")]
    assert got(caller, OTHER) == [(0x4000, b"data")]
    assert sent(caller, channel_data(b"data")) == [(OTHER, b"data")]


def test_two_relays_obey_both_permissions() -> None:
    """RFC 8656, 11: between two clients of this server data needs the permission of each for the other's relay."""
    caller = begin()
    other = Caller(caller.world, 2, "bob", "other")
    assert other.allocate() == 0
    here, there = ((one.ip, one.port) for one in (relay(caller), relay(other)))
    assert caller.raw(indication(there, b"data")) == []
    permit(caller, there)
    assert caller.raw(indication(there, b"data")) == []
    permit(other, here)
    ((_, to, frame),) = caller.raw(indication(there, b"data"))
    assert (to.ip, to.port) == other.address
    assert parse(frame).address(codec.XOR_PEER_ADDRESS) == here
