"""The largest payloads: each arrives whole, or is dropped and counted; none is cut short (RFC 8656, 11 and 12)."""

import socket
import struct
from collections.abc import Iterator

import pytest

from client import Client, Endpoint
from running import EVERYWHERE, Running, configuration, running

LARGEST = {4: 65507, 6: 65527}  # payload of a UDP datagram: 65535 bytes with its header, and IPv4's where there is one
LONGEST = 65535  # of a STUN message behind its 20 bytes, and of ChannelData behind its 4
SEND_HEADER = {4: 36, 6: 48}  # of an indication: STUN's, XOR-PEER-ADDRESS and that of DATA


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process."""
    with running(configuration(*EVERYWHERE, workers=request.param)) as made:
        yield made


@pytest.fixture(params=[4, 6], ids=["to-ipv4", "to-ipv6"])
def far(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A peer of either family."""
    version = request.param
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1" if version == 4 else "::1", 0))
        made.settimeout(10)
        yield made


@pytest.fixture(params=range(4), ids=["udp", "tcp", "udp6", "tcp6"])
def client(server: Running, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client with a relay of each family."""
    with server.client(request.param, allocate=False) as made:
        made.allocate_both()
        yield made


def version(endpoint: Endpoint) -> int:
    """Its IP version."""
    return 6 if ":" in endpoint[0] else 4


def padded(size: int) -> int:
    """To four bytes."""
    return size + -size % 4


def fits(client: Client, peer: Endpoint, size: int, *, channel: bool) -> bool:
    """Whether a payload from the peer has a frame that the client's transport can carry.

    Datagrams to IPv6 clients could be 20 bytes larger; hairpin gives them what it gives to those of IPv4.
    """
    if channel:
        return client.tcp or 4 + size <= LARGEST[4]
    whole = SEND_HEADER[version(peer)] + padded(size)
    return whole - 20 <= LONGEST if client.tcp else whole <= LARGEST[4]


@pytest.mark.parametrize("channel", [True, False], ids=["channel", "indication"])
def test_from_a_peer(server: Running, client: Client, far: socket.socket, channel: bool) -> None:
    """RFC 8656, 11.3 and 12.7: what fits behind its header comes whole, what does not is counted as too large."""
    at: Endpoint = far.getsockname()[:2]
    relay = client.relay if version(at) == 4 else client.relay6
    client.permit(at)
    if channel:
        client.bind(0x4000, at)
    whence = 0x4000 if channel else at
    largest = LARGEST[version(at)]
    limit = max(size for size in range(65400, largest + 1) if fits(client, at, size, channel=channel))
    for size in {limit - 1, limit, min(limit + 1, largest), largest}:
        before = server.drops()["too_large"]
        data = struct.pack("!I", size) * (size // 4) + bytes(size % 4)
        far.sendto(data, relay)
        far.sendto(b"behind it", relay)
        if fits(client, at, size, channel=channel):
            assert client.receive() == (whence, data)
        assert client.receive() == (whence, b"behind it")
        assert server.drops()["too_large"] - before == (size > limit)


@pytest.mark.parametrize("channel", [True, False], ids=["channel", "indication"])
def test_from_a_client(server: Running, client: Client, far: socket.socket, channel: bool) -> None:
    """RFC 8656, 11.2 and 12.6: what a UDP datagram can carry arrives whole, what it cannot is refused and counted."""
    at: Endpoint = far.getsockname()[:2]
    client.permit(at)
    client.bind(0x4000, at)
    header = 4 if channel else SEND_HEADER[version(at)]
    room = (LONGEST if channel else LONGEST + 20 - header) if client.tcp else LARGEST[version(client.address)] - header
    sendable = room if channel else room - room % 4
    for size in {sendable, min(sendable, LARGEST[version(at)]), min(sendable, LARGEST[version(at)]) - 1}:
        before = server.drops()["refused"]
        data = struct.pack("!I", size) * (size // 4) + bytes(size % 4)
        for one in (data, b"behind it"):
            if channel:
                client.send_channel(0x4000, one)
            else:
                client.send_data(at, one)
        if size <= LARGEST[version(at)]:
            assert far.recv(70000) == data
        assert far.recv(70000) == b"behind it"
        assert server.drops()["refused"] - before == (size > LARGEST[version(at)])
