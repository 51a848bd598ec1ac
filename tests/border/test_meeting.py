"""Clients that meet inside the server, whichever workers own them."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import combinations

import pytest

from client import Client, TurnError
from serving import Serving

CLIENTS = 16  # all on one of two workers: one run in 32,768


@pytest.fixture(params=["udp", "tcp", "udp-and-tcp"])
def clients(server: Serving, request: pytest.FixtureRequest) -> Iterator[list[Client]]:
    """Allocated clients over UDP, over TCP, or turn about."""
    kinds = {"udp": [False], "tcp": [True], "udp-and-tcp": [False, True]}[request.param] * CLIENTS
    with ExitStack() as stack:
        made = [stack.enter_context(Client(server.address, tcp=tcp)) for tcp in kinds[:CLIENTS]]
        for client in made:
            client.allocate()
        yield made


def test_channels_both_ways(clients: list[Client]) -> None:
    """With a channel at both ends every client reaches every other, each packet whole and in its channel."""
    for one, other in combinations(range(CLIENTS), 2):
        clients[one].bind(0x4000 + other, clients[other].relay)
        clients[other].bind(0x4000 + one, clients[one].relay)
    for sender in range(CLIENTS):
        for receiver in set(range(CLIENTS)) - {sender}:
            data = bytes([sender]) * (sender * 100 + receiver)
            clients[sender].send_channel(0x4000 + receiver, data)
            assert clients[receiver].receive() == (0x4000 + sender, data)


def test_indications_need_both_permissions(clients: list[Client]) -> None:
    """A Send indication arrives as a Data indication when both have permitted each other, and not before."""
    for one, other in zip(clients[::2], clients[1::2], strict=True):
        one.permit(other.relay)
        one.send_data(other.relay, b"not permitted there")
        for client in (one, other):
            assert client.binding() == client.address  # both workers have done what came before it
        other.permit(one.relay)
        one.send_data(other.relay, b"permitted")
        assert other.receive() == (one.relay, b"permitted")
        other.send_data(one.relay, b"and back")
        assert one.receive() == (other.relay, b"and back")


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_ipv6(server: Serving, tcp: bool) -> None:
    """Two IPv6 relays meet as well."""
    with Client(server.address6, tcp=tcp) as one, Client(server.address6, tcp=tcp) as other:
        for client in (one, other):
            assert client.allocate(version=6)[0] == "::1"
        one.bind(0x4000, other.relay)
        other.permit(one.relay)
        one.send_channel(0x4000, b"over IPv6")
        assert other.receive() == (one.relay, b"over IPv6")


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_wrong_password_gets_401(server: Serving, tcp: bool) -> None:
    """A client with a wrong password gets 401, unsigned and with a nonce, and no allocation."""
    with Client(server.address, password="wrong", tcp=tcp) as client:
        with pytest.raises(TurnError) as refused:
            client.allocate()
        assert refused.value.code == 401
        assert server.sessions(address="{}:{}".format(*client.address)) == []
