"""Any bytes on any port: calls go on, new ones begin, and the process neither grows nor talks about it."""

import contextlib
import socket
import time
from collections.abc import Iterator
from itertools import count

import pytest

from client import Client, TurnError
from mutations import Mutator
from serving import Serving

DATAGRAMS, STREAMS, BLOCK = 200_000, 1_000, 64
ATTACKERS = 8
GROWTH = 10_000_000
SIZES = (0, 1, 3, 160, 1200)


class Call:
    """A client over UDP and one over TCP, each with a peer behind the relay and the other one as a peer inside."""

    def __init__(self, server: Serving) -> None:
        self.udp, self.tcp = Client(server.address), Client(server.address, tcp=True)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.peer.settimeout(10)
        self.number = count()
        self.relayed = 0
        for client in (self.udp, self.tcp):
            client.allocate()
            client.bind(0x4000, self.peer.getsockname())
        self.udp.bind(0x4001, self.tcp.relay)
        self.tcp.bind(0x4001, self.udp.relay)

    def close(self) -> None:
        """Give up all of its sockets."""
        for end in (self.udp.socket, self.tcp.socket, self.peer):
            end.close()

    def go_on(self) -> None:
        """One packet of every size each way, to the peers and back and between the clients: all arrive."""
        for size in SIZES:
            data = str(next(self.number)).zfill(size)[-size:].encode() if size else b""
            for client, other in ((self.udp, self.tcp), (self.tcp, self.udp)):
                client.send_channel(0x4000, data)
                assert self.peer.recvfrom(65536) == (data, client.relay)
                self.peer.sendto(data, client.relay)
                assert client.receive() == (0x4000, data)
                client.send_channel(0x4001, data)
                assert other.receive() == (0x4001, data)
                self.relayed += 3


@pytest.fixture
def call(server: Serving) -> Iterator[Call]:
    """A call that must not suffer."""
    made = Call(server)
    yield made
    made.close()


@contextlib.contextmanager
def unmoved(server: Serving, call: Call) -> Iterator[None]:
    """Around an attack: the call goes on, a new allocation works, the process is as small and as silent as before."""
    call.go_on()
    resident, lines, began = server.resident(), server.log.read_bytes().count(b"\n"), time.monotonic()
    yield
    call.go_on()
    with Client(server.address) as fresh, Client(server.address, tcp=True) as other:
        for client in (fresh, other):
            assert client.allocate()[0] == "127.0.0.1"
            assert client.refresh(0) == 0
    assert server.resident() - resident <= GROWTH
    # Whatever strangers send, they bring about ten lines a second and a sum of the rest.
    assert server.log.read_bytes().count(b"\n") - lines <= 11 * (time.monotonic() - began + 2)


def known(server: Serving) -> Client:
    """A client that has a nonce and the right password, and no allocation."""
    client = Client(server.address)
    with contextlib.suppress(TurnError):
        client.refresh(600)
    assert client.key
    return client


def test_mutated_datagrams(server: Serving, call: Call) -> None:
    """200,000 of them, and after each 64 a Binding is answered and the call has lost nothing."""
    with contextlib.ExitStack() as stack, unmoved(server, call):
        attackers = [stack.enter_context(known(server)) for _ in range(ATTACKERS)]
        mutators = [Mutator(seed, attacker.sign) for seed, attacker in enumerate(attackers)]
        for block in range(DATAGRAMS // BLOCK):
            attacker, mutator = attackers[block % ATTACKERS], mutators[block % ATTACKERS]
            for _ in range(BLOCK):
                attacker.socket.send(mutator.datagram())
            assert attacker.binding() == attacker.address, f"block {block}"
            call.go_on()
    assert call.relayed >= 6 * len(SIZES) * (DATAGRAMS // BLOCK)


def test_mutated_streams(server: Serving, call: Call) -> None:
    """1,000 of them, cut anywhere, closed well or not: each comes to an end, and the call has lost nothing."""
    with known(server) as knowing, unmoved(server, call):
        mutator = Mutator(0, knowing.sign)
        for stream in range(STREAMS):
            with Client(server.address, tcp=True) as client:
                assault(client, mutator, read=stream % 2 == 0)
            if stream % 16 == 0:
                with Client(server.address, tcp=True) as client:
                    assert client.binding() == client.address, f"stream {stream}"
                call.go_on()


def assault(client: Client, mutator: Mutator, *, read: bool) -> None:
    """Send a stream in pieces; then read until the server has closed its side too, or go without reading."""
    data = mutator.stream()
    with contextlib.suppress(ConnectionError):
        while data:
            piece = mutator.random.choice((1, 7, 64, 1460))
            client.socket.sendall(data[:piece])
            data = data[piece:]
        if read:
            with contextlib.suppress(OSError):  # the server may have closed already
                client.socket.shutdown(socket.SHUT_WR)
            client.socket.settimeout(10)
            while client.socket.recv(65536):
                pass
