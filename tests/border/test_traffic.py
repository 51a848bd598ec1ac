"""What crosses the server is counted to the byte, comes from the address that was asked, and stays in proportion."""

import os
import socket
import struct
from collections.abc import Iterator
from itertools import pairwise

import pytest

from client import (
    ALLOCATE,
    BINDING,
    CHANNEL_BIND,
    CREATE_PERMISSION,
    DATA,
    DATA_VALUE,
    INDICATION,
    REFRESH,
    SEND,
    TRANSPORT,
    UDP_RELAY,
    XOR_PEER_ADDRESS,
    Client,
    build,
    mask,
    parse,
)
from running import EVERYWHERE, Running, configuration, running

HEADERS = {4: 28, 6: 48}
SIZES = (0, 1, 2, 3, 4, 5, 160, 1200)


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process."""
    with running(configuration(*EVERYWHERE, workers=request.param)) as made:
        yield made


@pytest.fixture(params=[0, 1], ids=["udp", "tcp"])
def client(server: Running, request: pytest.FixtureRequest) -> Iterator["Counting"]:
    """A client that counts."""
    with Counting(server.address(request.param), tcp=request.param == 1) as made:
        yield made


class Counting(Client):
    """Counts what it sends and gets, by its own sockets."""

    sent = got = sent_bytes = got_bytes = errors = 0

    def put(self, message: bytes, *, error: bool = False) -> None:
        """Send a message, counted."""
        self.socket.sendall(message)
        self.sent, self.sent_bytes, self.errors = self.sent + 1, self.sent_bytes + len(message), self.errors + error

    def take(self) -> bytes:
        """The next frame, counted."""
        frame = self.frame(10)
        self.got, self.got_bytes = self.got + 1, self.got_bytes + len(frame)
        return frame

    def channel(self, number: int, data: bytes) -> bytes:
        """ChannelData as this transport carries it."""
        return struct.pack("!HH", number, len(data)) + data + (bytes(-len(data) % 4) if self.tcp else b"")

    def indication(self, peer: tuple[str, int], data: bytes | None) -> bytes:
        """A Send indication."""
        transaction = os.urandom(12)
        attributes = [(XOR_PEER_ADDRESS, mask(peer, transaction))] + ([(DATA_VALUE, data)] if data is not None else [])
        return build(SEND | INDICATION, transaction, attributes)

    def asked(self, method: int, attributes: list[tuple[int, bytes]], peer: tuple[str, int] | None = None) -> int:
        """A signed request and its answer, both counted: the error."""
        transaction = os.urandom(12)
        named = [(XOR_PEER_ADDRESS, mask(peer, transaction))] if peer else []
        self.put(self.sign(method, attributes + named, transaction))
        answer = parse(self.take())
        self.relay = answer.address(0x16) if method == ALLOCATE and not answer.error else self.relay
        return answer.error


def statistics(server: Running, client: Counting) -> dict[str, int]:
    """GET /session/statistics."""
    status, found = server.ask(
        "GET",
        "/session/statistics",
        address="{}:{}".format(*client.address),
        transport="tcp" if client.tcp else "udp",
    )
    assert status == 200, found
    return dict(found)


def test_statistics_are_what_the_test_sent(server: Running, client: Counting, peer: socket.socket) -> None:
    """From the request that proved the credentials on: requests, channels, indications, padding, errors; no more."""
    client.learn(client.exchange(client.sign(ALLOCATE, [])))  # a stranger's: not counted
    assert client.asked(ALLOCATE, [(TRANSPORT, UDP_RELAY)]) == 0
    at = peer.getsockname()
    for data in map(bytes, SIZES):
        assert client.asked(CREATE_PERMISSION, [], at) == 0
        client.put(client.indication(at, data))
        assert peer.recv(2000) == data
        peer.sendto(data, client.relay)
        assert parse(client.take()).method == DATA
    assert client.asked(CHANNEL_BIND, [(0x0C, b"\x40\0\0\0")], at) == 0
    for data in map(bytes, SIZES):
        client.put(client.channel(0x4000, data))
        assert peer.recv(2000) == data
        peer.sendto(data, client.relay)
        assert len(client.take()) == len(client.channel(0x4000, data))
    bad(client)
    assert client.asked(REFRESH, []) == 0
    expected = {
        "received_pkts": client.sent,
        "received_bytes": client.sent_bytes,
        "send_pkts": client.got,
        "send_bytes": client.got_bytes,
        "error_pkts": client.errors,
    }
    assert statistics(server, client) == expected
    assert statistics(server, client) == expected


def bad(client: Counting) -> None:
    """Packets of a session that go nowhere; each is one error."""
    client.put(client.channel(0x4001, b"not bound"), error=True)
    client.put(client.channel(0x7FFE, b"no channel"), error=True)
    client.put(client.indication(("127.0.0.2", 9), b"no permission"), error=True)
    client.put(client.indication(("10.0.0.1", 9), b"denied"), error=True)
    client.put(client.indication(("127.0.0.1", 9), None), error=True)
    client.put(build(DATA | INDICATION, os.urandom(12), []), error=True)
    client.put(build(0x0FF, os.urandom(12), []), error=True)
    if not client.tcp:
        client.put(b"\xff", error=True)
        client.put(b"", error=True)
        client.put(b"\x40\0\0\x09short", error=True)
    assert client.asked(CHANNEL_BIND, []) == 400  # an answer is no error


def test_the_sums_are_those_of_the_sessions(server: Running, client: Counting, peer: socket.socket) -> None:
    """What lived and what lives is one sum that only grows; strangers stand apart."""
    before = sums(server)
    client.learn(client.exchange(client.sign(ALLOCATE, [])))
    assert client.asked(ALLOCATE, [(TRANSPORT, UDP_RELAY)]) == 0
    client.put(client.channel(0x4000, b"not bound"), error=True)
    assert client.asked(REFRESH, []) == 0
    living = sums(server)
    assert client.asked(REFRESH, [(0x0D, bytes(4))]) == 0
    ended = sums(server)
    assert [after - first for first, after in zip(before, ended, strict=True)] == [
        client.sent,
        client.sent_bytes,
        client.got,
        client.got_bytes,
        client.errors,
    ]
    assert all(first <= after for pair in pairwise([before, living, ended]) for first, after in zip(*pair, strict=True))


def sums(server: Running) -> list[int]:
    """All sessions, of all workers."""
    totals = [one.sessions for one in server.wait(server.server.engine.totals(server.server.workers))]
    names = ("received_pkts", "received_bytes", "send_pkts", "send_bytes", "error_pkts")
    return [sum(getattr(one, name) for one in totals) for name in names]


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_come_from_the_address_that_was_asked(workers: int) -> None:
    """A listener on 0.0.0.0 is asked on three of its addresses, by one client's socket: each answers for itself."""
    turn = {
        "realm": "hairpin.test",
        "workers": workers,
        "interfaces": [{"transport": kind, "bind": "0.0.0.0:0", "external": "127.0.0.1:0"} for kind in ("udp", "tcp")],
    }
    with running(configuration(turn=turn, relay={"bind": "127.0.0.1"})) as server:
        _, port = server.address(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
            mine.bind(("0.0.0.0", 0))
            mine.settimeout(10)
            for ip in ("127.0.0.1", "127.0.0.2", "127.9.9.9", "127.0.0.1"):
                mine.sendto(build(BINDING, os.urandom(12), []), (ip, port))
                assert mine.recvfrom(100)[1] == (ip, port)
        for ip in ("127.0.0.1", "127.0.0.2"):
            for index, tcp in enumerate((False, True)):
                with Client((ip, server.address(index)[1]), tcp=tcp) as client:
                    assert client.allocate()[0] == "127.0.0.1"
                    assert client.refresh(700) == 700


@pytest.mark.parametrize("workers", [1, 2])
def test_every_address_of_ipv6_answers_for_itself(workers: int) -> None:
    """[::] with an external address answers on ::1, from ::1."""
    turn = {
        "realm": "hairpin.test",
        "workers": workers,
        "interfaces": [{"transport": "udp", "bind": "[::]:0", "external": "[::1]:0"}],
    }
    with (
        running(configuration(turn=turn, relay={"bind": "::1"})) as server,
        Client(("::1", server.address()[1])) as client,
    ):
        assert client.binding() == client.address
        assert client.allocate(version=6)[0] == "::1"


def test_strangers_get_three_times_their_bytes_at_most(server: Running) -> None:
    """Binding, 401, 400, 420 and 438 over UDP, headers counted in; the smallest requests too, on IPv4 and IPv6."""
    unknown = [(0x7000 + number, b"") for number in range(60)]
    for index, version in ((0, 4), (2, 6)):
        with server.client(index, allocate=False) as client:
            client.learn(client.exchange(build(ALLOCATE, os.urandom(12), [])))
            known = [(6, b"u"), (0x14, client.realm), (0x15, b"stale")]
            requests = [
                build(method, os.urandom(12), attributes, key, fingerprint=fingerprint)
                for fingerprint in (False, True)
                for method, attributes, key in (
                    (BINDING, [], None),
                    (BINDING, unknown, None),
                    (ALLOCATE, [], None),
                    (REFRESH, unknown, None),
                    (REFRESH, [], b"key"),
                    (ALLOCATE, known, b"key"),
                )
            ]
            found = []
            for request in requests:
                answer = client.exchange(request)
                found.append(answer.error)
                assert len(answer.raw) + HEADERS[version] <= 3 * (len(request) + HEADERS[version])
                assert answer.get(0x8022) is None  # no SOFTWARE for strangers
            assert set(found) == {0, 400, 401, 420, 438}
