"""Allocate and Refresh (RFC 8656, sections 5 to 8 and 18)."""

import struct
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from conformance.clauses import MAY, MUST, SHOULD, Clause, NotOfferedError, SkippedError, add, check, expect
from conformance.client import TCP, UDP, Client, Value, expect_error, family, lifetime, peer, shown
from conformance.links import PATIENCE
from conformance.scene import Peer, Scene, known
from conformance.stun import Code, Endpoint, Message, Method

EVEN, PAIR = (Code.EVEN_PORT, b"\0"), (Code.EVEN_PORT, b"\x80")
NO_TOKEN = (Code.RESERVATION_TOKEN, b"nobody's")
BOTH = family(6, Code.ADDITIONAL_ADDRESS_FAMILY)

# What is refused, and how: values, the errors that the RFC gives, and where.

REFUSED: dict[str, tuple[str, str, int, Sequence[Value], tuple[int, ...]]] = {
    "no_transport": ("7.2", "without REQUESTED-TRANSPORT it gets 400", 30, [], (400,)),
    "short_transport": (
        "7.2",
        "with a malformed REQUESTED-TRANSPORT it gets 400",
        30,
        [(Code.REQUESTED_TRANSPORT, b"\x11\0")],
        (400,),
    ),
    "unknown_transport": (
        "7.2",
        "with a protocol that the server does not relay it gets 442",
        30,
        [(Code.REQUESTED_TRANSPORT, bytes([132, 0, 0, 0]))],
        (442,),
    ),
    "token_and_even_port": ("7.2", "RESERVATION-TOKEN with EVEN-PORT gets 400", 33, [UDP, NO_TOKEN, EVEN], (400,)),
    "token_and_family": (
        "7.2",
        "RESERVATION-TOKEN with REQUESTED-ADDRESS-FAMILY gets 400",
        33,
        [UDP, NO_TOKEN, family(4)],
        (400,),
    ),
    "token_and_both_families": (
        "7.2",
        "RESERVATION-TOKEN with ADDITIONAL-ADDRESS-FAMILY gets 400",
        33,
        [UDP, NO_TOKEN, BOTH],
        (400,),
    ),
    "unknown_token": ("7.2", "a RESERVATION-TOKEN that the server never gave gets 508", 33, [UDP, NO_TOKEN], (508,)),
    "unknown_family": (
        "7.2",
        "an address family that the server does not support gets 440",
        35,
        [UDP, family(3)],
        (440,),
    ),
    "additional_ipv4": (
        "7.2",
        "ADDITIONAL-ADDRESS-FAMILY for IPv4 gets 400",
        36,
        [UDP, family(4, Code.ADDITIONAL_ADDRESS_FAMILY)],
        (400,),
    ),
    "both_family_attributes": (
        "7.2",
        "REQUESTED-ADDRESS-FAMILY with ADDITIONAL-ADDRESS-FAMILY gets 400",
        36,
        [UDP, family(4), BOTH],
        (400,),
    ),
    "pair_and_both_families": (
        "7.2",
        "EVEN-PORT with R set and ADDITIONAL-ADDRESS-FAMILY gets 400",
        36,
        [UDP, PAIR, BOTH],
        (400,),
    ),
}


def refused(values: Sequence[Value], codes: tuple[int, ...], scene: Scene) -> None:
    """The Allocate gets the error, and makes no allocation."""
    client = scene.client()
    expect_error(client.request(Method.ALLOCATE, values), *codes)
    expect_error(client.request(Method.REFRESH), 437)


for _name, (_section, _asked, _line, _values, _codes) in REFUSED.items():
    add(f"allocate_with_{_name}", Clause(8656, _section, MUST, _asked, _line), partial(refused, _values, _codes))


@check(8656, "18.8", MUST, "the reserved bits of REQUESTED-TRANSPORT are ignored", line=30)
def reserved_bits_of_transport_are_ignored(scene: Scene) -> None:
    """Section 18.8: the RFFU field "MUST be ignored on reception"."""
    scene.client().allocate(transport=(Code.REQUESTED_TRANSPORT, bytes([17, 255, 255, 255])))


@check(8656, "18.6", MUST, "the reserved bits of REQUESTED-ADDRESS-FAMILY are ignored", line=35)
def reserved_bits_of_family_are_ignored(scene: Scene) -> None:
    """Section 18.6: the 24 bits "MUST be ignored by the server"."""
    scene.client().allocate((Code.REQUESTED_ADDRESS_FAMILY, bytes([1, 255, 255, 255])))


# Five-tuples and retransmissions


@check(8656, "7.2", MUST, "a second Allocate on a five-tuple in use gets 437", line=31)
def second_allocate_is_437(scene: Scene) -> None:
    """Section 7.2, check 2: "If yes, the server rejects the request with a 437 (Allocation Mismatch) error"."""
    client = scene.allocated()
    expect_error(client.request(Method.ALLOCATE, [UDP]), 437)
    expect(client.request(Method.REFRESH).is_success, "the first allocation is gone")


def twice(client: Client, method: int, values: Sequence[Value]) -> tuple[Message, Message]:
    """The answers to a request and to its retransmission."""
    if not client.nonce:
        client.challenge()
    message = client.signed(method, values)
    first, second = client.exchange(message), client.exchange(message)
    if method == Method.ALLOCATE:
        client.relays = first.addresses(Code.XOR_RELAYED_ADDRESS)
    return first, second


@check(8489, "6.3.1", MUST, "a retransmitted Allocate gets the same relayed transport address", line=13)
def allocate_twice(scene: Scene) -> None:
    """Section 6.3.1: the state after the answer to a retransmission is that after the answer to the original."""
    first, second = twice(scene.client(), Method.ALLOCATE, [UDP])
    expect(first.is_success and second.is_success, f"{shown(first)}, then {shown(second)}")
    code = Code.XOR_RELAYED_ADDRESS
    expect(first.addresses(code) == second.addresses(code), "another relayed transport address")


@check(8489, "6.3.1", MUST, "a retransmitted Allocate that failed gets the same error", line=13)
def failed_allocate_twice(scene: Scene) -> None:
    """Section 6.3.1, as above."""
    first, second = twice(scene.client(), Method.ALLOCATE, [])
    expect((first.error, second.error) == (400, 400), f"{shown(first)}, then {shown(second)}")


@check(8489, "6.3.1", MUST, "retransmitted Refresh, CreatePermission and ChannelBind succeed again", line=13)
def other_requests_twice(scene: Scene) -> None:
    """Section 6.3.1, as above; RFC 8656 notes at each of them that they refresh what they made."""
    client, far = scene.allocated(), scene.peer().address
    channel = (Code.CHANNEL_NUMBER, struct.pack("!HH", 0x4000, 0))
    requests: list[tuple[Method, list[Value]]] = [
        (Method.REFRESH, [lifetime(700)]),
        (Method.CREATE_PERMISSION, [peer(far)]),
        (Method.CHANNEL_BIND, [channel, peer(far)]),
    ]
    for method, values in requests:
        first, second = twice(client, method, values)
        expect(first.is_success and second.is_success, f"{method.name}: {shown(first)}, then {shown(second)}")


@check(8656, "8.2", MUST, "a retransmitted Refresh with lifetime 0 gets 437, or its success again", line=13)
def deleting_refresh_twice(scene: Scene) -> None:
    """Section 8.2, note: it "will cause a 437", which the client takes for success; RFC 8489 allows the same answer."""
    first, second = twice(scene.allocated(), Method.REFRESH, [lifetime(0)])
    expect(first.is_success, shown(first))
    expect(second.is_success or second.error == 437, shown(second))


# The success


@check(8656, "7.2", MUST, "success has XOR-RELAYED-ADDRESS, LIFETIME and the client's XOR-MAPPED-ADDRESS", line=39)
def allocate_success_is_complete(scene: Scene) -> None:
    """Section 7.2: "The success response contains" them."""
    client = scene.client()
    answer = client.allocate()
    expect(answer.number(Code.LIFETIME), "no LIFETIME")
    seen = answer.address(Code.XOR_MAPPED_ADDRESS)
    expect(seen == client.link.address, f"XOR-MAPPED-ADDRESS {seen} instead of {client.link.address}")
    expect(answer.signed(client.key), "it is not signed")


@check(8656, "5", SHOULD, "Allocate and Refresh responses, success or failure, have SOFTWARE", line=15)
def turn_responses_have_software(scene: Scene) -> None:
    """Section 5: "The server SHOULD include the SOFTWARE attribute in all Allocate and Refresh responses"."""
    client = scene.client()
    answers = [client.allocate(), client.refresh(), client.request(Method.ALLOCATE, [UDP]), scene.client().challenge()]
    silent = [shown(answer) for answer in answers if not answer.has(Code.SOFTWARE)]
    expect(not silent, f"no SOFTWARE in {', '.join(silent)}")


@check(8656, "5", SHOULD, "the server takes clients over TCP", line=41)
def allocate_over_tcp(scene: Scene) -> None:
    """Section 5: it "SHOULD support the use of TCP, TLS-over-TCP, and DTLS-over-UDP transports"."""
    client, far = scene.allocated(transport="tcp"), scene.peer()
    client.permit(far.address)
    client.send_data(far.address, b"over TCP")
    expect(far.receive(b"over TCP").source == client.relay, "it came from another address than the relayed one")
    far.send(b"back", client.relay)
    expect(client.arrival().data == b"back", "other data came back")


@check(8656, "6", MUST, "a relayed transport address is unique", line=40)
def relays_are_unique(scene: Scene) -> None:
    """Section 6: "The relayed transport address MUST be unique across all allocations"."""
    relays = [scene.allocated().relay for _ in range(12)]
    expect(len(set(relays)) == len(relays), "two allocations share one")


@check(8656, "7.2", SHOULD, "relay ports are in 49152 to 65535", line=40)
def relay_ports_are_dynamic(scene: Scene) -> None:
    """Section 7.2: "the server SHOULD only allocate ports from the range 49152 - 65535"."""
    ports = [scene.allocated().relay[1] for _ in range(8)]
    expect(all(49152 <= port <= 65535 for port in ports), f"ports {ports}")


@check(8656, "7.2", SHOULD, "relay ports are not below 1024", line=40)
def relay_ports_are_not_well_known(scene: Scene) -> None:
    """Section 7.2: it "SHOULD NOT allocate ports in the range 0 - 1023"."""
    expect(scene.allocated().relay[1] > 1023, "a well-known port")


@check(8656, "7.2", SHOULD, "relay ports are random", line=40)
def relay_ports_are_random(scene: Scene) -> None:
    """Section 7.2, note: "It is RECOMMENDED that a TURN server implement a randomized port assignment"."""
    ports = [scene.allocated().relay[1] for _ in range(8)]
    steps = {after - before for before, after in pairwise(ports)}
    expect(len(steps) > 3, f"they follow a pattern: {ports}")


@check(8656, "7.2", SHOULD, "a relay port that was given back is not given out next", line=40)
def relay_port_rests(scene: Scene) -> None:
    """Section 7.2, note on RFC 6056: late packets of an old allocation shall not meet a new one."""
    before = []
    for _ in range(6):
        client = scene.allocated()
        expect(client.relay not in before, "a port came back at once")
        before.append(client.relay)
        client.refresh(lifetime(0))


# Lifetimes

LIFETIMES: dict[str, tuple[str, int | None, int]] = {
    "absent": ("without LIFETIME 600 s are granted", None, 600),
    "small": ("less than the default is granted as the default", 1, 600),
    "zero": ("0 is granted as the default", 0, 600),
    "larger": ("more than the default is granted up to the maximum", 1200, 1200),
}


def granted(asked: int | None, wanted: int, scene: Scene) -> None:
    """Section 7.2: the larger of the default and the smaller of wish and maximum."""
    answer = scene.client().allocate(*([] if asked is None else [lifetime(asked)]))
    got = answer.number(Code.LIFETIME)
    expect(got == wanted, f"granted are {got} s instead of {wanted}")


for _name, (_asked, _wish, _granted) in LIFETIMES.items():
    add(f"lifetime_{_name}", Clause(8656, "7.2", MUST, _asked, 38), partial(granted, _wish, _granted))


@check(8656, "7.2", SHOULD, "no more than 3600 s are granted", line=38)
def lifetime_has_a_maximum(scene: Scene) -> None:
    """Section 7.2: a maximum "of no more than 3600 seconds (1 hour)" is RECOMMENDED."""
    got = scene.client().allocate(lifetime(2**32 - 1)).number(Code.LIFETIME)
    expect(got is not None and 600 <= got <= 3600, f"granted are {got} s")


# Address families


@check(8656, "7.2", MUST, "without REQUESTED-ADDRESS-FAMILY the relay is IPv4", line=35)
def relay_is_ipv4_by_default(scene: Scene) -> None:
    """Section 7.2, check 7: "the server MUST allocate an IPv4 relayed transport address"."""
    client = scene.client(server=scene.target.address6 or scene.target.address)
    client.allocate()
    expect(":" not in client.relay[0], f"the relay is {client.relay[0]}")


@check(8656, "7.2", MUST, "REQUESTED-ADDRESS-FAMILY IPv6 gives an IPv6 relay, or 440", line=35)
def relay_is_ipv6_on_request(scene: Scene) -> None:
    """Section 7.2, check 7; a server without IPv6 relays gives 440."""
    client = ipv6_relay(scene)
    expect(":" in client.relay[0], f"the relay is {client.relay[0]}")


def ipv6_relay(scene: Scene) -> Client:
    """A client over IPv4 with an IPv6 relay."""
    client = scene.client()
    answer = client.request(Method.ALLOCATE, [UDP, family(6)])
    if answer.error == 440:
        raise NotOfferedError("440: no IPv6 relays")
    expect(answer.is_success, shown(answer))
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    return client


def dual(scene: Scene) -> Client:
    """A client with a relay of each family."""
    client = scene.client()
    client.allocate(BOTH)
    if len(client.relays) == 1:
        raise NotOfferedError("ADDITIONAL-ADDRESS-FAMILY is ignored: one relayed transport address")
    return client


@check(8656, "7.2", MUST, "ADDITIONAL-ADDRESS-FAMILY IPv6 gives two relayed transport addresses", line=36)
def dual_allocation(scene: Scene) -> None:
    """Section 7.2, check 9: one IPv4 and one IPv6 address "in two XOR-RELAYED-ADDRESS attributes"."""
    relays = dual(scene).relays
    expect(sorted(":" in host for host, _ in relays) == [False, True], f"the relays are {relays}")


@check(8656, "10.1", MAY, "a dual allocation takes permissions for peers of both families in one request", line=36)
def dual_allocation_relays_both(scene: Scene) -> None:
    """Section 10.1: XOR-PEER-ADDRESS attributes "of IPv4 and IPv6 address families"; data goes out by its family."""
    client, four, six = dual(scene), scene.peer(), ipv6_peer(scene)
    client.permit(four.address, six.address)
    for far in (four, six):
        client.send_data(far.address, b"by family")
        relay = next(one for one in client.relays if (":" in one[0]) == (":" in far.address[0]))
        expect(far.receive(b"by family").source == relay, "it came from the other relay")


def ipv6_peer(scene: Scene) -> Peer:
    """A peer on IPv6, where both are on loopback."""
    if not scene.target.is_local:
        raise SkippedError("IPv6 peers are tried on loopback")
    return scene.peer("::1")


@check(8656, "7.2", MUST, "if one family cannot be had, success says so in ADDRESS-ERROR-CODE", line=36)
def dual_allocation_in_part(scene: Scene) -> None:
    """Section 7.2, check 9: partly met, it "includes ADDRESS-ERROR-CODE attribute in the success response"."""
    server = exhausted(scene)
    client = scene.client(server=server)
    answer = client.request(Method.ALLOCATE, [UDP, BOTH])
    if answer.error in (440, 508) and not answer.has(Code.ADDRESS_ERROR_CODE):
        raise NotOfferedError("ADDITIONAL-ADDRESS-FAMILY is ignored")
    expect(answer.is_success, shown(answer))
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    expect([":" in host for host, _ in client.relays] == [True], f"the relays are {client.relays}")
    value = answer.get(Code.ADDRESS_ERROR_CODE) or bytes(4)
    expect(value[0] == 1 and (value[2] & 7) * 100 + value[3] in (440, 508), f"ADDRESS-ERROR-CODE {value[:4].hex()}")


# Ports


@check(8656, "7.2", MUST, "EVEN-PORT gives an even port", line=34)
def even_port_is_even(scene: Scene) -> None:
    """Section 7.2: "the server allocates a relayed transport address with an even port number"."""
    for _ in range(4):
        client = scene.client()
        client.allocate(EVEN)
        expect(client.relay[1] % 2 == 0, f"port {client.relay[1]}")


@check(8656, "7.2", MUST, "EVEN-PORT without R reserves nothing", line=34)
def even_port_alone_reserves_nothing(scene: Scene) -> None:
    """Section 18.7: "If 0, no such reservation is requested"."""
    answer = scene.client().allocate(EVEN)
    expect(not answer.has(Code.RESERVATION_TOKEN), "there is a RESERVATION-TOKEN")


@check(8656, "18.7", MUST, "the reserved bits of EVEN-PORT are ignored", line=34)
def reserved_bits_of_even_port_are_ignored(scene: Scene) -> None:
    """Section 18.7: the RFFU field must be "ignored on reception"."""
    answer = scene.client().allocate((Code.EVEN_PORT, b"\x7f"))
    expect(not answer.has(Code.RESERVATION_TOKEN), "there is a RESERVATION-TOKEN")


def reserved(scene: Scene) -> tuple[Client, bytes]:
    """A client with an even port, and the token for the next one."""
    client = scene.client()
    token = client.allocate(PAIR).get(Code.RESERVATION_TOKEN)
    expect(token is not None and len(token) == 8, "no RESERVATION-TOKEN of eight bytes")
    assert token is not None
    return client, token


@check(8656, "7.2", MUST, "EVEN-PORT with R gives a token, and the token the next port", line=34)
def reserved_port_is_next(scene: Scene) -> None:
    """Section 7.2: "Port N is used in the current allocation", N+1 is reserved for the token."""
    first, token = reserved(scene)
    second = scene.client()
    second.allocate((Code.RESERVATION_TOKEN, token))
    host, port = first.relay
    expect(port % 2 == 0, f"port {port} is odd")
    expect(second.relay == (host, port + 1), f"{second.relay} instead of port {port + 1}")


@check(8656, "7.2", MUST, "a token is good on another transport and from another address too", line=34)
def reservation_is_server_wide(scene: Scene) -> None:
    """Section 7.2: the 5-tuple "can use a different client IP address and port, a different transport protocol"."""
    first, token = reserved(scene)
    second = scene.client("tcp")
    second.allocate((Code.RESERVATION_TOKEN, token))
    expect(second.relay[1] == first.relay[1] + 1, f"port {second.relay[1]} instead of {first.relay[1] + 1}")


@check(8656, "7.2", MUST, "a token that was used gets 508", line=33)
def used_token_is_508(scene: Scene) -> None:
    """Section 7.2, check 5: the address must be "still available", else 508."""
    _, token = reserved(scene)
    scene.client().allocate((Code.RESERVATION_TOKEN, token))
    expect_error(scene.client().request(Method.ALLOCATE, [UDP, (Code.RESERVATION_TOKEN, token)]), 508)


@check(8656, "7.2", MUST, "a reservation is held for 30 s at least", line=34, lasts=29)
def reservation_is_held(scene: Scene) -> None:
    """Section 7.2: "The server MUST hold this reservation for at least 30 seconds"."""
    first, token = reserved(scene)
    time.sleep(28.5)  # the clause is about this time
    second = scene.client()
    second.allocate((Code.RESERVATION_TOKEN, token))
    expect(second.relay[1] == first.relay[1] + 1, "another port")


@check(8656, "7.2", MUST, "without a suitable port EVEN-PORT gets 508", line=34)
def impossible_even_port_is_508(scene: Scene) -> None:
    """Section 7.2, check 8: "If the server cannot satisfy the request", 508; the only port here is odd."""
    server = known(scene.target.cramped, "no server with a single relay port was named")
    for value in (EVEN, PAIR):
        expect_error(scene.client(server=server).request(Method.ALLOCATE, [UDP, value]), 508)


def exhausted(scene: Scene) -> Endpoint:
    """A server whose single IPv4 relay port is taken, by this check or by one that is not quite over."""
    server = known(scene.target.cramped, "no server with a single relay port was named")
    client = scene.client(server=server)
    answer = client.request(Method.ALLOCATE, [UDP])
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    return server


@check(8656, "7.2", MUST, "without any port left Allocate gets 508", line=37)
def no_port_is_508(scene: Scene) -> None:
    """Section 19: 508 where "the server [has] no more relayed transport addresses available"."""
    server = exhausted(scene)
    expect_error(scene.client(server=server).request(Method.ALLOCATE, [UDP]), 508)


@check(8656, "7.2", MAY, "a user with too many allocations gets 486", line=37)
def quota_is_486(scene: Scene) -> None:
    """Section 7.2, check 10: "the server MAY choose to reject the request with a 486 (Allocation Quota Reached)"."""
    if scene.target.quota is None:
        raise SkippedError("the number of allocations of a user is not known")
    for count in range(scene.target.quota + 1):
        client = scene.client(credentials=scene.other())
        answer = client.request(Method.ALLOCATE, [UDP])
        if answer.error:
            expect_error(answer, 486)
            expect(count, "the first one was refused")
            return
        client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    raise NotOfferedError(f"{scene.target.quota + 1} allocations of one user")


# The end of an allocation


def gone(far: Peer, relay: Endpoint) -> bool:
    """Whether the kernel says that nobody listens at the relayed transport address any more."""
    far.socket.connect(relay)
    far.socket.settimeout(0.2)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            far.socket.send(b"anybody there?")
            far.socket.recv(10)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            continue
    return False


@check(8656, "8.2", MUST, "Refresh with lifetime 0 deletes the allocation and says LIFETIME 0", line=42)
def refresh_zero_deletes(scene: Scene) -> None:
    """Section 8.2: "If the "desired lifetime" is zero, then the request succeeds and the allocation is deleted"."""
    client, far = scene.allocated(), scene.peer()
    relay = client.relay
    answer = client.refresh(lifetime(0))
    expect(answer.number(Code.LIFETIME) == 0, f"LIFETIME {answer.number(Code.LIFETIME)}")
    expect_error(client.request(Method.REFRESH), 437)
    expect(gone(far, relay), "the relayed transport address still takes datagrams")


@check(8656, "8.2", MUST, "after its end a five-tuple can allocate again", line=42)
def five_tuple_can_allocate_again(scene: Scene) -> None:
    """Section 7.2, check 2, finds no allocation any more."""
    client = scene.allocated()
    client.refresh(lifetime(0))
    client.allocate()


@check(8656, "3.1", MUST, "the end of a client's TCP connection deletes its allocation", line=41)
def closed_connection_deletes(scene: Scene) -> None:
    """Section 6: the 5-tuple identifies an allocation, and this one cannot come again; see also section 3.1."""
    client, far = scene.allocated(transport="tcp"), scene.peer()
    relay, client.relays = client.relay, []
    client.link.close()
    expect(gone(far, relay), "the relayed transport address still takes datagrams after 5 s")


# Refresh

REFRESHED: dict[str, tuple[str, int | None, int]] = {
    "absent": ("without LIFETIME 600 s are granted", None, 600),
    "small": ("less than the default is granted as the default", 1, 600),
    "larger": ("more than the default is granted up to the maximum", 1500, 1500),
}


def refreshed(asked: int | None, wanted: int, scene: Scene) -> None:
    """Section 8.2: the "desired lifetime"."""
    answer = scene.allocated().refresh(*([] if asked is None else [lifetime(asked)]))
    got = answer.number(Code.LIFETIME)
    expect(got == wanted, f"granted are {got} s instead of {wanted}")


for _name, (_asked, _wish, _granted) in REFRESHED.items():
    add(f"refresh_lifetime_{_name}", Clause(8656, "8.2", MUST, _asked, 42), partial(refreshed, _wish, _granted))


@check(8656, "8.2", MUST, "Refresh grants no more than the maximum of Allocate", line=42)
def refresh_has_a_maximum(scene: Scene) -> None:
    """Section 8.2: "the minimum of the client's requested lifetime and the server's maximum allowed lifetime"."""
    client = scene.client()
    most = client.allocate(lifetime(2**32 - 1)).number(Code.LIFETIME)
    got = client.refresh(lifetime(2**32 - 1)).number(Code.LIFETIME)
    expect(got == most, f"Allocate grants {most} s, Refresh {got}")


NO_ALLOCATION: dict[str, Method] = {
    "refresh": Method.REFRESH,
    "create_permission": Method.CREATE_PERMISSION,
    "channel_bind": Method.CHANNEL_BIND,
}


def mismatch(method: Method, scene: Scene) -> None:
    """Section 5: without allocation a request "MUST [...] be rejected with a 437 Allocation Mismatch error"."""
    channel = (Code.CHANNEL_NUMBER, b"\x40\0\0\0")
    values: dict[Method, list[Value]] = {
        Method.REFRESH: [],
        Method.CREATE_PERMISSION: [peer((scene.peer_host, 9))],
        Method.CHANNEL_BIND: [channel, peer((scene.peer_host, 9))],
    }
    expect_error(scene.client().request(method, values[method]), 437)


for _name, _method in NO_ALLOCATION.items():
    _line = {Method.REFRESH: 42, Method.CREATE_PERMISSION: 44, Method.CHANNEL_BIND: 51}[_method]
    _clause = Clause(8656, "5", MUST, f"{_name.replace('_', ' ')} without an allocation gets 437", _line)
    add(f"{_name}_without_allocation_is_437", _clause, partial(mismatch, _method))


@check(8656, "8.2", MUST, "Refresh for another address family than the allocation's gets 443", line=43)
def refresh_of_other_family_is_443(scene: Scene) -> None:
    """Section 8.2: "the server MUST reply with a 443 (Peer Address Family Mismatch) Refresh error response"."""
    client = scene.allocated()
    expect_error(client.request(Method.REFRESH, [family(6), lifetime(0)]), 443)
    expect(client.request(Method.REFRESH).is_success, "the allocation is gone")


@check(8656, "8.2", MUST, "Refresh for the allocation's own address family succeeds", line=43)
def refresh_of_own_family_succeeds(scene: Scene) -> None:
    """Section 8.2: the 443 is for a family that "does not match the address family of the allocation"."""
    scene.allocated().refresh(family(4))


@check(8656, "8.1", MUST, "Refresh of one family of a dual allocation leaves the other alone", line=43)
def dual_refresh_is_by_family(scene: Scene) -> None:
    """Section 8.1: to refresh one address of a dual allocation the client names its family."""
    client, four = dual(scene), scene.peer()
    client.permit(four.address)
    client.refresh(family(6), lifetime(0))
    client.send_data(four.address, b"IPv4 lives")
    four.receive(b"IPv4 lives")
    expect_error(client.request(Method.REFRESH, [family(6)]), 443, 437)
    client.refresh(family(4))


@check(8656, "8.2", MUST, "an allocation ends at its lifetime, and with it its relay", line=41, lasts=640)
def allocation_expires(scene: Scene) -> None:
    """Sections 5 and 6: "When an allocation expires, the state data [...] can be freed"; requests get 437 then."""
    client, far = scene.allocated(), scene.peer()
    relay = client.relay
    granted_for = client.refresh(lifetime(600)).number(Code.LIFETIME) or 0
    expect(granted_for == 600, f"granted are {granted_for} s")
    client.permit(far.address)
    time.sleep(590)
    client.send_data(far.address, b"still there")  # a permission lasts 300 s, so nothing comes; the relay still is
    expect(not gone(scene.peer(), relay), "the relay went before its time")
    time.sleep(20)
    expect(gone(scene.peer(), relay), "the relayed transport address still takes datagrams after 610 s")
    expect_error(client.request(Method.REFRESH), 437)


@check(8656, "7.2", MAY, "a TCP allocation over UDP control is refused with 442, or 400 where TCP is relayed", line=30)
def tcp_relay_over_udp_is_refused(scene: Scene) -> None:
    """Section 7.2, check 3: 442; RFC 6062, section 5.1: 400 over a control connection that is not TCP."""
    expect_error(scene.client().request(Method.ALLOCATE, [TCP]), 400, 442)
