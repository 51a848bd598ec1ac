"""NAT behaviour discovery (RFC 5780) on real sockets: which address an answer leaves from, and which it goes to."""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from client import BINDING, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS, Answer, Attributes, Endpoint, build, parse
from running import DISCOVERY_IPS, Running, configuration, discovering, running

MAPPED_ADDRESS, CHANGE_REQUEST, PADDING, RESPONSE_PORT = 0x01, 0x03, 0x26, 0x27
RESPONSE_ORIGIN, OTHER_ADDRESS = 0x802B, 0x802C
CHANGE_IP, CHANGE_PORT = 4, 2
HEADERS = 28  # of IPv4 and UDP
TCP = 4  # the first interface over TCP


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """One over UDP and TCP."""
    with discovering("udp", "tcp", workers=request.param) as made:
        yield made


@pytest.fixture
def plain() -> Iterator[Running]:
    """A server that was not asked for discovery."""
    with running(configuration(("udp", "127.0.0.1:0"))) as made:
        yield made


@pytest.fixture
def own() -> Iterator[socket.socket]:
    """A socket that takes answers from anywhere."""
    with udp() as made:
        yield made


def udp() -> socket.socket:
    """An open one, on the first address: the kernel would take another for each destination."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((DISCOVERY_IPS[0], 0))
    made.settimeout(10)
    return made


def change(flags: int) -> tuple[int, bytes]:
    """CHANGE-REQUEST (RFC 5780, 7.2)."""
    return CHANGE_REQUEST, struct.pack("!I", flags)


def clear(answer: Answer, code: int) -> Endpoint:
    """An address that is not XOR'ed (RFC 8489, 14.1)."""
    value = answer.get(code)
    assert value is not None, f"no attribute {code:#06x} in {answer}"
    return socket.inet_ntoa(value[4:]), int.from_bytes(value[2:4], "big")


def ask(own: socket.socket, to: Endpoint, attributes: Attributes) -> tuple[Answer, Endpoint]:
    """A Binding request: its answer, and whence that came."""
    request = build(BINDING, os.urandom(12), attributes)
    own.sendto(request, to)
    return receive(own, request)


def receive(own: socket.socket, request: bytes) -> tuple[Answer, Endpoint]:
    """The answer to that request, no larger than the law allows."""
    data, source = own.recvfrom(65536)
    assert data[8:20] == request[8:20]
    assert len(data) + HEADERS <= 3 * (len(request) + HEADERS)
    return parse(data), source


@pytest.mark.parametrize("flags", [None, 0, CHANGE_IP, CHANGE_PORT, CHANGE_IP | CHANGE_PORT])
@pytest.mark.parametrize("place", range(4))
def test_n_6_1_the_answer_leaves_from_the_changed_address(
    server: Running, own: socket.socket, place: int, flags: int | None
) -> None:
    """Table 1 from each of the four listeners, 20 times: the source, RESPONSE-ORIGIN, and OTHER-ADDRESS."""
    ip, port = server.address(place)
    ips, ports = (
        {ip: DISCOVERY_IPS[1 - DISCOVERY_IPS.index(ip)]},
        {port: next(p for _, p in map(server.address, range(4)) if p != port)},
    )
    wanted = ips[ip] if flags and flags & CHANGE_IP else ip, ports[port] if flags and flags & CHANGE_PORT else port
    for _ in range(20):
        answer, source = ask(own, (ip, port), [] if flags is None else [change(flags)])
        assert source == wanted == clear(answer, RESPONSE_ORIGIN)
        assert clear(answer, OTHER_ADDRESS) == (ips[ip], ports[port])
        assert clear(answer, MAPPED_ADDRESS) == own.getsockname() == answer.address(XOR_MAPPED_ADDRESS)


def test_n_6_1_a_session_keeps_its_listener(server: Running) -> None:
    """A client with an allocation that asks for a changed address still gets the next answer from its own listener."""
    with server.client(0) as client, udp() as peer:
        answer = build(BINDING, os.urandom(12), [change(CHANGE_PORT)])
        client.socket.send(answer)  # connected: the answer from the other port is not for this socket
        client.permit(peer.getsockname())
        client.send_data(peer.getsockname(), b"still here")
        assert peer.recvfrom(100) == (b"still here", client.relay)


@pytest.mark.parametrize("code", [CHANGE_REQUEST, PADDING, RESPONSE_PORT])
def test_n_6_1_without_other_addresses_420_and_none_of_the_attributes(
    plain: Running, own: socket.socket, code: int
) -> None:
    """Not asked for: the three attributes are not understood, and a plain answer has neither address."""
    answer, _ = ask(own, plain.address(), [(code, b"\0\0\0\4")])
    assert (answer.error, answer.get(UNKNOWN_ATTRIBUTES)) == (420, struct.pack("!H", code))
    answer, _ = ask(own, plain.address(), [])
    assert {code for code, _ in answer.attributes} == {XOR_MAPPED_ADDRESS}


@pytest.mark.parametrize("code", [CHANGE_REQUEST, PADDING, RESPONSE_PORT])
def test_n_6_1_over_tcp_420(server: Running, code: int) -> None:
    """A stream can leave from nowhere else; what it is told is where the others are."""
    with server.client(TCP, allocate=False) as client:
        answer = client.exchange(build(BINDING, os.urandom(12), [(code, b"\0\0\0\4")]))
        assert (answer.error, answer.get(UNKNOWN_ATTRIBUTES)) == (420, struct.pack("!H", code))
        answer = client.exchange(build(BINDING, os.urandom(12), []))
        assert clear(answer, RESPONSE_ORIGIN) == server.address(TCP)
        assert clear(answer, OTHER_ADDRESS) == server.address(TCP + 3)


@pytest.mark.parametrize("padded", [b"", b"\0\0"], ids=["2-bytes", "4-bytes"])
def test_n_7_5_response_port_is_where_the_answer_goes(server: Running, own: socket.socket, padded: bytes) -> None:
    """To another port of the same address, from the address that was asked or the changed one."""
    with udp() as other:
        for flags, place in ((0, 0), (CHANGE_PORT, 1), (CHANGE_IP | CHANGE_PORT, 3)):
            port = struct.pack("!H", other.getsockname()[1]) + padded
            request = build(BINDING, os.urandom(12), [change(flags), (RESPONSE_PORT, port)])
            own.sendto(request, server.address())
            answer, source = receive(other, request)
            assert source == server.address(place) == clear(answer, RESPONSE_ORIGIN)
            assert answer.address(XOR_MAPPED_ADDRESS) == own.getsockname()


def test_n_7_5_response_port_0_is_400(server: Running, own: socket.socket) -> None:
    """Nothing can be sent there, and the client is told at its own port."""
    answer, source = ask(own, server.address(), [(RESPONSE_PORT, b"\0\0\0\0")])
    assert (answer.error, source) == (400, server.address())


def test_n_6_1_response_port_with_padding_is_400(server: Running, own: socket.socket) -> None:
    """The refusal goes to the port that asked, never to the one that was named (N 10)."""
    with udp() as other:
        named = struct.pack("!H", other.getsockname()[1])
        answer, source = ask(own, server.address(), [(RESPONSE_PORT, named), (PADDING, bytes(1500))])
        assert (answer.error, answer.get(PADDING), source) == (400, None, server.address())
        ask(own, server.address(), [])  # whatever the first one caused has happened by now
        assert list(waiting(other)) == []


@pytest.mark.parametrize("size", [0, 4, 100, 1500, 9000, 60000])
def test_n_7_6_padding_is_answered_by_padding(server: Running, own: socket.socket, size: int) -> None:
    """Of a multiple of four bytes, as long as the MTU, shorter where that were three times the request (N 6.1)."""
    mtu = int(Path("/sys/class/net/lo/mtu").read_text())
    request = build(BINDING, os.urandom(12), [(PADDING, b"x" * size)])
    own.sendto(request, server.address())
    answer, _ = receive(own, request)
    padding = answer.get(PADDING)
    assert padding is not None
    assert len(padding) % 4 == 0
    assert len(padding) <= mtu
    assert len(padding) >= min(mtu, 3 * len(request) - 200, 65000)
    assert not answer.error


def test_the_rate_of_a_source_counts_all_its_ports() -> None:
    """Answers to named ports and padded ones are rationed as all others to that address, by one rate."""
    with discovering("udp", limits={"source_rate": 1}) as limited, udp() as own, udp() as other:
        named = (RESPONSE_PORT, struct.pack("!H", other.getsockname()[1]))
        for number in range(100):
            attribute = (PADDING, bytes(64)) if number % 2 else named
            own.sendto(build(BINDING, os.urandom(12), [attribute]), limited.address(number % 4))
        end = time.monotonic() + 20
        refused = answered = 0
        while refused + answered < 100 and time.monotonic() < end:
            refused = limited.drops()["over_source"]
            answered += sum(1 for one in (own, other) for _ in waiting(one))
        assert refused + answered == 100
        assert refused > answered > 0


def waiting(own: socket.socket) -> Iterator[bytes]:
    """What has come by now."""
    own.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            yield own.recv(65536)
