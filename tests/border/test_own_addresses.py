"""Nobody reaches this host through a relay, but live relays: not the API, no listener, nothing that listens beside."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from client import Client, TurnError
from running import EVERYWHERE, Running, configuration, running

OPEN, SHUT = ["127.0.0.0/8", "::1/128"], ["203.0.113.0/24"]


@pytest.fixture(scope="module", params=[(1, OPEN), (2, OPEN), (1, SHUT), (2, SHUT)], ids=["1-open", "2-open", "1", "2"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process, with peers.allow of loopback and without it."""
    workers, allow = request.param
    with running(configuration(*EVERYWHERE, workers=workers, peers={"allow": allow})) as made:
        yield made


@contextmanager
def listener(ip: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Something that listens on this host."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((ip, 0))
        made.settimeout(10)
        yield made


def is_open(server: Running) -> bool:
    """Whether peers.allow names loopback."""
    return server.server.config.peers.allow == tuple(OPEN)


def refusal(work: object, *arguments: object) -> int:
    """The error of a request, 0 for success."""
    try:
        work(*arguments)  # type: ignore[operator]
    except TurnError as error:
        return error.code
    return 0


def test_neither_api_nor_listeners_are_peers(server: Running, client: Client) -> None:
    """ChannelBind is 403, allowed or not; a Send gets nowhere: a Binding through the relay is not answered."""
    api = server.server.api_address
    for port in (api.port, *(bound.port for _, bound in server.server.listeners[:2])):
        address = ("127.0.0.1", port)
        assert refusal(client.bind, 0x4000, address) == 403
        assert refusal(client.bind, 0x4000, (f"::ffff:{address[0]}", port)) == 403
        assert refusal(client.permit, address) == 403
        client.permit(client.relay)  # the same IP
        client.send_data(address, b"\0\x01\0\0\x21\x12\xa4\x42............")
        client.send_data((f"::ffff:{address[0]}", port), b"\0\x01\0\0\x21\x12\xa4\x42............")
    for _ in range(2):
        assert client.binding() == client.address
    assert not client.arrived


def test_other_ports_of_this_host(server: Running, client: Client) -> None:
    """They are peers only where peers.allow names them; else ChannelBind is 403, and nothing arrives."""
    with listener() as mine, listener("127.0.0.2") as other:
        for socket_ in (mine, other):
            address = socket_.getsockname()
            bound = refusal(client.bind, 0x4000 + address[1] % 4096, address)
            refusal(client.permit, address)
            client.send_data(address, b"by Send")
            if is_open(server):
                assert bound == 0
                assert socket_.recv(100) == b"by Send"
                client.send_channel(0x4000 + address[1] % 4096, b"by ChannelData")
                assert socket_.recv(100) == b"by ChannelData"
                continue
            assert bound == 403
            for _ in range(2):
                assert client.binding() == client.address
            socket_.setblocking(False)
            with pytest.raises(BlockingIOError):
                socket_.recv(100)


def test_a_live_relay_is_a_peer_and_a_dead_one_is_not(server: Running, client: Client) -> None:
    """By its announced address, allowed or not; when its session has ended, it is any other port of this host."""
    with server.client() as other:
        client.bind(0x4000, other.relay)
        other.permit(client.relay)
        client.send_channel(0x4000, b"meet")
        assert other.receive() == (client.relay, b"meet")
        gone = other.relay
        other.refresh(0)
    assert refusal(client.bind, 0x4000, gone) == (0 if is_open(server) else 403)


def test_ipv6(server: Running) -> None:
    """The same for ::1."""
    with server.client(2) as client, listener("::1") as mine:
        port = server.address(2)[1]
        assert refusal(client.bind, 0x4000, ("::1", port)) == 403
        assert refusal(client.bind, 0x4000, mine.getsockname()[:2]) == (0 if is_open(server) else 403)
        client.send_data(("::1", port), b"\0\x01\0\0\x21\x12\xa4\x42............")
        for _ in range(2):
            assert client.binding() == client.address
        assert not client.arrived


@pytest.mark.parametrize("ip", ["0.0.0.0", "255.255.255.255", "224.0.0.1", "169.254.169.254", "10.0.0.1", "100.64.0.1"])
def test_special_addresses(server: Running, client: Client, ip: str) -> None:
    """403 for CreatePermission and ChannelBind, also with an allowed one beside it; then nothing is installed."""
    for port in (80, *(bound.port for _, bound in server.server.listeners[:2])):
        assert refusal(client.bind, 0x4000, (ip, port)) == 403
        assert refusal(client.permit, (ip, port)) == 403
        assert refusal(client.permit, client.relay, (ip, port)) == 403
    flow = server.flow(client)
    allocation = server.call(lambda: server.server.rules.sessions[flow].allocation)
    assert allocation is not None
    assert not allocation.permissions
