"""What sessions exchange with peers is counted to the byte: payloads that were let in, and payloads that left."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TypeAlias

import pytest

from client import Client
from relaying import Control, listening, read
from running import EVERYWHERE, Running, configuration, running

WORKER = 56  # where a flow's number tells its worker
SOL_UDP, UDP_SEGMENT = 17, 103  # Python's socket module does not name them
SIZES = (0, 1, 3, 4, 160, 1200)
OUTSIDE = ("8.8.8.8", 9)  # which nothing that is bound to loopback can be sent to
Traffic: TypeAlias = tuple[int, int, int, int]
"""Packets and bytes from peers, packets and bytes to peers."""

TWO_WORKERS = pytest.mark.parametrize("workers", [(0, 0), (0, 1)], ids=["same-worker", "two-workers"])


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server with two workers, on every transport, with TCP relays."""
    binds = (*EVERYWHERE, ("tls", "127.0.0.1:0"), ("dtls", "127.0.0.1:0"))
    with running(configuration(*binds, workers=2, relay={"tcp": True})) as made:
        yield made


def peers(server: Running, client: Client) -> Traffic:
    """What a session has exchanged with its peers."""
    found = server.wait(server.server.engine.statistics(server.flow(client)))
    assert found is not None
    return (found.peers_received_pkts, found.peers_received_bytes, found.peers_send_pkts, found.peers_send_bytes)


def sums(server: Running) -> Traffic:
    """The same of all sessions that live and lived."""
    totals = [one.sessions for one in server.wait(server.server.engine.totals(server.server.workers))]
    return (
        sum(one.peers_received_pkts for one in totals),
        sum(one.peers_received_bytes for one in totals),
        sum(one.peers_send_pkts for one in totals),
        sum(one.peers_send_bytes for one in totals),
    )


@pytest.mark.parametrize("index", [0, 1, 4], ids=["udp", "tcp", "tls"])
def test_payloads_count_both_ways(server: Running, peer: socket.socket, index: int) -> None:
    """Without headers and padding, by channels and indications; sums are those of sessions, ended ones too."""
    before = sums(server)
    with server.client(index) as client:
        client.permit(peer.getsockname())
        for data in map(bytes, SIZES):
            client.send_data(peer.getsockname(), data)
            assert peer.recv(2000) == data
        client.bind(0x4000, peer.getsockname())
        for data in map(bytes, SIZES):
            client.send_channel(0x4000, data)
            assert peer.recv(2000) == data
            peer.sendto(data, client.relay)
            assert client.receive() == (0x4000, data)
        count, size = len(SIZES), sum(SIZES)
        assert peers(server, client) == (count, size, 2 * count, 2 * size)
        client.refresh(0)
        client.relay = ("", 0)
    assert sums(server) == tuple(a + b for a, b in zip(before, (count, size, 2 * count, 2 * size), strict=True))


def test_a_burst_counts_as_the_packets_it_carries(server: Running, peer: socket.socket) -> None:
    """What the kernel hands over and takes as one (GRO, GSO), each way."""
    with server.client() as client:
        client.bind(0x4000, peer.getsockname())
        frames = [struct.pack("!HH", 0x4000, 100) + bytes([place]) * 100 for place in range(40)]
        client.socket.sendmsg([b"".join(frames)], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", 104))])
        assert [peer.recv(2000) for _ in frames] == [frame[4:] for frame in frames]
        payloads = b"".join(frame[4:] for frame in frames)
        peer.sendmsg([payloads], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", 100))], 0, client.relay)
        assert [client.receive() for _ in frames] == [(0x4000, frame[4:]) for frame in frames]
        assert peers(server, client) == (40, 4000, 40, 4000)


def test_only_what_went_through_counts(server: Running, peer: socket.socket) -> None:
    """Not what a stranger sends to the relay, nor what has no permission, nor what the kernel refused."""
    with server.client() as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.9", 0))
        client.permit(peer.getsockname(), OUTSIDE)
        refused = server.drops()["refused"]
        stranger.sendto(bytes(10), client.relay)
        client.send_data(stranger.getsockname(), bytes(10))
        client.send_data(OUTSIDE, bytes(10))
        client.send_data(peer.getsockname(), b"through")
        assert peer.recv(100) == b"through"
        peer.sendto(b"and back", client.relay)
        assert client.receive()[1] == b"and back"
        assert peers(server, client) == (1, 8, 1, 7)
        assert server.drops()["refused"] == refused + 1


@TWO_WORKERS
@pytest.mark.parametrize("index", [0, 1], ids=["udp", "tcp"])
def test_two_that_meet_inside_count_each_its_own(server: Running, workers: tuple[int, int], index: int) -> None:
    """What one sends left it; it came to the other only where that has permitted it."""
    with ExitStack() as stack:
        one, other = (on_worker(server, stack, index, worker) for worker in workers)
        one.permit(other.relay)
        one.send_data(other.relay, b"not permitted there")
        for client in (one, other):
            assert client.binding() == client.address  # both workers have done what came before it
        other.permit(one.relay)
        for size in SIZES:
            one.send_data(other.relay, bytes(size))
            assert other.receive() == (one.relay, bytes(size))
        other.send_data(one.relay, b"and back")
        assert one.receive() == (other.relay, b"and back")
        count, size = len(SIZES), sum(SIZES)
        assert peers(server, one) == (1, 8, count + 1, size + len(b"not permitted there"))
        assert peers(server, other) == (count, size, 1, 8)


def on_worker(server: Running, stack: ExitStack, index: int, worker: int) -> Client:
    """A client whose five-tuple the kernel gave to that worker: 1 of 2 tries, 100 at most."""
    for _ in range(100):
        client = stack.enter_context(server.client(index))
        if server.flow(client) >> WORKER == worker:
            return client
    raise AssertionError(f"the kernel gives worker {worker} nothing")


def control(server: Running, stack: ExitStack, worker: int) -> Control:
    """The same with a TCP allocation."""
    for _ in range(100):
        client = stack.enter_context(Control(server.address(1), tcp=True))
        client.allocate()
        if server.flow(client) >> WORKER == worker:
            return client
    raise AssertionError(f"the kernel gives worker {worker} nothing")


def test_a_data_connection_counts_bytes_both_ways(server: Running) -> None:
    """RFC 6062: what went to the peer's socket and came from it, with what was sent behind the ConnectionBind."""
    with ExitStack() as stack:
        client = control(server, stack, 0)
        peer = stack.enter_context(listening())
        data = stack.enter_context(client.data(client.connect(peer.getsockname()), b"behind"))
        far = stack.enter_context(peer.accept()[0])
        data.socket.sendall(bytes(70_000))
        assert len(read(far, 70_006)) == 70_006
        far.sendall(bytes(50_000))
        assert len(data.read(50_000)) == 50_000
        received_pkts, received_bytes, send_pkts, send_bytes = peers(server, client)
        assert (received_bytes, send_bytes) == (50_000, 70_006)
        assert received_pkts > 0 < send_pkts


@TWO_WORKERS
def test_two_tcp_allocations_that_meet_count_each_its_own(server: Running, workers: tuple[int, int]) -> None:
    """RFC 6062 within the server: the same bytes, seen from both sides."""
    with ExitStack() as stack:
        one, other = (control(server, stack, worker) for worker in workers)
        other.permit(one.relay)
        number = one.connect(other.relay)
        _, far_number = other.attempted()
        near, far = stack.enter_context(one.data(number)), stack.enter_context(other.data(far_number))
        near.socket.sendall(bytes(30_000))
        assert len(far.read(30_000)) == 30_000
        far.socket.sendall(bytes(20_000))
        assert len(near.read(20_000)) == 20_000
        assert peers(server, one)[1::2] == (20_000, 30_000)
        assert peers(server, other)[1::2] == (30_000, 20_000)
