"""Reserved relay ports over real sockets (RFC 8656, 7.2: EVEN-PORT with R=1, RESERVATION-TOKEN)."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from random import Random

import pytest

from client import ALLOCATE, EVEN_PORT, RESERVATION_TOKEN, TRANSPORT, UDP_RELAY, XOR_RELAYED_ADDRESS, Client, TurnError
from running import EVERYWHERE, Running, configuration, running

PAIR = [(TRANSPORT, UDP_RELAY), (EVEN_PORT, b"\x80")]


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process."""
    with running(configuration(*EVERYWHERE, workers=request.param)) as made:
        yield made


def reserve(client: Client) -> tuple[int, bytes]:
    """Allocate an even port: it, and the token of the next one."""
    answer = client.request(ALLOCATE, PAIR)
    client.relay = answer.address(XOR_RELAYED_ADDRESS)
    return client.relay[1], answer.get(RESERVATION_TOKEN) or b""


def redeem(client: Client, token: bytes) -> int:
    """Allocate what the token is for: the port."""
    answer = client.request(ALLOCATE, [(TRANSPORT, UDP_RELAY), (RESERVATION_TOKEN, token)])
    client.relay = answer.address(XOR_RELAYED_ADDRESS)
    return client.relay[1]


@pytest.mark.parametrize("index", range(4), ids=["udp", "tcp", "udp6", "tcp6"])
def test_any_client_and_any_worker(server: Running, index: int, peer: socket.socket) -> None:
    """RFC 8656, 7.2: another five-tuple, transport or listener redeems it, whichever worker that is, and it relays."""
    for _ in range(4):  # so that both workers have had both parts
        with server.client(allocate=False) as first, server.client(index, allocate=False) as second:
            port, token = reserve(first)
            assert redeem(second, token) == port + 1
            second.permit(peer.getsockname())
            second.send_data(peer.getsockname(), b"hello")
            assert peer.recvfrom(100) == (b"hello", ("127.0.0.1", port + 1))
            peer.sendto(b"back", ("127.0.0.1", port + 1))
            assert second.receive() == (peer.getsockname(), b"back")


def test_the_socket_is_held(server: Running) -> None:
    """Nobody else on the machine gets the port while it is reserved; when the reservation lapses it is closed."""
    with server.client(allocate=False) as client:
        port, token = reserve(client)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            with pytest.raises(OSError, match="in use"):
                thief.bind(("127.0.0.1", port + 1))
            server.call(lambda: server.server.engine.expire(server.server.clock() + 40 * 10**9))
            thief.bind(("127.0.0.1", port + 1))
        with server.client(allocate=False) as late, pytest.raises(TurnError, match="508"):
            redeem(late, token)


def free_block() -> int:
    """The first of four ports that nobody holds, an even one, where the kernel gives none to others."""
    for base in Random(os.getpid()).sample(range(20000, 32000, 4), 3000):
        with ExitStack() as stack, suppress(OSError):
            for port in range(base, base + 4):
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("127.0.0.1", port))
            return base
    raise AssertionError("no four ports are free")


def test_a_neighbour_that_is_taken() -> None:
    """A pair whose odd port somebody else on the machine holds is passed over."""
    base = free_block()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody,
        running(configuration(("udp", "127.0.0.1:0"), relay={"ports": (base, base + 3)})) as small,
    ):
        somebody.bind(("127.0.0.1", base + 1))
        with small.client(allocate=False) as first, small.client(allocate=False) as second:
            assert reserve(first)[0] == base + 2
            with pytest.raises(TurnError, match="508"):
                reserve(second)
            assert small.call(lambda: small.server.rules.ports_allocated(4)) == 2
