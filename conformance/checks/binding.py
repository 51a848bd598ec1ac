"""Binding over UDP and TCP, FINGERPRINT, and the form of responses (RFC 8489, sections 6, 7, 12 and 14)."""

import socket

from conformance.checks.framing import UNKNOWN, binding, dropped
from conformance.clauses import MAY, MUST, SHOULD, NotOfferedError, SkippedError, check, expect
from conformance.client import GRACE, UDP, Client, lifetime, number, readable, shown
from conformance.links import PATIENCE, StreamLink
from conformance.scene import Scene, channel_data
from conformance.stun import (
    Code,
    Method,
    append,
    crc,
    fingerprint,
    sign,
)

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
