"""One session with a relay of each address family, over real sockets (RFC 8656, 7.2 and 8.2)."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from client import (
    ADDITIONAL_FAMILY,
    ADDRESS_ERROR_CODE,
    ALLOCATE,
    TRANSPORT,
    UDP_RELAY,
    XOR_RELAYED_ADDRESS,
    Client,
    Endpoint,
    TurnError,
)
from running import EVERYWHERE, USER, Running, configuration, running


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process."""
    with running(configuration(*EVERYWHERE, workers=request.param)) as made:
        yield made


@pytest.fixture
def peers() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A peer of each family."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six,
    ):
        for made, ip in ((four, "127.0.0.1"), (six, "::1")):
            made.bind((ip, 0))
            made.settimeout(10)
        yield four, six


def name(endpoint: Endpoint) -> str:
    """As the API writes it."""
    return f"[{endpoint[0]}]:{endpoint[1]}" if ":" in endpoint[0] else f"{endpoint[0]}:{endpoint[1]}"


def there_and_back(client: Client, number: int, relay: Endpoint, peer: socket.socket) -> None:
    """A datagram to the peer and one from it, in indications and in a channel."""
    at: Endpoint = peer.getsockname()[:2]
    client.permit(at)
    client.send_data(at, b"to")
    data, source = peer.recvfrom(100)
    assert (data, source[:2]) == (b"to", relay)
    peer.sendto(b"back", relay)
    assert client.receive() == (at, b"back")
    client.bind(number, at)
    client.send_channel(number, b"to")
    assert peer.recvfrom(100)[1][:2] == relay
    peer.sendto(b"back", relay)
    assert client.receive() == (number, b"back")


@pytest.mark.parametrize("index", range(4), ids=["udp", "tcp", "udp6", "tcp6"])
def test_both_relays_carry(server: Running, index: int, peers: tuple[socket.socket, socket.socket]) -> None:
    """Each peer meets the relay of its own family, whatever family the client itself comes by."""
    with server.client(index, allocate=False) as client:
        for number, (relay, peer) in enumerate(zip(client.allocate_both(), peers, strict=True), 0x4000):
            there_and_back(client, number, relay, peer)


def test_the_api_shows_both(server: Running) -> None:
    """`relays` lists both, `port` is the first one's, and two ports are taken."""
    # Whom another test has left behind on TCP may be on its way out only.
    server.ask("DELETE", "/session", username=USER, all="true")
    before = server.call(lambda: [server.server.rules.ports_allocated(version) for version in (4, 6)])
    with server.client(allocate=False) as client:
        four, six = client.allocate_both()
        (shown,) = server.ask("GET", "/session", address=name(client.address), transport="udp")[1]
        assert (shown["relays"], shown["port"]) == ([name(four), name(six)], four[1])
        taken = server.call(lambda: [server.server.rules.ports_allocated(version) for version in (4, 6)])
        assert [after - first for first, after in zip(before, taken, strict=True)] == [1, 1]


@pytest.mark.parametrize("index", [0, 1], ids=["udp", "tcp"])
@pytest.mark.parametrize("gone", [0, 1], ids=["ipv4", "ipv6"])
def test_one_relay_goes(server: Running, index: int, gone: int, peers: tuple[socket.socket, socket.socket]) -> None:
    """RFC 8656, 8.2: its socket is closed and 443 follows; the other one carries on, and goes with the session."""
    with server.client(index, allocate=False) as client:
        relays = client.allocate_both()
        version, kept = (4, 6)[gone], 1 - gone
        assert client.refresh(0, version=version) == 0
        client.binding()  # the command was carried out before this was answered
        await_closed(relays[gone])
        with pytest.raises(TurnError, match="443"):
            client.permit(peers[gone].getsockname()[:2])
        with pytest.raises(TurnError, match="443"):
            client.refresh(600, version=version)
        there_and_back(client, 0x4000, relays[kept], peers[kept])
        assert client.refresh(0) == 0
        client.binding()
        await_closed(relays[kept])
        client.relay = ("", 0)


def await_closed(relay: Endpoint) -> None:
    """Nobody holds the address: it can be bound."""
    with socket.socket(socket.AF_INET6 if ":" in relay[0] else socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(relay)


def test_two_of_them_meet(server: Running) -> None:
    """Within a worker and between two: each relay of one client reaches the relay of its family of the other."""
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client(allocate=False)) for _ in range(6)]
        relays = [client.allocate_both() for client in clients]
        for client, own in zip(clients, relays, strict=True):
            client.permit(*(relay for pair in relays for relay in pair if pair is not own))
        for place, (client, own) in enumerate(zip(clients, relays, strict=True)):
            other = (place + 1) % len(clients)
            for family in (0, 1):
                client.send_data(relays[other][family], b"hello")
                assert clients[other].receive() == (own[family], b"hello")


def test_no_ipv6_here() -> None:
    """RFC 8656, 7.2: where the server relays to IPv4 alone, the client learns so beside its IPv4 relay."""
    with running(configuration(("udp", "127.0.0.1:0"))) as server, server.client(allocate=False) as client:
        answer = client.request(ALLOCATE, [(TRANSPORT, UDP_RELAY), (ADDITIONAL_FAMILY, bytes([2, 0, 0, 0]))])
        assert answer.address(XOR_RELAYED_ADDRESS)[0] == "127.0.0.1"
        assert answer.get(ADDRESS_ERROR_CODE) == b"\2\0\4\x28Address Family not Supported"
        assert client.refresh(0) == 0
