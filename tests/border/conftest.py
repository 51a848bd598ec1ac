"""Who stands around a server in a border test; the test's own file says which server it is."""

import socket
from collections.abc import Iterator

import pytest

from client import Client
from running import Running


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A peer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(10)
        yield made


@pytest.fixture(params=[0, 1], ids=["udp", "tcp"])
def client(server: Running, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client with an allocation."""
    with server.client(request.param) as made:
        yield made
