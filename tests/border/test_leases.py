"""Leases on the real packet path: what Python granted ends by itself, and a late extension revives it."""

import socket
import time
from collections.abc import Iterator
from select import select
from typing import Any

import pytest

from client import ALLOCATE, TRANSPORT, UDP_RELAY, Client
from hairpin._core import Acknowledged
from hairpin.stun import Address
from running import EVERYWHERE, Running, configuration, running

SECOND = 10**9
TOKEN = 2**60  # the engine counts from 1


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process."""
    with running(configuration(*EVERYWHERE, workers=request.param)) as made:
        yield made


def reaches(client: Client, peer: socket.socket, data: bytes) -> bool:
    """Whether ChannelData gets through: what was judged before the second Binding has left by its answer."""
    client.send_channel(0x4000, data)
    for _ in range(2):
        assert client.binding() == client.address
    peer.setblocking(False)
    try:
        return peer.recv(100) == data
    except BlockingIOError:
        return False
    finally:
        peer.settimeout(10)


def applied(core: Any, flow: int) -> None:
    """Wait until the worker has carried out what it was told; for a test that plays the sleeping Python."""
    core.counters(flow, TOKEN)
    while not any(isinstance(event, Acknowledged) and event.token == TOKEN for event in core.drain(100)):
        assert select([core.fileno()], [], [], 10)[0]


def wait_for(deadline: int) -> None:
    """Until the clock of the leases has passed it."""
    while (left := deadline - time.monotonic_ns()) > 0:
        time.sleep(left / SECOND)


def test_an_allocation_stops_at_its_deadline_while_python_sleeps(
    server: Running, client: Client, peer: socket.socket
) -> None:
    """Nothing goes through from the deadline on, without Python; extended late, all does again."""
    client.bind(0x4000, peer.getsockname())
    core, flow = server.server.engine.backend, server.flow(client)
    with server.asleep():
        assert reaches(client, peer, b"before")
        deadline = time.monotonic_ns() + SECOND // 5
        core.extend_relay(flow, 4, deadline)
        applied(core, flow)
        wait_for(deadline)
        assert not reaches(client, peer, b"after")
        peer.sendto(b"after", client.relay)
        assert not reaches(client, peer, b"after")
        core.extend_relay(flow, 4, time.monotonic_ns() + 600 * SECOND)
        applied(core, flow)
        assert reaches(client, peer, b"revived")
    peer.sendto(b"revived", client.relay)
    assert client.receive() == (0x4000, b"revived")


def test_a_channel_ends_before_its_permission(server: Running, client: Client, peer: socket.socket) -> None:
    """A lapsed channel carries nothing, and the peer's data comes as an indication; bound again it is a channel."""
    client.bind(0x4000, peer.getsockname())
    core, flow = server.server.engine.backend, server.flow(client)
    address = Address(*peer.getsockname())
    with server.asleep():
        deadline = time.monotonic_ns() + SECOND // 5
        core.bind_channel(flow, 0x4000, address, deadline)
        applied(core, flow)
        wait_for(deadline)
        assert not reaches(client, peer, b"after")
        peer.sendto(b"by permission", client.relay)
        assert client.receive() == (peer.getsockname(), b"by permission")
        core.bind_channel(flow, 0x4000, address, time.monotonic_ns() + 600 * SECOND)
        applied(core, flow)
        assert reaches(client, peer, b"revived")
        peer.sendto(b"by channel", client.relay)
        assert client.receive() == (0x4000, b"by channel")


def test_data_goes_on_while_python_sleeps(server: Running, client: Client, peer: socket.socket) -> None:
    """Relaying, Binding and 401 need no Python; a request waits for it, and is answered when it wakes."""
    client.bind(0x4000, peer.getsockname())
    with server.asleep():
        for number in range(50):
            assert reaches(client, peer, b"%d" % number)
        with server.client(allocate=False) as stranger:
            stranger.learn(stranger.exchange(stranger.sign(ALLOCATE, [])))
            with pytest.raises(TimeoutError):
                stranger.exchange(stranger.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)]), 0.3)
    assert client.refresh(700) == 700
