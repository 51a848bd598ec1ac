"""Two clients that meet inside, on one worker and on two, over every pair of transports, at every length."""

import socket
from collections.abc import Iterator

import pytest

from client import Client
from running import EVERYWHERE, Running, configuration, running

LENGTHS = (0, 1, 2, 3, 4, 5, 1200, 1201, 1202, 1203, 60000, 60001)
TOO_LONG = 65480  # fits ChannelData over UDP, and no Data indication over UDP
WORKER = 56  # where a flow's number tells its worker
UDP4, TCP4, UDP6, TCP6 = range(4)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server in this process, with two workers."""
    with running(configuration(*EVERYWHERE, workers=2)) as made:
        yield made


def on_worker(server: Running, index: int, worker: int) -> Client:
    """A client whose five-tuple the kernel gave to that worker: 1 of 2 tries, 100 at most."""
    for _ in range(100):
        client = server.client(index)
        if server.flow(client) >> WORKER == worker:
            return client
        client.refresh(0)
        client.socket.close()
    raise AssertionError(f"the kernel gives worker {worker} nothing")


@pytest.fixture(params=[(0, 0), (0, 1), (1, 0)], ids=["same-worker", "two-workers", "two-workers-reversed"])
def workers(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Whose the two clients are."""
    pair: tuple[int, int] = request.param
    return pair


@pytest.fixture(
    params=[
        (UDP4, UDP4),
        (UDP4, TCP4),
        (TCP4, UDP4),
        (TCP4, TCP4),
        (UDP6, UDP6),
        (UDP6, TCP6),
        (TCP6, UDP6),
        (TCP6, TCP6),
    ],
    ids=["udp-udp", "udp-tcp", "tcp-udp", "tcp-tcp", "udp6-udp6", "udp6-tcp6", "tcp6-udp6", "tcp6-tcp6"],
)
def pair(server: Running, workers: tuple[int, int], request: pytest.FixtureRequest) -> Iterator[tuple[Client, Client]]:
    """Two clients with relays."""
    first, second = (on_worker(server, index, worker) for index, worker in zip(request.param, workers, strict=True))
    with first, second:
        yield first, second


def payload(length: int) -> bytes:
    """Bytes that show where they were cut or moved."""
    return bytes(number * 7 % 251 for number in range(length))


def test_channels(pair: tuple[Client, Client]) -> None:
    """ChannelData to ChannelData: what is sent is what arrives, at every length, both ways."""
    for client, other in (pair, pair[::-1]):
        client.bind(0x4000, other.relay)
    for client, other in (pair, pair[::-1]):
        for length in LENGTHS:
            client.send_channel(0x4000, payload(length))
            assert other.receive() == (0x4000, payload(length))


def test_indications(pair: tuple[Client, Client]) -> None:
    """Send to Data: the same, and the source is the sender's relayed transport address as clients know it."""
    for client, other in (pair, pair[::-1]):
        client.permit(other.relay)
    for client, other in (pair, pair[::-1]):
        for length in LENGTHS:
            client.send_data(other.relay, payload(length))
            assert other.receive() == (client.relay, payload(length))


def test_from_channel_to_indication(pair: tuple[Client, Client]) -> None:
    """A channel at one end only: ChannelData comes out as a Data indication, and Send as ChannelData."""
    client, other = pair
    client.bind(0x4000, other.relay)
    other.permit(client.relay)
    for length in LENGTHS:
        client.send_channel(0x4000, payload(length))
        assert other.receive() == (client.relay, payload(length))
        other.send_data(client.relay, payload(length))
        assert client.receive() == (0x4000, payload(length))


def test_both_permissions_are_needed(pair: tuple[Client, Client]) -> None:
    """Only what was sent after the other's permission arrives."""
    client, other = pair
    client.bind(0x4000, other.relay)
    client.send_channel(0x4000, b"too early")
    assert client.binding() == client.binding() == client.address
    assert other.binding() == other.binding() == other.address
    other.permit(client.relay)
    client.send_channel(0x4000, b"in time")
    assert other.receive() == (client.relay, b"in time")
    assert not other.arrived


@pytest.mark.parametrize("index", [UDP4, TCP4], ids=["udp", "tcp"])
def test_a_peer_outside_at_every_length(server: Running, index: int) -> None:
    """Lengths that a relay's socket carries to a peer and back, whole; a datagram without data, too."""
    with server.client(index) as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(10)
        client.permit(peer.getsockname())
        for length in LENGTHS:
            client.send_data(peer.getsockname(), payload(length))
            assert peer.recv(65536) == payload(length)
            peer.sendto(payload(length), client.relay)
            assert client.receive() == (peer.getsockname(), payload(length))
        client.bind(0x4000, peer.getsockname())
        for length in (*LENGTHS, TOO_LONG):
            client.send_channel(0x4000, payload(length))
            assert peer.recv(65536) == payload(length)
            peer.sendto(payload(length), client.relay)
            assert client.receive() == (0x4000, payload(length))


def test_what_does_not_fit_is_dropped_and_counted(server: Running) -> None:
    """Data too long for an indication over UDP is not cut: nothing arrives, and the next packet does."""
    with server.client() as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        client.permit(peer.getsockname())
        before = server.drops()["too_large"]
        peer.sendto(payload(TOO_LONG), client.relay)
        peer.sendto(b"next", client.relay)
        assert client.receive() == (peer.getsockname(), b"next")
        assert server.drops()["too_large"] == before + 1
