"""Framing, attributes, FINGERPRINT and transports of STUN (RFC 8489, sections 5 to 8, 12 and 14)."""

import os
import socket
import struct
from functools import partial

from conformance.clauses import MAY, MUST, SHOULD, Clause, NotOfferedError, SkippedError, add, check, expect
from conformance.client import GRACE, UDP, Client, Value, expect_error, lifetime, number, peer, readable, shown
from conformance.links import PATIENCE, StreamLink, UdpLink
from conformance.scene import Scene, channel_data
from conformance.stun import (
    HEADER,
    Code,
    Kind,
    Method,
    append,
    build,
    crc,
    fingerprint,
    plain,
    sign,
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
    "lifetime": (Method.ALLOCATE, (Code.LIFETIME, b"123"), 400),
    "requested_transport": (Method.ALLOCATE, (Code.REQUESTED_TRANSPORT, b"\x11"), 400),
    "requested_address_family": (Method.ALLOCATE, (Code.REQUESTED_ADDRESS_FAMILY, b"\1"), 400),
    "even_port": (Method.ALLOCATE, (Code.EVEN_PORT, b""), 400),
    "reservation_token": (Method.ALLOCATE, (Code.RESERVATION_TOKEN, b"1234"), 400),
    "xor_peer_address": (Method.CREATE_PERMISSION, (Code.XOR_PEER_ADDRESS, b"\0\1\0\0\0"), 400),
    "channel_number": (Method.CHANNEL_BIND, (Code.CHANNEL_NUMBER, b"\x40\0"), 400),
}


def wrong_size(method: Method, value: tuple[int, bytes], code: int, scene: Scene) -> None:
    """The request is refused, or dropped as no message; it is never obeyed, and nothing breaks."""
    client = scene.client() if method is Method.ALLOCATE else scene.allocated()
    if not client.nonce:
        client.challenge()
    extra: list[Value] = (
        [] if value[0] in (Code.REQUESTED_TRANSPORT, Code.XOR_PEER_ADDRESS, Code.CHANNEL_NUMBER) else [UDP]
    )
    if value[0] == Code.CHANNEL_NUMBER:
        extra = [peer((scene.peer_host, 9))]
    answer = client.attempt(client.signed(method, [*extra, value]))
    expect(answer is None or answer.error == code, f"{shown(answer)} instead of {code} or silence")
    client.quiet()


for _name, (_method, _value, _code) in WRONG_SIZES.items():
    _clause = Clause(8489, "14", MUST, f"{_name.upper().replace('_', '-')} of a wrong size is not obeyed", 4)
    add(f"wrong_size_of_{_name}", _clause, partial(wrong_size, _method, _value, _code))


# Order and repetition of attributes


@check(8489, "14", MAY, "of an attribute that comes twice the first one counts", line=7)
def first_of_duplicates_counts(scene: Scene) -> None:
    """Section 14: "only the first occurrence needs to be processed by a receiver"."""
    answer = scene.client().request(Method.ALLOCATE, [UDP, lifetime(700), lifetime(900)])
    expect(answer.is_success, shown(answer))
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


# FINGERPRINT


@check(8489, "6.3", MUST, "a message with a wrong FINGERPRINT is dropped", line=9)
def wrong_fingerprint_is_dropped(scene: Scene) -> None:
    """Section 6.3: the agent checks that FINGERPRINT "contains the correct value", else the message is discarded."""
    dropped(append(binding(), Code.FINGERPRINT, b"\1\2\3\4"), scene)


@check(8489, "14.7", MUST, "FINGERPRINT anywhere but at the end is not taken for one", line=9)
def fingerprint_must_be_last(scene: Scene) -> None:
    """Section 14.7: "the FINGERPRINT attribute MUST be the last attribute"."""
    message = binding()
    dropped(append(append(message, Code.FINGERPRINT, crc(message)), Code.SOFTWARE, b"late"), scene)


@check(8489, "7", MUST, "a request with FINGERPRINT is answered with FINGERPRINT, rightly computed", line=9)
def fingerprint_is_answered(scene: Scene) -> None:
    """Section 7: "an agent includes the FINGERPRINT attribute in messages it sends to another agent"."""
    answer = scene.client().exchange(fingerprint(binding()))
    expect(answer.has(Code.FINGERPRINT), "no FINGERPRINT in the answer")
    expect(not answer.faults, "; ".join(answer.faults))


@check(8489, "14.7", MUST, "FINGERPRINT of a signed response stands behind the integrity and covers it", line=9)
def fingerprint_covers_integrity(scene: Scene) -> None:
    """Section 14.7: FINGERPRINT "will appear after MESSAGE-INTEGRITY", and is computed last."""
    client = scene.allocated()
    answer = client.exchange(fingerprint(client.signed(Method.REFRESH)))
    expect(answer.is_success, shown(answer))
    expect(answer.has(Code.FINGERPRINT), "no FINGERPRINT in the answer")
    expect(not answer.faults, "; ".join(answer.faults))
    expect(answer.signed(client.key), "the integrity does not hold")


@check(8489, "12", MUST, "FINGERPRINT is not required", line=9)
def fingerprint_is_not_required(scene: Scene) -> None:
    """Section 12: the server "MAY utilize the FINGERPRINT mechanism but MUST NOT require it"."""
    expect(scene.client().exchange(binding()).is_success, "a Binding without FINGERPRINT failed")


# Binding and its answer


@check(8489, "12", MUST, "a Binding over UDP is answered with the client's address in XOR-MAPPED-ADDRESS", line=10)
def binding_over_udp(scene: Scene) -> None:
    """Section 6.3.1.1: XOR-MAPPED-ADDRESS holds "the source IP address and source UDP port of the request"."""
    mapped(scene.client())


@check(8489, "12", MUST, "the same over TCP", line=10)
def binding_over_tcp(scene: Scene) -> None:
    """Section 12: "It MUST support UDP and TCP"."""
    mapped(scene.client("tcp"))


@check(8489, "14.2", MUST, "an IPv6 address is XOR'ed with the cookie and the transaction id", line=10)
def binding_over_ipv6(scene: Scene) -> None:
    """Section 14.2: X-Address is the address XOR'ed "with the concatenation of the magic cookie and the" id."""
    mapped(scene.client(server=scene.address6()))


def mapped(client: Client) -> None:
    """The answer holds the client's address."""
    answer = client.ask(Method.BINDING)
    expect(answer.is_success, shown(answer))
    seen = answer.address(Code.XOR_MAPPED_ADDRESS)
    expect(seen == client.link.address, f"{seen} instead of {client.link.address}")


@check(8489, "6.3.1.1", MUST, "method and transaction id of the answer are those of the request", line=5)
def answer_belongs_to_request(scene: Scene) -> None:
    """Section 5: "responses MUST carry the same transaction ID as their corresponding request"."""
    answer = scene.client().exchange(message := binding())
    expect(answer.transaction == message[8:20], "another transaction id")
    expect(answer.method == Method.BINDING, f"method {answer.method:#05x}")


@check(8489, "6.3.1.1", SHOULD, "a response has SOFTWARE")
def binding_has_software(scene: Scene) -> None:
    """Section 6.3.1.1: "the server SHOULD add a SOFTWARE attribute to the message"."""
    expect(scene.client().exchange(binding()).has(Code.SOFTWARE), "no SOFTWARE in a Binding success")


@check(8489, "6.3.1.2", MUST, "a response comes from the address and port that the request was sent to", line=14)
def answer_comes_from_where_it_was_sent(scene: Scene) -> None:
    """Section 6.3.1.2: its source is "equal to the destination IP address and port of the received request"."""
    if not scene.target.is_local:
        raise SkippedError("the server has one known address")
    host, port = scene.target.address
    answered = 0
    for one in (host, "127.0.0.2", "127.0.0.3"):
        probe = scene.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        probe.settimeout(PATIENCE if one == host else GRACE)
        probe.sendto(binding(), (one, port))
        try:
            _, source = probe.recvfrom(2048)
        except TimeoutError:
            continue
        answered += 1
        expect(source == (one, port), f"asked {one}:{port}, answered from {source[0]}:{source[1]}")
    expect(answered, "no answer")


@check(8489, "14", MUST, "padding bytes of responses are zero, and texts are UTF-8 of under 128 characters", line=11)
def responses_are_well_formed(scene: Scene) -> None:
    """Sections 14, 14.8 to 14.10 and 14.14, over answers of many kinds."""
    client = scene.allocated()
    stranger = scene.client()
    answers = [
        stranger.ask(Method.BINDING),
        stranger.ask(Method.BINDING, [(UNKNOWN, b""), (UNKNOWN + 1, b""), (UNKNOWN + 2, b"")]),
        stranger.challenge(),
        client.request(Method.ALLOCATE, [UDP]),
        client.request(Method.CREATE_PERMISSION),
        client.request(Method.CHANNEL_BIND, [number(0x4000)]),
        client.request(Method.REFRESH, [lifetime(0)]),
        client.request(Method.REFRESH),
    ]
    faults = [fault for answer in answers for fault in answer.faults]
    expect(not faults, "; ".join(faults))


@check(8489, "14.8", MUST, "the length of ERROR-CODE counts its reason without padding", line=11)
def error_reason_is_not_padded(scene: Scene) -> None:
    """Section 14: Length is that "of the Value part of the attribute, prior to padding"; a NUL in it is padding."""
    client = scene.allocated()
    for answer in (scene.client().challenge(), client.request(Method.ALLOCATE, [UDP])):
        reason = (answer.get(Code.ERROR_CODE) or b"")[4:]
        expect(not reason.endswith(b"\0"), f"the reason ends in NUL: {reason!r}")


@check(8489, "14.3", MUST, "a USERNAME of up to 763 bytes can be parsed", line=15)
def long_username_is_parsed(scene: Scene) -> None:
    """Section 14.3: an implementation "MUST be able to parse a UTF-8-encoded sequence of 763 or fewer octets"."""
    for size in (508, 509, 763):
        client = scene.client()
        client.challenge()
        values = [UDP, (Code.USERNAME, b"u" * size), *client.known()[1:]]
        answer = client.exchange(sign(client.unsigned(Method.ALLOCATE, values), client.key))
        expect(answer.error == 401, f"{shown(answer)} for a name of {size} bytes, instead of 401")


# Streams


@check(8489, "6.2.2", MUST, "several requests in one segment, and one in many, are all answered over TCP", line=12)
def stream_is_framed(scene: Scene) -> None:
    """Section 6.2.2: "The client MAY send multiple transactions over a single TCP (or TLS-over-TCP) connection"."""
    client = scene.client("tcp")
    first, second, third = binding(), binding((Code.SOFTWARE, b"12345")), binding()
    client.link.send(first + second)
    for byte in third:
        client.link.send(bytes([byte]))
    ids = {readable(client.link.receive(PATIENCE)).transaction for _ in range(3)}
    expect(ids == {one[8:20] for one in (first, second, third)}, "not each of the requests was answered")


@check(8656, "12.5", MUST, "STUN and padded ChannelData follow one another on a stream, cut anywhere", line=12)
def stream_mixes_stun_and_channel_data(scene: Scene) -> None:
    """Section 12.5: over TCP a ChannelData message is "(4 + Length) rounded up to the nearest multiple of 4"."""
    client, far = scene.allocated(transport="tcp"), scene.peer()
    client.bind(0x4000, far.address)
    request = client.unsigned(Method.BINDING)
    stream = channel_data(0x4000, b"12345") + bytes(3) + request + channel_data(0x4000, b"6")
    for byte in stream + bytes(3):
        client.link.send(bytes([byte]))
    far.receive(b"12345")
    far.receive(b"6")
    expect(readable(client.link.receive(PATIENCE)).transaction == request[8:20], "the request between was lost")


@check(8489, "6.2.2", SHOULD, "the server leaves it to the client to close a connection", line=12)
def connection_stays_open(scene: Scene) -> None:
    """Section 6.2.2: "the server SHOULD keep the connection open and let the client close it"."""
    client = scene.client("tcp")
    for _ in range(2):
        expect(client.ask(Method.BINDING).is_success, "no success")
        expect(client.arrives() is None, "data came")


@check(8489, "6.2.2", MAY, "a message that stalls half way times the connection out", line=12, lasts=59)
def stalled_message_times_out(scene: Scene) -> None:
    """Section 6.2.2: open "unless the server has determined that the connection has timed out"."""
    client = scene.client("tcp")
    link = client.link
    assert isinstance(link, StreamLink)
    link.send(binding()[:10])
    try:
        link.read(58)
    except EOFError:
        return
    except TimeoutError:
        raise NotOfferedError("the connection is still open after 58 s") from None


@check(8489, "6.2.2", MUST, "a response over TCP comes on the connection of its request")
def answer_stays_on_its_connection(scene: Scene) -> None:
    """Section 6.3.1.2: "the response is sent back on the same TCP connection as the request was received on"."""
    one, two = scene.client("tcp"), scene.client("tcp")
    first, second = binding(), binding()
    one.link.send(first)
    two.link.send(second)
    expect(one.link.receive(PATIENCE)[8:20] == first[8:20], "another's answer")
    expect(two.link.receive(PATIENCE)[8:20] == second[8:20], "another's answer")
