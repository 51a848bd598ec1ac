"""ICMP errors that relayed datagrams meet, on real sockets (RFC 8656, 11.5 and 18.13)."""

import socket
import struct
from collections.abc import Iterator

import pytest

from client import DATA, DATA_VALUE, ICMP, INDICATION, XOR_PEER_ADDRESS, Answer, Client, Endpoint, parse
from running import EVERYWHERE, Running, configuration, running

SOL_UDP, UDP_SEGMENT = 17, 103  # Python's socket module does not name them
UNREACHABLE = {4: bytes([0, 0, 3, 3, 0, 0, 0, 0]), 6: bytes([0, 0, 1, 4, 0, 0, 0, 0])}  # of ports, without error data


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process."""
    with running(configuration(*EVERYWHERE, workers=request.param)) as made:
        yield made


def closed_port(version: int = 4) -> Endpoint:
    """Where nobody listens any more."""
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1" if version == 4 else "::1", 0))
        name: Endpoint = gone.getsockname()[:2]
        return name


def told(client: Client) -> Answer:
    """The next frame, which is a Data indication with ICMP and without DATA."""
    indication = parse(client.frame(10))
    assert (indication.method, indication.kind, indication.get(DATA_VALUE)) == (DATA, INDICATION, None)
    assert [code for code, _ in indication.attributes] == [XOR_PEER_ADDRESS, ICMP]
    return indication


@pytest.mark.parametrize("index", range(4), ids=["udp", "tcp", "udp6", "tcp6"])
def test_a_port_that_is_closed(server: Running, index: int) -> None:
    """RFC 8656, 11.5: the client is told which peer, type and code; in an indication also on a channel (12.5)."""
    _, bound = server.server.listeners[index]
    with server.client(index) as client:
        closed = closed_port(bound.version)
        client.permit(closed)
        client.send_data(closed, b"anybody?")
        first = told(client)
        assert (first.address(XOR_PEER_ADDRESS), first.get(ICMP)) == (closed, UNREACHABLE[bound.version])
        client.bind(0x4000, closed)
        client.send_channel(0x4000, b"anybody?")
        second = told(client)
        assert (second.address(XOR_PEER_ADDRESS), second.get(ICMP)) == (closed, UNREACHABLE[bound.version])
        assert first.transaction != second.transaction


def test_errors_take_nothing_from_others(server: Running, peer: socket.socket) -> None:
    """A datagram that meets an error makes no other one fail: what goes to a peer that listens arrives, in order."""
    with server.client() as client:
        closed, at = closed_port(), peer.getsockname()
        client.permit(closed, at)
        client.bind(0x4000, closed)
        client.bind(0x4001, at)
        errors = server.drops()["refused"]
        for number in range(2000):
            data = number.to_bytes(2, "big") * (1 + number % 50)
            client.send_channel(0x4000, data)
            client.send_channel(0x4001, data)
            assert peer.recvfrom(2000) == (data, client.relay)
            peer.sendto(data, client.relay)
            while (frame := client.frame(10))[:2] != b"\x40\x01":
                assert parse(frame).get(ICMP) == UNREACHABLE[4]
            assert frame[4:] == data
        assert server.drops()["refused"] == errors


def test_bursts_survive_an_error(peer: socket.socket) -> None:
    """A burst that the kernel hands over and takes as one (GRO, GSO) loses nothing by an error in its middle.

    The server is new: it has told nobody of errors yet, so that it tells of each of these.
    """
    with running(configuration(*EVERYWHERE)) as server, server.client() as client:
        closed, at = closed_port(), peer.getsockname()
        client.permit(closed, at)
        client.bind(0x4000, closed)
        client.bind(0x4001, at)
        before = server.drops()["refused"]
        for burst in range(50):
            frames = [frame(0x4001 if place % 16 else 0x4000, burst, place) for place in range(48)]
            client.socket.sendmsg([b"".join(frames)], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", len(frames[0])))])
            wanted = [one[4:] for one in frames if one[1] == 1]
            assert [peer.recv(2000) for _ in wanted] == wanted
            for _ in range(3):
                assert told(client).get(ICMP) == UNREACHABLE[4]
        assert server.drops()["refused"] == before


def frame(number: int, burst: int, place: int) -> bytes:
    """ChannelData of 1,000 bytes that says which it is."""
    return struct.pack("!HHHH", number, 1000, burst, place) + bytes(996)
