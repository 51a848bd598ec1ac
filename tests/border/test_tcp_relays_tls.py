"""TCP allocations over TLS: peers see plain bytes, whichever worker a data connection arrives at."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from certificates import loopback, trusting
from relaying import Control, Data, listening, read
from running import Running, configuration, interface, running

LARGE = 5 << 20
CLIENTS = 8  # the kernel spreads their connections over two workers


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server of two workers with TLS and TCP relays."""
    turn = {"realm": "hairpin.test", "workers": 2, "interfaces": [interface("tls", "127.0.0.1:0", loopback())]}
    with running(configuration(turn=turn, relay={"tcp": True})) as made:
        yield made


@contextmanager
def meeting(server: Running) -> Iterator[tuple[Data, socket.socket]]:
    """A data connection, and the peer at its other end."""
    with Control(server.address(), tcp=True, tls=trusting()) as control, listening() as peer:
        control.allocate()
        number = control.connect(peer.getsockname())
        with control.data(number, tls=trusting()) as data, peer.accept()[0] as far:
            yield data, far


def test_bytes_go_both_ways(server: Running) -> None:
    """The peer sees plain bytes; its end is the end of the TLS stream, and the other way goes on."""
    with meeting(server) as (data, far):
        data.socket.sendall(b"hello")
        assert read(far, 5) == b"hello"
        far.sendall(b"and back")
        far.shutdown(socket.SHUT_WR)
        assert data.read(100) == b"and back"
        data.socket.sendall(b"still")
        assert read(far, 5) == b"still"


def test_many_large_transfers(server: Running) -> None:
    """Each way byte for byte, whichever worker the data connection came to; a slow reader loses nothing."""
    up, down = os.urandom(LARGE), os.urandom(LARGE)
    with ExitStack() as stack:
        pairs = [stack.enter_context(meeting(server)) for _ in range(CLIENTS)]
        for data, far in pairs:
            for first, second in ((partial(far.sendall, down), data.read), (partial(data.socket.sendall, up), None)):
                sender = threading.Thread(target=first)
                sender.start()
                assert (second(LARGE) if second else read(far, LARGE)) == (down if second else up)
                sender.join()
