"""The REST API of the running server, held against traffic that the test itself sends."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from client import Client, Endpoint
from serving import USER, Serving

FIELDS = {"received_bytes", "send_bytes", "received_pkts", "send_pkts", "error_pkts"}
SIZES = (0, 1, 2, 3, 4, 160, 1200)


@pytest.fixture(params=[False, True], ids=["udp", "tcp"])
def client(server: Serving, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client with an allocation."""
    with Client(server.address, tcp=request.param) as made:
        made.allocate()
        yield made


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A peer behind the relay."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(10)
        yield made


def text(endpoint: Endpoint) -> str:
    """ip:port."""
    return "{}:{}".format(*endpoint)


def query(server: Serving, client: Client) -> dict[str, str]:
    """The filters that mean exactly this client."""
    return {
        "address": text(client.address),
        "interface": text(server.address),
        "transport": "tcp" if client.tcp else "udp",
    }


def statistics(server: Serving, client: Client) -> dict[str, int]:
    """GET /session/statistics."""
    status, found = server.ask("GET", "/session/statistics", **query(server, client))
    assert status == 200, found
    assert set(found) >= FIELDS
    assert all(isinstance(found[name], int) for name in FIELDS)
    return {name: found[name] for name in FIELDS}


def on_the_way(client: Client, size: int) -> int:
    """Bytes that ChannelData of that size takes: padded on a stream."""
    return 4 + size + (-size % 4 if client.tcp else 0)


def test_a_session_is_seen_as_it_is(server: Serving, client: Client, peer: socket.socket) -> None:
    """Address, user, relay port, channels, permissions and the remaining life are those of the client."""
    port = peer.getsockname()[1]
    client.bind(0x4001, ("127.0.0.1", port))
    client.permit(("127.0.0.1", 9), ("127.0.0.1", port))
    [session] = server.sessions(**query(server, client))
    assert (session["address"], session["username"]) == (text(client.address), USER)
    assert (session["port"], session["channels"]) == (client.relay[1], [0x4001])
    assert session["permissions"] == sorted({9, port})
    assert 590 <= session["expires"] <= 600
    client.refresh(0)
    assert server.sessions(**query(server, client)) == []


def test_statistics_to_the_byte(server: Serving, client: Client, peer: socket.socket) -> None:
    """What the client sent and got, headers and padding counted in; what went nowhere is an error beside it."""
    client.bind(0x4000, peer.getsockname())
    before = statistics(server, client)
    for size in SIZES:
        client.send_channel(0x4000, bytes(size))
        assert peer.recv(2000) == bytes(size)
        peer.sendto(bytes(size), client.relay)
        peer.sendto(bytes(size), client.relay)
        assert client.receive() == client.receive() == (0x4000, bytes(size))
    for size in SIZES:
        client.send_channel(0x4FFF, bytes(size))  # not bound
    after = statistics(server, client)
    volume = sum(on_the_way(client, size) for size in SIZES)
    assert {name: after[name] - before[name] for name in FIELDS} == {
        "received_bytes": 2 * volume,
        "received_pkts": 2 * len(SIZES),
        "send_bytes": 2 * volume,
        "send_pkts": 2 * len(SIZES),
        "error_pkts": len(SIZES),
    }


def test_delete_has_taken_effect_when_it_answers(server: Serving, client: Client, peer: socket.socket) -> None:
    """After the 200 the relay port is closed, a stream is at its end, and who had it as a peer reaches nobody."""
    with Client(server.address) as other:
        other.allocate()
        other.bind(0x4000, client.relay)
        client.bind(0x4000, other.relay)
        client.permit(peer.getsockname())
        other.send_channel(0x4000, b"still there")
        assert client.receive() == (0x4000, b"still there")
        errors = statistics(server, other)["error_pkts"]

        assert ask_to_delete(server, client) == 200
        peer.connect(client.relay)
        peer.send(b"too late")
        with pytest.raises(ConnectionRefusedError):
            peer.recv(2000)
        client_is_alone(client)
        other.send_channel(0x4000, b"too late")
        assert other.binding() == other.address
        assert statistics(server, other)["error_pkts"] == errors + 1
        assert server.sessions(**query(server, client)) == []
        assert ask_to_delete(server, client) == 404


def ask_to_delete(server: Serving, client: Client) -> int:
    """DELETE /session: its status."""
    answer: tuple[int, Any] = server.ask("DELETE", "/session", **query(server, client))
    return answer[0]


def client_is_alone(client: Client) -> None:
    """A stream is closed; a datagram client gets the answer to its Binding and nothing before it."""
    if client.tcp:
        with pytest.raises((EOFError, ConnectionResetError)):
            client.frame(10)
    else:
        assert client.binding() == client.address
    assert not client.arrived
