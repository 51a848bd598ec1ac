"""What is no message, and what messages hold (RFC 8489, sections 5, 6 and 14)."""

import os
import struct
from functools import partial

from conformance.clauses import MAY, MUST, SHOULD, Clause, NotOfferedError, add, check, expect
from conformance.client import UDP, Value, expect_error, lifetime, peer, shown
from conformance.links import UdpLink
from conformance.scene import Scene
from conformance.stun import (
    HEADER,
    Code,
    Kind,
    Method,
    append,
    build,
    plain,
)

UNKNOWN = 0x7F00  # comprehension-required, and nobody's
OPTIONAL = 0xFF00  # comprehension-optional, and nobody's


def binding(*attributes: tuple[int, bytes]) -> bytes:
    """A Binding request."""
    return build(Method.BINDING, Kind.REQUEST, os.urandom(12), attributes)


def with_length(message: bytes, length: int) -> bytes:
    """The message with another length in its header."""
    return message[:2] + struct.pack("!H", length) + message[4:]


# What is no STUN message is dropped: nothing comes back for it, and the server goes on.

NOISE = {
    "first_bits_10": ("the first two bits are 10", b"\x80" + binding()[1:], 1),
    "first_bits_11": ("the first two bits are 11", b"\xc0" + binding()[1:], 1),
    "one_byte": ("it has one byte", b"\0", 2),
    "cut_header": ("its header is cut short", binding()[:19], 2),
    "length_odd": ("its length is no multiple of four", with_length(binding() + b"\0\0\0", 3), 2),
    "length_beyond_end": ("its length says more than the datagram has", with_length(binding(), 8), 2),
    "length_short_of_end": ("its length says less than the datagram has", binding() + bytes(8), 2),
    "attribute_beyond_end": (
        "an attribute runs past its end",
        with_length(binding() + struct.pack("!HHI", Code.SOFTWARE, 400, 0), 8),
        4,
    ),
    "attribute_header_only": (
        "an attribute claims a value that is not there",
        with_length(binding() + struct.pack("!HH", Code.SOFTWARE, 1), 4),
        4,
    ),
    "unknown_method": ("its method is unknown", build(0x0FF, Kind.REQUEST, os.urandom(12)), 5),
    "binding_success": ("it is a response that nobody waits for", build(1, Kind.SUCCESS, os.urandom(12)), 5),
    "binding_error": (
        "it is an error response that nobody waits for",
        build(1, Kind.ERROR, os.urandom(12), [(Code.ERROR_CODE, b"\0\0\4\0")]),
        5,
    ),
    "data_request": ("its class is not allowed for its method", build(Method.DATA, Kind.REQUEST, os.urandom(12)), 5),
    "http": ("it is HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 2),
}


def dropped(data: bytes, scene: Scene) -> None:
    """Nothing comes back, and the next Binding is answered."""
    client = scene.client()
    client.link.send(data)
    client.quiet()


for _name, (_what, _data, _line) in NOISE.items():
    _clause = Clause(8489, "6.3", MUST, f"a datagram is dropped without an answer when {_what}", _line)
    add(f"drops_{_name}", _clause, partial(dropped, _data))


@check(8656, "12", MUST, "a first byte in a reserved range is dropped", line=1)
def drops_reserved_first_bytes(scene: Scene) -> None:
    """Table 3: everything but STUN, ZRTP, DTLS, channels and RTP is "Reserved; MUST be dropped"."""
    client = scene.client()
    for first in (4, 15, 80, 127, 192, 255):
        client.link.send(bytes([first]) + os.urandom(31))
    client.quiet()


@check(8489, "5", MAY, "a stream that begins with what is neither STUN nor ChannelData is not answered", line=1)
def closes_stream_of_noise(scene: Scene) -> None:
    """No clause says what becomes of a stream without framing; an answer to it would be wrong, closing it is usual."""
    client = scene.client("tcp")
    client.link.send(b"\x80" * 64)
    try:
        frame = client.link.receive(0.5)
    except (EOFError, TimeoutError):
        return
    expect(False, f"noise was answered: {frame[:24].hex()}")


@check(8489, "6.3", MUST, "an Allocate without the magic cookie is dropped", line=3)
def drops_allocate_without_cookie(scene: Scene) -> None:
    """RFC 8656, section 5: "TURN does not use the backwards-compatibility mechanism described in [RFC8489]"."""
    client = scene.client()
    message = client.unsigned(Method.ALLOCATE, [UDP])
    client.link.send(message[:4] + b"\1\2\3\4" + message[8:])
    client.quiet()


@check(8489, "12", SHOULD, "a classic Binding (RFC 3489) is answered, or its datagram is dropped as no STUN", line=3)
def answers_classic_binding(scene: Scene) -> None:
    """Section 12: "Stand-alone STUN servers SHOULD support backwards compatibility with clients using [RFC3489]"."""
    classic(scene)


@check(3489, "8.1", MUST, "the answer to a classic Binding echoes 16 bytes of id and has MAPPED-ADDRESS", line=3)
def classic_binding_has_mapped_address(scene: Scene) -> None:
    """Section 8.1: the response contains the request's transaction id, and MAPPED-ADDRESS holds its source."""
    link, raw = classic(scene)
    transaction, length = raw[4:20], struct.unpack_from("!H", raw, 2)[0]
    expect(transaction == b"\1\2\3\4" + bytes(12), "the 16-byte transaction id is not echoed")
    expect(length == len(raw) - HEADER, "the length is wrong")
    found = dict(_classic_attributes(raw))
    expect(Code.MAPPED_ADDRESS in found, "no MAPPED-ADDRESS")
    expect(plain(found[Code.MAPPED_ADDRESS]) == link, "MAPPED-ADDRESS is not the client's address")


def classic(scene: Scene) -> tuple[tuple[str, int], bytes]:
    """The client's address, and the answer to a Binding without cookie."""
    link = UdpLink(scene.target.address)
    scene.keep(link.socket)
    link.send(struct.pack("!HH", 1, 0) + b"\1\2\3\4" + bytes(12))
    try:
        return link.address, link.receive(0.5)
    except TimeoutError:
        raise NotOfferedError("a Binding without the magic cookie is dropped") from None


def _classic_attributes(raw: bytes) -> list[tuple[int, bytes]]:
    found, at = [], HEADER
    while at + 4 <= len(raw):
        code, size = struct.unpack_from("!HH", raw, at)
        found.append((code, raw[at + 4 : at + 4 + size]))
        at += 4 + size + -size % 4
    return found


# Indications


@check(8489, "6.3.2", MUST, "no response is made for an indication", line=5)
def indications_are_not_answered(scene: Scene) -> None:
    """Section 6.3.2: "No response is generated for an indication"."""
    client = scene.client()
    for method in (Method.BINDING, Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION):
        client.link.send(client.unsigned(method, kind=Kind.INDICATION))
    client.quiet()


@check(8489, "6.3.2", MUST, "an indication with an unknown comprehension-required attribute is discarded", line=6)
def indication_with_unknown_attribute_is_dropped(scene: Scene) -> None:
    """Section 6.3.2: "the indication is discarded and processing ceases"."""
    client, far = scene.allocated(), scene.peer()
    client.permit(far.address)
    client.send_data(far.address, b"unknown", (UNKNOWN, b"1234"))
    client.send_data(far.address, b"known", (OPTIONAL, b"1234"))
    far.receive(b"known")


# Unknown attributes of requests


@check(8489, "6.3.1", MUST, "a request with unknown comprehension-required attributes gets 420", line=6)
def unknown_attribute_is_420(scene: Scene) -> None:
    """Section 6.3.1: "the server replies with an error response with an error code of 420"."""
    expect_error(scene.client().ask(Method.BINDING, [(UNKNOWN, b"1234")]), 420)


@check(8489, "6.3.1", MUST, "UNKNOWN-ATTRIBUTES lists every unknown comprehension-required attribute", line=6)
def unknown_attributes_are_all_listed(scene: Scene) -> None:
    """Section 6.3.1: it "lists the unknown comprehension-required attributes", and no optional ones."""
    wanted = [UNKNOWN, UNKNOWN + 1, 0x7FFF]
    values: list[Value] = [(UNKNOWN, b""), (OPTIONAL, b"x"), (UNKNOWN + 1, b"123"), (0x7FFF, b"12345678")]
    listed = expect_error(scene.client().ask(Method.BINDING, values), 420).unknown()
    expect(sorted(set(listed)) == wanted, f"listed are {[f'{code:#06x}' for code in listed]}")


@check(8489, "6.3", MUST, "unknown attributes are looked at after authentication", line=6)
def unknown_attribute_waits_for_authentication(scene: Scene) -> None:
    """Section 6.3: "Once the authentication checks are done, the STUN agent checks for unknown attributes"."""
    client = scene.client()
    expect_error(client.ask(Method.ALLOCATE, [UDP, (UNKNOWN, b"1234")]), 401)
    answer = expect_error(client.request(Method.ALLOCATE, [UDP, (UNKNOWN, b"1234")]), 420)
    expect(answer.unknown() == [UNKNOWN], f"listed are {answer.unknown()}")


@check(8489, "6.3", MUST, "unknown comprehension-optional attributes are ignored", line=6)
def unknown_optional_attribute_is_ignored(scene: Scene) -> None:
    """Section 6.3: "Unknown comprehension-optional attributes MUST be ignored by the agent"."""
    answer = scene.client().ask(Method.BINDING, [(OPTIONAL, b"12345")])
    expect(answer.is_success, shown(answer))


@check(8489, "6.3", SHOULD, "known attributes that are not expected are ignored", line=6)
def known_unexpected_attribute_is_ignored(scene: Scene) -> None:
    """Section 6.3: "Known-but-unexpected attributes SHOULD be ignored by the agent"."""
    answer = scene.allocated().request(Method.REFRESH, [(Code.DATA, b"not expected"), lifetime(600)])
    expect(answer.is_success, shown(answer))


@check(8489, "14", MUST, "padding bytes are ignored, whatever they hold", line=4)
def padding_of_requests_is_ignored(scene: Scene) -> None:
    """Section 14: the padding bits "MUST be ignored by the receiver"."""
    client = scene.client()
    answer = client.exchange(append(client.unsigned(Method.BINDING), OPTIONAL, b"12345", b"\xff\xff\xff"))
    expect(answer.is_success, shown(answer))


WRONG_SIZES = {
    "lifetime": (Method.ALLOCATE, (Code.LIFETIME, b"123")),
    "requested_transport": (Method.ALLOCATE, (Code.REQUESTED_TRANSPORT, b"\x11")),
    "requested_address_family": (Method.ALLOCATE, (Code.REQUESTED_ADDRESS_FAMILY, b"\1")),
    "even_port": (Method.ALLOCATE, (Code.EVEN_PORT, b"")),
    "reservation_token": (Method.ALLOCATE, (Code.RESERVATION_TOKEN, b"1234")),
    "xor_peer_address": (Method.CREATE_PERMISSION, (Code.XOR_PEER_ADDRESS, b"\0\1\0\0\0")),
    "channel_number": (Method.CHANNEL_BIND, (Code.CHANNEL_NUMBER, b"\x40\0")),
}


def wrong_size(method: Method, value: tuple[int, bytes], scene: Scene) -> None:
    """The request is refused, or dropped as no message; it is never obeyed, and nothing breaks."""
    client = scene.client() if method is Method.ALLOCATE else scene.allocated()
    if not client.nonce:
        client.challenge()
    extra: list[Value] = [UDP] if method is Method.ALLOCATE and value[0] != Code.REQUESTED_TRANSPORT else []
    if method is Method.CHANNEL_BIND:
        extra = [peer((scene.peer_host, 9))]
    answer = client.attempt(client.signed(method, [*extra, value]))
    expect(answer is None or answer.error, "it was obeyed")
    client.quiet()


for _name, (_method, _value) in WRONG_SIZES.items():
    _clause = Clause(8489, "14", MUST, f"{_name.upper().replace('_', '-')} of a wrong size is not obeyed", 4)
    add(f"wrong_size_of_{_name}", _clause, partial(wrong_size, _method, _value))


# Order and repetition of attributes


@check(8489, "14", MAY, "of an attribute that comes twice the first one counts", line=7)
def first_of_duplicates_counts(scene: Scene) -> None:
    """Section 14: "only the first occurrence needs to be processed by a receiver"."""
    answer = scene.client().request(Method.ALLOCATE, [UDP, lifetime(700), lifetime(900)])
    expect(answer.is_success, shown(answer))
    if answer.number(Code.LIFETIME) == 900:
        raise NotOfferedError("the last one counts")
    expect(answer.number(Code.LIFETIME) == 700, f"granted are {answer.number(Code.LIFETIME)} s instead of 700")


@check(8656, "10.2", MUST, "each XOR-PEER-ADDRESS of a CreatePermission counts", line=7)
def every_peer_of_a_permission_counts(scene: Scene) -> None:
    """Section 10.2: a permission is installed "for the IP address contained in each XOR-PEER-ADDRESS attribute"."""
    client, first, second = scene.allocated(), scene.peer(), scene.peer(scene.elsewhere())
    client.permit(first.address, second.address)
    for far in (first, second):
        client.send_data(far.address, b"to each")
        far.receive(b"to each")


@check(5389, "15.4", MUST, "attributes behind MESSAGE-INTEGRITY are ignored, FINGERPRINT excepted", line=8)
def attributes_behind_integrity_are_ignored(scene: Scene) -> None:
    """RFC 5389, section 15.4: "agents MUST ignore all other attributes that follow MESSAGE-INTEGRITY"."""
    client = scene.allocated()
    message = client.signed(Method.REFRESH, [lifetime(700)])
    answer = client.exchange(append(append(message, Code.LIFETIME, bytes(4)), UNKNOWN, b"1234"))
    expect(answer.is_success, shown(answer))
    expect(client.refresh().is_success, "the allocation was deleted by what stood behind the integrity")
