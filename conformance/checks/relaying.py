"""Send, Data, ICMP and the IP header of relayed datagrams (RFC 8656, sections 11, 13 and 14)."""

import os
import socket
import struct
from collections.abc import Callable
from functools import partial

from conformance.checks.families import ipv6_peer, ipv6_relay
from conformance.checks.permissions import DATA, not_relayed, permitted
from conformance.clauses import (
    MAY,
    MUST,
    SHOULD,
    BrokenError,
    Clause,
    NotOfferedError,
    SkippedError,
    add,
    check,
    expect,
)
from conformance.client import UDP, Client, Value, expect_error, peer, shown
from conformance.links import PATIENCE, UdpLink
from conformance.scene import Scene
from conformance.stun import Code, Endpoint, Kind, Message, Method

DONT_FRAGMENT = (Code.DONT_FRAGMENT, b"")
LARGEST = 65507 - 36 - 8  # what a Send indication in one UDP datagram over IPv4 can carry


# Send indications


@check(8656, "11.2", MUST, "a Send is relayed from the relayed transport address to the peer", line=46)
def send_is_relayed(scene: Scene) -> None:
    """Section 11.2: "the source transport address is the relayed transport address of the allocation"."""
    client, far = permitted(scene)
    client.send_data(far.address, DATA)
    expect(far.receive(DATA).source == client.relay, "it came from another address")


@check(8656, "11.2", MUST, "a Send without permission is discarded", line=46)
def send_without_permission_is_dropped(scene: Scene) -> None:
    """Section 11.2: "If no such permission exists, the message is discarded"."""
    not_relayed(scene.allocated(), scene.peer(), scene)


INCOMPLETE: dict[str, tuple[str, Callable[[Endpoint], list[Value]]]] = {
    "peer": ("XOR-PEER-ADDRESS", lambda _: [(Code.DATA, b"no peer")]),
    "data": ("DATA", lambda far: [peer(far)]),
}


def incomplete_send(values: Callable[[Endpoint], list[Value]], scene: Scene) -> None:
    """Section 11.2: "If one of these attributes is missing or invalid, then the message is discarded"."""
    client, far = permitted(scene)
    client.link.send(client.unsigned(Method.SEND, values(far.address), Kind.INDICATION))
    client.quiet()
    client.send_data(far.address, DATA)
    far.receive(DATA)


for _name, (_what, _values) in INCOMPLETE.items():
    _clause = Clause(8656, "11.2", MUST, f"a Send without {_what} is discarded", 46)
    add(f"send_without_{_name}_is_dropped", _clause, partial(incomplete_send, _values))


@check(8656, "11.2", MUST, "a Send with empty DATA sends an empty datagram", line=46)
def empty_send_is_relayed(scene: Scene) -> None:
    """Section 11.2: "the DATA attribute is allowed to contain zero bytes of data"."""
    client, far = permitted(scene)
    client.send_data(far.address, b"")
    far.receive(b"")


@check(8656, "11.2", MAY, "a Send to a peer that is not allowed is discarded without a word", line=46)
def forbidden_send_is_dropped(scene: Scene) -> None:
    """Section 11.2: "if a value is not allowed, the server silently discards the Send indication"."""
    client, far = permitted(scene)
    client.send_data(("255.255.255.255", 9), DATA)
    client.quiet()
    client.send_data(far.address, DATA)
    far.receive(DATA)


@check(8656, "5", MUST, "Send and ChannelData without an allocation are ignored", line=46)
def data_without_allocation_is_ignored(scene: Scene) -> None:
    """Section 5: "silently ignored (if it is an indication or a ChannelData message)"."""
    client, far = scene.client(), scene.peer()
    client.send_data(far.address, DATA)
    client.send_channel(0x4000, DATA)
    client.quiet()
    far.nothing()


@check(8656, "11.2", MUST, "data of any length that one datagram can carry is relayed whole", line=56)
def sizes_are_relayed(scene: Scene) -> None:
    """Section 11.2: the data is "the contents of the value field of the DATA attribute", nothing cut."""
    client, far = permitted(scene)
    for size in (1, 2, 3, 4, 5, 1199, 1472, 9000, LARGEST // 4 * 4):
        data = os.urandom(size)
        client.send_data(far.address, data)
        far.receive(data)


# Datagrams of peers


@check(8656, "11.3", MUST, "data of a permitted peer comes in a Data indication with its address", line=47)
def data_comes_in_an_indication(scene: Scene) -> None:
    """Section 11.3: it "MUST contain both an XOR-PEER-ADDRESS and a DATA attribute"."""
    client, far = permitted(scene)
    for data in (b"1", b"12345", os.urandom(1200)):
        far.send(data, client.relay)
        got = client.arrival()
        expect((got.peer, got.data) == (far.address, data), f"from {got.peer} came {got.data!r:.60}")
        expect(got.indication is not None and not got.indication.faults, "the indication is malformed")


@check(8656, "11.3", MUST, "an empty datagram comes in with empty DATA", line=47)
def empty_data_comes_in(scene: Scene) -> None:
    """Section 11.4: "a DATA attribute is allowed to contain zero bytes of data"."""
    client, far = permitted(scene)
    far.send(b"", client.relay)
    got = client.arrival()
    expect((got.peer, got.data) == (far.address, b""), f"from {got.peer} came {got.data!r}")


@check(8656, "11.3", MUST, "a large datagram comes in whole, or not at all", line=56)
def large_data_is_not_cut(scene: Scene) -> None:
    """Section 11.3: DATA is set to "the "data octets" field from the datagram"."""
    client, far = permitted(scene, "tcp")
    for size in (1473, 8192, 65000):
        data = os.urandom(size)
        far.send(data, client.relay)
        got = client.arrives(2)
        expect(got is None or got.data == data, "it was cut")
        expect(got is not None or size > 60000, f"{size} bytes did not come")


@check(8656, "9", MUST, "between two relays of one server both permissions count", line=48)
def two_relays_meet(scene: Scene) -> None:
    """Section 9 at both ends: the one sends to a permitted peer, the other takes from a permitted one."""
    first, second = scene.allocated(), scene.allocated()
    first.permit(second.relay)
    first.send_data(second.relay, b"too early")
    second.quiet()
    second.permit(first.relay)
    first.send_data(second.relay, b"now")
    got = second.arrival()
    expect((got.peer, got.data) == (first.relay, b"now"), f"from {got.peer} came {got.data!r}")


# Addresses that name another one

TUNNELS = {
    "teredo": ("Teredo", "2001:0:7f00:1::1"),
    "6to4": ("6to4", "2002:7f00:1::1"),
}


def tunnel_is_refused(address: str, scene: Scene) -> None:
    """RFC 8656, section 21.4: "a TURN server MUST NOT accept Teredo or 6to4 addresses in these requests"."""
    client = ipv6_relay(scene)
    expect_error(client.request(Method.CREATE_PERMISSION, [peer((address, 9))]), 403)
    channel = (Code.CHANNEL_NUMBER, b"\x40\0\0\0")
    expect_error(client.request(Method.CHANNEL_BIND, [channel, peer((address, 9))]), 403)


for _name, (_what, _address) in TUNNELS.items():
    _clause = Clause(8656, "21.4", MUST, f"a {_what} address is refused as a peer", 50)
    add(f"{_name}_peer_is_refused", _clause, partial(tunnel_is_refused, _address))


@check(6156, "9.1", SHOULD, "a site-local address is refused as a peer", line=50)
def site_local_peer_is_refused(scene: Scene) -> None:
    """Section 9.1 gives the same advice as RFC 8656, 21.4; RFC 3879 deprecates fec0::/10 altogether."""
    client = ipv6_relay(scene)
    expect_error(client.request(Method.CREATE_PERMISSION, [peer(("fec0::1", 9))]), 403)


@check(8656, "13", SHOULD, "IPv6 peers are reached through an IPv6 relay over an IPv4 control path", line=35)
def ipv4_client_reaches_ipv6_peer(scene: Scene) -> None:
    """Section 13: translations between the families of the two legs."""
    client, far = ipv6_relay(scene), ipv6_peer(scene)
    client.permit(far.address)
    client.send_data(far.address, DATA)
    expect(far.receive(DATA).source == client.relay, "it came from another address")
    far.send(b"back", client.relay)
    got = client.arrival()
    expect((got.peer, got.data) == (far.address, b"back"), f"from {got.peer} came {got.data!r}")


@check(8656, "13", MUST, "DONT-FRAGMENT is ignored where a translation or IPv6 is relayed", line=32)
def dont_fragment_is_ignored_for_ipv6(scene: Scene) -> None:
    """Sections 13.1 to 13.3: "the DONT-FRAGMENT attribute MUST be ignored by the server"."""
    client, far = ipv6_relay(scene), ipv6_peer(scene)
    client.permit(far.address)
    client.send_data(far.address, DATA, DONT_FRAGMENT)
    far.receive(DATA)


# DONT-FRAGMENT and the IP header


def fragmenting(scene: Scene) -> Client:
    """A client whose Allocate had DONT-FRAGMENT."""
    client = scene.client()
    answer = client.request(Method.ALLOCATE, [UDP, DONT_FRAGMENT])
    if answer.error == 420:
        expect(answer.unknown() == [Code.DONT_FRAGMENT], f"UNKNOWN-ATTRIBUTES lists {answer.unknown()}")
        raise NotOfferedError("420 with DONT-FRAGMENT in UNKNOWN-ATTRIBUTES")
    expect(answer.is_success, shown(answer))
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    return client


@check(8656, "7.2", MUST, "DONT-FRAGMENT in Allocate succeeds, or gets 420 that lists it", line=32)
def dont_fragment_in_allocate(scene: Scene) -> None:
    """Section 7.2, check 4: treated "as an unknown comprehension-required attribute" where not supported."""
    fragmenting(scene)


@check(8656, "14", SHOULD, "a Send with DONT-FRAGMENT goes out with DF set", line=32)
def dont_fragment_sets_df(scene: Scene) -> None:
    """Section 14: "then set the outgoing UDP packet to not fragment"."""
    expect(df_of_relayed(fragmenting(scene), scene, DONT_FRAGMENT), "DF is not set")


@check(8656, "14", SHOULD, "without DONT-FRAGMENT DF is that of the client's datagram, or 0", line=32)
def no_dont_fragment_leaves_df(scene: Scene) -> None:
    """Section 14: copy DF, or "always assume the incoming DF bit is 0"; the client here sends with DF 0."""
    client = scene.allocated()
    assert isinstance(client.link, UdpLink)
    client.link.socket.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
    expect(not df_of_relayed(client, scene), "DF is set")


def df_of_relayed(client: Client, scene: Scene, *values: Value) -> bool:
    """Whether the datagram to the peer has DF, as seen on loopback."""
    if not scene.target.is_local:
        raise SkippedError("DF is seen on loopback only")
    far = scene.peer()
    client.permit(far.address)
    try:
        wire = scene.keep(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)))
    except PermissionError:
        raise SkippedError("to see DF needs root") from None
    wire.bind(("lo", 0x0800))
    mark = os.urandom(16)
    client.send_data(far.address, mark, *values)
    far.receive(mark)
    wire.settimeout(1)
    while True:
        packet = wire.recv(65536)
        if packet[9] == 17 and packet.endswith(mark) and packet[22:24] == struct.pack("!H", far.address[1]):
            return bool(packet[6] & 0x40)


def tos_of_relayed(scene: Scene, tos: int) -> int:
    """What becomes of the client's TOS byte on the way to the peer."""
    client, far = permitted(scene)
    assert isinstance(client.link, UdpLink)
    client.link.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    client.send_data(far.address, DATA)
    return far.receive(DATA).tos


@check(8656, "14", SHOULD, "DSCP is that of the client's datagram, else Best Effort", line=32)
def dscp_is_kept_or_cleared(scene: Scene) -> None:
    """Section 14: "Set the outgoing value to the incoming value", else "a fixed value, [...] Best Effort"."""
    seen = tos_of_relayed(scene, 46 << 2) >> 2
    expect(seen in (46, 0), f"DSCP {seen} instead of 46 or 0")


@check(8656, "14", SHOULD, "ECN is that of the client's datagram, else Not-ECT", line=32)
def ecn_is_kept_or_cleared(scene: Scene) -> None:
    """Section 14: "Set the outgoing value to the incoming value", else "Not-ECT (=0b00)"."""
    seen = tos_of_relayed(scene, 2) & 3
    expect(seen in (2, 0), f"ECN {seen} instead of ECT(0) or Not-ECT")


@check(8656, "14", SHOULD, "DSCP and ECN towards the client are those of the peer, else cleared", line=32)
def tos_of_peer_is_kept_or_cleared(scene: Scene) -> None:
    """Section 14 applies "from the client to the peer or vice versa"."""
    client, far = permitted(scene)
    assert isinstance(client.link, UdpLink)
    client.link.socket.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    far.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 46 << 2 | 2)
    far.send(DATA, client.relay)
    client.link.socket.settimeout(PATIENCE)
    _, extra, _, _ = client.link.socket.recvmsg(2048, 64)
    seen = [value[0] for level, kind, value in extra if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS)]
    expect(seen and seen[0] >> 2 in (46, 0) and seen[0] & 3 in (2, 0), f"TOS {seen}")


# ICMP


def icmp(client: Client, closed: Endpoint) -> Message:
    """The Data indication with ICMP for a port where nobody listens."""
    client.permit(closed)
    for _ in range(3):
        client.send_data(closed, b"is anybody there?")
        got = client.arrives(0.7)
        if got is not None and got.indication is not None:
            return got.indication
    raise BrokenError("no Data indication with ICMP came for a port where nobody listens")


def closed_port(scene: Scene, host: str) -> Endpoint:
    """An address where nobody listens any more."""
    if not scene.target.is_local:
        raise SkippedError("ICMP is tried on loopback, where no firewall eats it")
    far = scene.peer(host)
    address = far.address
    far.close()
    return address


@check(8656, "11.5", MUST, "an ICMP error for a relayed datagram comes in a Data indication", line=49)
def icmp_is_relayed(scene: Scene) -> None:
    """Section 11.5: it "MUST contain both an XOR-PEER-ADDRESS and an ICMP attribute"; port unreachable is 3, 3."""
    closed = closed_port(scene, "127.0.0.1")
    told(icmp(scene.allocated(), closed), closed, (3, 3))


@check(8656, "11.5", MUST, "the same of ICMPv6", line=49)
def icmpv6_is_relayed(scene: Scene) -> None:
    """Section 11.5, "either 1, 2, or 3 for an ICMPv6"; port unreachable is 1, 4."""
    client = ipv6_relay(scene)
    closed = closed_port(scene, "::1")
    told(icmp(client, closed), closed, (1, 4))


def told(indication: Message, closed: Endpoint, wanted: tuple[int, int]) -> None:
    """The indication has type and code, the peer, no DATA, and error data of zero (section 18.13)."""
    value = indication.get(Code.ICMP)
    expect(value is not None and len(value) == 8, "no ICMP attribute of eight bytes")
    assert value is not None
    expect(value[:2] == bytes(2), "reserved bits are set")
    # Figure 11 draws seven bits of type and nine of code; both are octets in every implementation and in IANA's text.
    expect((value[2], value[3]) == wanted, f"type {value[2]}, code {value[3]} instead of {wanted}")
    expect(value[4:] == bytes(4), "error data is not zero")
    seen = indication.address(Code.XOR_PEER_ADDRESS)
    expect(seen in (closed, (closed[0], 0)), f"XOR-PEER-ADDRESS {seen} instead of {closed}")
    expect(not indication.has(Code.DATA), "there is DATA")


@check(8656, "12.5", MUST, "an ICMP error comes in an indication where a channel is bound too", line=49)
def icmp_is_no_channel_data(scene: Scene) -> None:
    """Section 12.5: the server signals ICMP by "a Data indication [...] even if a channel has been bound"."""
    client, closed = scene.allocated(), closed_port(scene, "127.0.0.1")
    client.bind(0x4000, closed)
    told(icmp(client, closed), closed, (3, 3))
