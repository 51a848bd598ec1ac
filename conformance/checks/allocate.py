"""Allocate: refusals, five-tuples, successes, lifetimes (RFC 8656, sections 5 to 7 and 18)."""

import struct
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from conformance.clauses import MUST, SHOULD, Clause, add, check, expect
from conformance.client import UDP, Client, Value, expect_error, family, lifetime, peer, shown
from conformance.scene import Scene
from conformance.stun import Code, Message, Method

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
