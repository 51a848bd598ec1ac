"""Channels (RFC 8656, section 12)."""

import os
import struct
import time
from collections.abc import Callable
from functools import partial

from conformance.checks.families import dual, ipv6_peer
from conformance.clauses import MAY, MUST, Clause, NotOfferedError, add, check, expect
from conformance.client import Client, Value, expect_error, number, peer
from conformance.scene import Peer, Scene, channel_data
from conformance.stun import Code, Endpoint, Method

FIRST, LAST = 0x4000, 0x4FFF
DATA = b"by channel"


def bound(scene: Scene, transport: str = "udp", channel: int = FIRST) -> tuple[Client, Peer]:
    """A client with a channel to a peer."""
    client, far = scene.allocated(transport=transport), scene.peer()
    client.bind(channel, far.address)
    return client, far


# ChannelBind

REFUSED: dict[str, tuple[str, Callable[[Endpoint], list[Value]], int, int]] = {
    "no_number": ("without CHANNEL-NUMBER it gets 400", lambda far: [peer(far)], 400, 51),
    "no_peer": ("without XOR-PEER-ADDRESS it gets 400", lambda _: [number(FIRST)], 400, 51),
    "number_below": ("a channel below 0x4000 gets 400", lambda far: [number(0x3FFF), peer(far)], 400, 51),
    "number_zero": ("channel 0 gets 400", lambda far: [number(0), peer(far)], 400, 51),
    "number_above": ("a channel above 0x4FFF gets 400", lambda far: [number(0x5000), peer(far)], 400, 51),
    "number_far_above": ("channel 0xFFFF gets 400", lambda far: [number(0xFFFF), peer(far)], 400, 51),
    "other_family": (
        "a peer of another address family gets 443",
        lambda _: [number(FIRST), peer(("2001:db8::1", 9))],
        443,
        51,
    ),
}


def refused(values: Callable[[Endpoint], list[Value]], code: int, scene: Scene) -> None:
    """Section 12.2: "If any of these tests fail, the server replies with a 400 (Bad Request) error"."""
    client, far = scene.allocated(), scene.peer()
    expect_error(client.request(Method.CHANNEL_BIND, values(far.address)), code)
    client.send_data(far.address, DATA)
    client.quiet()
    far.nothing()


for _name, (_asked, _values, _code, _line) in REFUSED.items():
    add(f"bind_with_{_name}", Clause(8656, "12.2", MUST, _asked, _line), partial(refused, _values, _code))


@check(8656, "12.2", MAY, "a peer that is not allowed gets 403", line=51)
def forbidden_bind_is_403(scene: Scene) -> None:
    """Section 12.2: "if a value is not allowed, the server rejects the request with a 403 (Forbidden) error"."""
    answer = scene.allocated().request(Method.CHANNEL_BIND, [number(FIRST), peer(("255.255.255.255", 9))])
    if answer.is_success:
        raise NotOfferedError("broadcast is an allowed peer")
    expect_error(answer, 403)


@check(8656, "12.2", MAY, "more channels than a server can hold get 508", line=51)
def too_many_channels_is_508(scene: Scene) -> None:
    """Section 12.2: "unable to fulfill the request due to some capacity limit or similar": 508."""
    client = scene.allocated()
    for channel in range(FIRST, FIRST + 512):
        answer = client.request(Method.CHANNEL_BIND, [number(channel), peer((f"8.8.{channel % 256}.8", channel))])
        if answer.error:
            expect_error(answer, 508)
            return
    raise NotOfferedError("512 channels were given to one allocation")


@check(8656, "18.1", MUST, "the reserved bits of CHANNEL-NUMBER are ignored", line=51)
def reserved_bits_of_number_are_ignored(scene: Scene) -> None:
    """Section 18.1: the RFFU field "MUST be ignored on reception"."""
    client, far = scene.allocated(), scene.peer()
    value = (Code.CHANNEL_NUMBER, struct.pack("!HH", FIRST, 0xFFFF))
    answer = client.request(Method.CHANNEL_BIND, [value, peer(far.address)])
    expect(answer.is_success, f"error {answer.error}")


@check(8656, "12.2", MUST, "the first and the last number of the range can be bound", line=51)
def whole_range_can_be_bound(scene: Scene) -> None:
    """Section 12.2: "The channel number is in the range 0x4000 through 0x4FFF (inclusive)"."""
    client, first, last = scene.allocated(), scene.peer(), scene.peer()
    client.bind(FIRST, first.address)
    client.bind(LAST, last.address)
    client.send_channel(LAST, DATA)
    last.receive(DATA)


@check(8656, "12.2", MUST, "a channel that is bound to another peer gets 400", line=52)
def channel_of_another_peer_is_400(scene: Scene) -> None:
    """Section 12.2: "not currently bound to a different transport address"."""
    client, far = bound(scene)
    another = scene.peer()
    expect_error(client.request(Method.CHANNEL_BIND, [number(FIRST), peer(another.address)]), 400)
    client.send_channel(FIRST, DATA)
    far.receive(DATA)


@check(8656, "12.2", MUST, "a peer that is bound to another channel gets 400", line=52)
def peer_of_another_channel_is_400(scene: Scene) -> None:
    """Section 12.2: "The transport address is not currently bound to a different channel number"."""
    client, far = bound(scene)
    expect_error(client.request(Method.CHANNEL_BIND, [number(FIRST + 1), peer(far.address)]), 400)
    far.send(DATA, client.relay)
    expect(client.arrival().channel == FIRST, "the data came by another way")


@check(8656, "12.2", MUST, "the same channel and peer are bound again", line=52)
def same_binding_is_refreshed(scene: Scene) -> None:
    """Section 12.2: "same transport address is OK"."""
    client, far = bound(scene)
    client.bind(FIRST, far.address)


@check(8656, "12", MUST, "a channel number means nothing to another allocation", line=52)
def channels_are_apart(scene: Scene) -> None:
    """Section 12: "Channel bindings are specific to an allocation"."""
    first, one = bound(scene)
    second, two = bound(scene)
    second.send_channel(FIRST, b"second")
    first.send_channel(FIRST, b"first")
    two.receive(b"second")
    one.receive(b"first")


@check(8656, "12.2", MUST, "a binding installs a permission for the peer's address", line=53)
def binding_installs_a_permission(scene: Scene) -> None:
    """Section 12.2: "The server also installs or refreshes a permission for the IP address"."""
    client, far = bound(scene)
    neighbour = scene.peer(far.address[0])
    client.send_data(neighbour.address, DATA)
    neighbour.receive(DATA)
    neighbour.send(b"back", client.relay)
    got = client.arrival()
    expect((got.channel, got.peer) == (None, neighbour.address), "a neighbour's data came by the channel")


@check(8656, "12.2", MUST, "a dual allocation binds channels to peers of both families", line=51)
def dual_channels(scene: Scene) -> None:
    """Section 12.2: 443 is only for a family that no relayed transport address has."""
    client, four, six = dual(scene), scene.peer(), ipv6_peer(scene)
    for channel, far in ((FIRST, four), (FIRST + 1, six)):
        client.bind(channel, far.address)
        client.send_channel(channel, DATA)
        far.receive(DATA)


# ChannelData


@check(8656, "12.6", MUST, "ChannelData is relayed from the relayed transport address to the bound peer", line=55)
def channel_data_is_relayed(scene: Scene) -> None:
    """Section 12.6: "the destination transport address is the transport address to which the channel is bound"."""
    client, far = bound(scene)
    for data in (DATA, os.urandom(1), os.urandom(1203)):
        client.send_channel(FIRST, data)
        expect(far.receive(data).source == client.relay, "it came from another address")


@check(8656, "12.5", MUST, "data of a bound peer comes as ChannelData", line=47)
def data_comes_by_channel(scene: Scene) -> None:
    """Section 12.5: "The server [...] MUST use the ChannelData message if a channel has been bound to the peer"."""
    client, far = bound(scene)
    far.send(DATA, client.relay)
    got = client.arrival()
    expect((got.channel, got.data) == (FIRST, DATA), f"it came as {got}")


@check(8656, "12.5", MUST, "Send indications may be mixed with ChannelData", line=55)
def send_and_channel_data_mix(scene: Scene) -> None:
    """Section 12.5: the client "may freely intermix the two message types"."""
    client, far = bound(scene)
    client.send_data(far.address, b"sent")
    client.send_channel(FIRST, DATA)
    far.receive(b"sent")
    far.receive(DATA)


@check(8656, "12.6", MUST, "empty ChannelData sends an empty datagram", line=55)
def empty_channel_data_is_relayed(scene: Scene) -> None:
    """Section 12.6: "the UDP datagram is still formed and sent"."""
    client, far = bound(scene)
    client.send_channel(FIRST, b"")
    far.receive(b"")


@check(8656, "12.4", MUST, "an empty datagram of a bound peer comes as empty ChannelData", line=55)
def empty_data_comes_by_channel(scene: Scene) -> None:
    """Section 12.4: "Note that 0 is a valid length"."""
    client, far = bound(scene)
    far.send(b"", client.relay)
    got = client.arrival()
    expect((got.channel, got.data) == (FIRST, b""), f"it came as {got}")


@check(8656, "12.5", MUST, "over UDP padding is not needed, may be there, and is not relayed", line=55)
def padding_over_udp_is_optional(scene: Scene) -> None:
    """Section 12.5: "Over UDP, the padding is not required but MAY be included"."""
    client, far = bound(scene)
    client.link.send(channel_data(FIRST, b"12345") + bytes(3))
    far.receive(b"12345")
    client.link.send(channel_data(FIRST, b"123456"))
    far.receive(b"123456")


@check(8656, "12.6", MUST, "ChannelData that claims more than its datagram has is discarded", line=55)
def channel_data_that_lies_is_dropped(scene: Scene) -> None:
    """Section 12.6: a datagram "too short to contain the claimed length" is "silently discarded"."""
    client, far = bound(scene)
    client.link.send(channel_data(FIRST, b"short", 6))
    client.link.send(struct.pack("!H", FIRST))
    client.quiet()
    client.send_channel(FIRST, DATA)
    far.receive(DATA)


@check(8656, "12.6", MUST, "ChannelData on a channel that is not bound is discarded", line=55)
def unbound_channel_is_dropped(scene: Scene) -> None:
    """Section 12.6: "on a channel that is not bound to any peer, then the message is silently discarded"."""
    client, far = bound(scene)
    client.send_channel(FIRST + 1, b"unbound")
    client.send_channel(FIRST, DATA)
    far.receive(DATA)
    client.quiet()


@check(8656, "12.6", MUST, "ChannelData with a number of the reserved range is discarded", line=55)
def reserved_channel_is_dropped(scene: Scene) -> None:
    """Section 12.6: "in the reserved range (0x5000 through 0xFFFF), then the message is silently discarded"."""
    client, far = bound(scene)
    for channel in (0x5000, 0x7FFF, 0x8000, 0xFFFF):
        client.link.send(channel_data(channel, b"reserved"))
    client.send_channel(FIRST, DATA)
    far.receive(DATA)
    client.quiet()


@check(8656, "12.5", MUST, "over TCP ChannelData is padded to four bytes, which its length does not count", line=55)
def channel_data_over_tcp_is_padded(scene: Scene) -> None:
    """Section 12.5: "the ChannelData message MUST be padded to a multiple of four bytes"."""
    client, far = bound(scene, "tcp")
    for size in range(1, 9):
        far.send(b"x" * size, client.relay)
    for size in range(1, 9):
        got = client.arrival()
        expect((got.channel, got.data) == (FIRST, b"x" * size), f"it came as {got}")


@check(8656, "12.6", MUST, "the largest ChannelData of a datagram is relayed whole", line=56)
def largest_channel_data_is_relayed(scene: Scene) -> None:
    """Section 12.6: the data is "the contents of the data field of the ChannelData message", nothing cut."""
    client, far = bound(scene)
    data = os.urandom(65507 - 4)
    client.send_channel(FIRST, data)
    far.receive(data)
    far.send(data, client.relay)
    expect(client.arrival().data == data, "it was cut on the way back")


# Time


@check(8656, "12", MUST, "a channel outlives its permission, and carries nothing then", line=53, lasts=320)
def channel_without_permission_carries_nothing(scene: Scene) -> None:
    """Sections 9 and 12: the permission lasts 300 s, the binding 600 s; data needs the permission."""
    client, far = bound(scene)
    time.sleep(306)
    client.send_channel(FIRST, DATA)
    far.send(DATA, client.relay)
    client.quiet()
    far.nothing()
    client.permit(far.address)
    client.send_channel(FIRST, DATA)
    far.receive(DATA)


@check(8656, "12", MUST, "a binding lasts 600 s; after 900 s its number binds another peer", line=54, lasts=915)
def binding_lapses(scene: Scene) -> None:
    """Section 12: "A channel binding lasts for 10 minutes"; the client waits 5 more before it binds anew."""
    client, far = bound(scene)
    another = scene.peer()
    client.refresh((Code.LIFETIME, struct.pack("!I", 1200)))
    time.sleep(590)
    expect_error(client.request(Method.CHANNEL_BIND, [number(FIRST), peer(another.address)]), 400)
    client.permit(far.address)
    client.send_channel(FIRST, DATA)
    far.receive(DATA)
    time.sleep(16)
    client.send_channel(FIRST, b"too late")
    client.quiet()
    far.nothing()
    time.sleep(296)
    client.bind(FIRST, another.address)
    client.send_channel(FIRST, DATA)
    another.receive(DATA)
    far.send(b"of the old peer", client.relay)
    got = client.arrives(1)
    expect(got is None or got.channel is None, "data of the old peer came by the new binding")
