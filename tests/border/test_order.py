"""Effects happen in their order: whatever a client was told, it can use at once."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from client import Client
from running import EVERYWHERE, Running, configuration, running

CHANNELS = 200
LIMITS = {"channels": CHANNELS, "permissions": CHANNELS, "source_rate": 0, "session_rate": 0, "user_rate": 0}


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process."""
    with running(configuration(*EVERYWHERE, workers=request.param, limits=LIMITS)) as made:
        yield made


def test_channel_data_right_behind_the_answer(client: Client) -> None:
    """The first ChannelData on a channel that was just bound is relayed, 200 times out of 200."""
    with ExitStack() as open_until_the_end:  # or the kernel gives a port twice
        for number in range(0x4000, 0x4000 + CHANNELS):
            peer = open_until_the_end.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(10)
            client.bind(number, peer.getsockname())
            client.send_channel(number, b"first")
            assert peer.recvfrom(100) == (b"first", client.relay)


def test_a_peer_that_is_told_at_once_reaches_the_client(server: Running, peer: socket.socket) -> None:
    """Data that a peer sends right behind the answer to CreatePermission arrives, for each of 50 allocations."""
    for index, data in zip([0, 1] * 25, count(), strict=False):
        with server.client(index) as client:
            client.permit(peer.getsockname())
            peer.sendto(b"%d" % data, client.relay)
            assert client.receive() == (peer.getsockname(), b"%d" % data)


def test_the_answer_to_the_last_refresh_comes_before_the_end(client: Client, peer: socket.socket) -> None:
    """Refresh with LIFETIME 0 is answered, and from then on nothing is relayed."""
    client.bind(0x4000, peer.getsockname())
    assert client.refresh(0) == 0
    assert client.binding() == client.address
    client.send_channel(0x4000, b"too late")
    if client.tcp:  # a stranger has nothing to relay
        with pytest.raises((EOFError, ConnectionResetError)):
            client.frame(10)
    peer.connect(client.relay)
    peer.send(b"too late")
    with pytest.raises(ConnectionRefusedError):
        peer.recv(100)


def test_packets_keep_their_order(client: Client, peer: socket.socket) -> None:
    """1,000 packets each way, 50 at a time, come in the order in which they were sent."""
    client.bind(0x4000, peer.getsockname())
    for first in range(0, 1000, 50):
        batch = [b"%d" % number for number in range(first, first + 50)]
        for data in batch:
            client.send_channel(0x4000, data)
        assert [peer.recv(100) for _ in batch] == batch
        for data in batch:
            peer.sendto(data, client.relay)
        assert [client.receive() for _ in batch] == [(0x4000, data) for data in batch]
