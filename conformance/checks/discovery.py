"""NAT behaviour discovery (RFC 5780)."""

import os
import socket
import struct
from functools import partial

from conformance.clauses import MAY, MUST, SHOULD, Clause, NotOfferedError, add, check, expect
from conformance.client import expect_error, readable, shown
from conformance.links import PATIENCE, UdpLink
from conformance.scene import Scene
from conformance.stun import Code, Endpoint, Kind, Message, Method, build, plain

CHANGE_IP, CHANGE_PORT = 4, 2


def asked(
    scene: Scene, *values: tuple[int, bytes], server: Endpoint | None = None
) -> tuple[Message, Endpoint, Endpoint]:
    """The answer to a Binding, whence it came, and where it arrived."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with UdpLink(server or scene.target.address).socket as near:
            probe.bind((near.getsockname()[0], 0))
        probe.settimeout(PATIENCE)
        probe.sendto(build(Method.BINDING, Kind.REQUEST, os.urandom(12), values), server or scene.target.address)
        data, source = probe.recvfrom(65536)
        return readable(data), source, probe.getsockname()


def other_address(scene: Scene) -> Endpoint:
    """OTHER-ADDRESS; a server without a second address has none, and must say 420 to CHANGE-REQUEST."""
    value = asked(scene)[0].get(Code.OTHER_ADDRESS)
    if value is None:
        raise NotOfferedError("no OTHER-ADDRESS")
    return plain(value)


def change(flags: int) -> tuple[int, bytes]:
    """CHANGE-REQUEST."""
    return Code.CHANGE_REQUEST, struct.pack("!I", flags)


@check(5780, "6.1", MUST, "OTHER-ADDRESS is another address and port, where the server answers too", line=61)
def other_address_answers(scene: Scene) -> None:
    """Section 7.4: it "MUST NOT be inserted into a Binding Response unless the server has a second IP address"."""
    other = other_address(scene)
    expect(other[0] != scene.target.address[0] and other[1] != scene.target.address[1], f"OTHER-ADDRESS is {other}")
    answer, source, _ = asked(scene, server=other)
    expect(answer.is_success and source == other, f"{shown(answer)} from {source}")


@check(5780, "6.1", MUST, "RESPONSE-ORIGIN is where the response comes from", line=61)
def response_origin_is_true(scene: Scene) -> None:
    """Section 6.1: it contains "the source address and port used to send the Binding Response"."""
    other_address(scene)
    answer, source, _ = asked(scene)
    value = answer.get(Code.RESPONSE_ORIGIN)
    expect(value is not None, "no RESPONSE-ORIGIN")
    expect(plain(value or b"") == source, f"RESPONSE-ORIGIN is {plain(value or b'')} instead of {source}")


@check(5780, "6.1", MUST, "MAPPED-ADDRESS and XOR-MAPPED-ADDRESS both hold the client's address", line=61)
def both_mapped_addresses_are_there(scene: Scene) -> None:
    """Section 6.1: "The server MUST include both MAPPED-ADDRESS and XOR-MAPPED-ADDRESS in its Response"."""
    other_address(scene)
    answer, _, near = asked(scene)
    value = answer.get(Code.MAPPED_ADDRESS)
    expect(value is not None and plain(value) == near, "no MAPPED-ADDRESS, or another address")
    expect(answer.address(Code.XOR_MAPPED_ADDRESS) == near, "XOR-MAPPED-ADDRESS is another address")


CHANGES = {"nothing": 0, "ip": CHANGE_IP, "port": CHANGE_PORT, "both": CHANGE_IP | CHANGE_PORT}


def changed(flags: int, scene: Scene) -> None:
    """Table 1 of section 6.1; RESPONSE-ORIGIN follows the source, OTHER-ADDRESS does not."""
    other, here = other_address(scene), scene.target.address
    wanted = (other[0] if flags & CHANGE_IP else here[0], other[1] if flags & CHANGE_PORT else here[1])
    answer, source, _ = asked(scene, change(flags))
    expect(answer.is_success, shown(answer))
    expect(source == wanted, f"the response came from {source} instead of {wanted}")
    expect(plain(answer.get(Code.RESPONSE_ORIGIN) or b"") == wanted, "RESPONSE-ORIGIN is another address")
    expect(plain(answer.get(Code.OTHER_ADDRESS) or b"") == other, "OTHER-ADDRESS has changed")


for _name, _flags in CHANGES.items():
    _clause = Clause(5780, "6.1", MUST, f"CHANGE-REQUEST that changes {_name}: the response comes from there", 62)
    add(f"change_of_{_name}", _clause, partial(changed, _flags))


@check(5780, "6.1", MUST, "without a second address CHANGE-REQUEST gets 420", line=62)
def change_without_other_address_is_420(scene: Scene) -> None:
    """Section 6.1: "the server MUST generate an error response of type 420", where OTHER-ADDRESS is not given."""
    try:
        other_address(scene)
    except NotOfferedError:
        answer, _, _ = asked(scene, change(CHANGE_IP | CHANGE_PORT))
        expect(expect_error(answer, 420).unknown() == [Code.CHANGE_REQUEST], "it is not listed")


@check(5780, "6.1", MUST, "over TCP CHANGE-REQUEST is refused: no connection can be made back to the client", line=62)
def change_over_tcp_is_refused(scene: Scene) -> None:
    """Section 3: STUN "forbids a server from creating a new TCP [...] connection"; 420 says so best, 400 will do."""
    expect_error(scene.client("tcp").ask(Method.BINDING, [change(CHANGE_IP | CHANGE_PORT)]), 420, 400)


@check(5780, "7.5", MAY, "RESPONSE-PORT sends the response to that port of the client's address", line=63)
def response_port_is_obeyed(scene: Scene) -> None:
    """Section 7.5: the response MUST go "to the source IP address [...] and the port contained in RESPONSE-PORT"."""
    if not scene.target.is_local:
        raise NotOfferedError("tried on loopback, where no NAT changes ports")
    waiting = scene.peer()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((waiting.address[0], 0))
        probe.settimeout(0.5)
        value = struct.pack("!HH", waiting.address[1], 0)
        message = build(Method.BINDING, Kind.REQUEST, os.urandom(12), [(Code.RESPONSE_PORT, value)])
        probe.sendto(message, scene.target.address)
        got = waiting.receives(1)
        if got is not None:
            answer = readable(got.data)
            expect(answer.is_success and answer.transaction == message[8:20], shown(answer))
            return
        refusal = readable(probe.recv(2048))
    expect(Code.RESPONSE_PORT in expect_error(refusal, 420).unknown(), "it is not listed")
    raise NotOfferedError("420 with RESPONSE-PORT in UNKNOWN-ATTRIBUTES")


@check(5780, "6.1", MUST, "RESPONSE-PORT with PADDING gets 400", line=63)
def response_port_with_padding_is_400(scene: Scene) -> None:
    """Section 6.1: "If the Request also contains the RESPONSE-PORT attribute the server MUST return" 400."""
    padding_offered(scene)
    answer, _, near = asked(scene)
    expect(answer.is_success, shown(answer))
    value = struct.pack("!HH", near[1], 0)
    refusal = scene.client().ask(Method.BINDING, [(Code.PADDING, bytes(64)), (Code.RESPONSE_PORT, value)])
    expect_error(refusal, 400)


def padding_offered(scene: Scene) -> bytes:
    """The PADDING of an answer to one with PADDING."""
    answer, _, _ = asked(scene, (Code.PADDING, bytes(1200)))
    if answer.error == 420:
        expect(Code.PADDING in answer.unknown(), "it is not listed")
        raise NotOfferedError("420 with PADDING in UNKNOWN-ATTRIBUTES")
    expect(answer.is_success, shown(answer))
    value = answer.get(Code.PADDING)
    expect(value is not None, "no PADDING in the answer")
    return value or b""


@check(5780, "6.1", MUST, "a Binding with PADDING is answered with PADDING", line=63)
def padding_is_answered(scene: Scene) -> None:
    """Section 6.1: "If the Request contained a PADDING attribute, PADDING MUST be included in the" response."""
    padding_offered(scene)


@check(5780, "6.1", SHOULD, "that PADDING has the length of the outgoing MTU, a multiple of four", line=63)
def padding_is_as_long_as_the_mtu(scene: Scene) -> None:
    """Section 6.1: "SHOULD use a length of PADDING equal to the MTU on the outgoing interface"."""
    size = len(padding_offered(scene))
    expect(size % 4 == 0, f"{size} bytes")
    expect(size >= 1280, f"{size} bytes, less than any interface's MTU")
