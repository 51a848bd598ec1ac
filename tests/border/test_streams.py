"""TCP and TLS: frames cut and joined anyhow, half messages, silence, slow readers."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from client import ALLOCATE, BINDING, CHANNEL_BIND, INTEGRITY, TRANSPORT, UDP_RELAY, Client, build, parse
from running import Running, configuration, running

PATIENCE = 30  # seconds
LISTENERS = (("tcp", "127.0.0.1:0"), ("udp", "127.0.0.1:0"), ("tls", "127.0.0.1:0"))
TLS = 2


@pytest.fixture(scope="module", params=[("tcp", 1), ("tcp", 2), ("tls", 1), ("tls", 2)], ids=str)
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process, whose streams go over TCP or TLS; one worker, and two."""
    kind, workers = request.param
    with running(configuration((kind, "127.0.0.1:0"), ("udp", "127.0.0.1:0"), workers=workers)) as made:
        yield made


def padded(number: int, data: bytes) -> bytes:
    """ChannelData as a stream carries it."""
    return struct.pack("!HH", number, len(data)) + data + bytes(-len(data) % 4)


def binding() -> bytes:
    """A Binding request."""
    return build(BINDING, os.urandom(12), [])


def test_single_bytes(server: Running, peer: socket.socket) -> None:
    """A whole set-up and data, written byte by byte, each byte a segment."""
    with server.client() as client:
        client.bind(0x4000, peer.getsockname())
        for message in (binding(), client.sign(4, []), padded(0x4000, b"hello"), padded(0x4000, b""), binding()):
            for byte in message:
                client.socket.sendall(bytes([byte]))
        assert [peer.recv(100), peer.recv(100)] == [b"hello", b""]
        assert sorted(parse(client.frame(10)).method for _ in range(3)) == [1, 1, 4]


def test_frames_back_to_back(server: Running, peer: socket.socket) -> None:
    """Hundreds of frames of every length in one write, whole or cut anywhere, are taken apart as they were joined."""
    with server.client() as client:
        client.bind(0x4000, peer.getsockname())
        payloads = [bytes([size % 251]) * size for size in range(0, 1200, 10)]
        stream = b"".join(padded(0x4000, data) + (binding() if len(data) % 200 == 0 else b"") for data in payloads)
        for piece in (len(stream), 1000, 4097):
            threads = threading.Thread(target=in_pieces, args=(client.socket, stream, piece))
            threads.start()
            assert [peer.recv(2000) for _ in payloads] == payloads
            threads.join()
            assert [parse(client.frame(10)).method for _ in range(6)] == [BINDING] * 6


def in_pieces(stream: socket.socket, data: bytes, size: int) -> None:
    """Write a stream in pieces of one size."""
    for at in range(0, len(data), size):
        stream.sendall(data[at : at + size])


@pytest.mark.parametrize("junk", [b"\x80\0\0\0", b"\x16\x03\x01\x02\0\x01\0", b"\0\x01\0\x03"])
def test_what_is_no_frame_closes_the_connection(server: Running, junk: bytes) -> None:
    """Behind such bytes nothing can be read any more; the session ends, and the next connection is served."""
    with server.client() as client:
        client.socket.sendall(binding() + junk)
        assert parse(client.frame(10)).method == BINDING
        with pytest.raises((EOFError, ConnectionResetError)):
            client.frame(10)
        with server.client() as another:
            assert another.binding() == another.address
            assert [one["address"] for one in server.ask("GET", "/session", transport="tcp")[1]] == [
                "{}:{}".format(*another.address)
            ]


def test_a_stream_goes_on_after_its_session(server: Running, peer: socket.socket) -> None:
    """After Refresh with LIFETIME 0, and after a login that failed, the same connection allocates anew."""
    with server.client() as client:
        right, first = client.key, client.relay
        assert client.refresh(0) == 0
        client.key = b"wrong"
        assert client.exchange(client.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)])).error == 401
        client.key = right
        assert client.allocate() != first
        client.bind(0x4000, peer.getsockname())
        client.send_channel(0x4000, b"again")
        assert peer.recv(100) == b"again"


def closed_after(client: Client, result: dict[str, float], name: str, began: float, keep: Any = None) -> None:
    """Wait for the end of the connection; `keep` is done once a second meanwhile."""
    while True:
        try:
            client.frame(1 if keep else PATIENCE + 15)
        except TimeoutError:
            if keep is None:
                raise
        except (EOFError, ConnectionResetError, BrokenPipeError):
            result[name] = time.monotonic() - began
            return
        if keep and time.monotonic() - began > PATIENCE + 15:
            return
        if keep:
            keep(client)


def fail_to_log_in(client: Client) -> None:
    """A login with a wrong password: it proves nothing."""
    if not client.nonce:
        client.learn(client.exchange(client.sign(ALLOCATE, [])))
    client.key = b"wrong"
    client.socket.sendall(client.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)]))


def drip(client: Client) -> None:
    """One byte more of a message that never ends."""
    client.socket.sendall(b"x")


def test_who_proves_nothing_and_who_stalls_is_closed_after_30_seconds() -> None:
    """A stranger who is silent, asks Bindings or fails to log in, and half a message of a session, at rest or dripping;
    a TLS handshake that does not begin, and one that does not end.

    A session that is merely silent stays.
    """
    with running(configuration(*LISTENERS, workers=2)) as server:
        silent, asking, failing = (server.client(allocate=False) for _ in range(3))
        half, dripping, live = (server.client() for _ in range(3))
        mute, greeting = (Client(server.address(TLS), tcp=True) for _ in range(2))
        greeting.socket.sendall(b"\x16\x03\x01\x02\x00\x01")
        half.socket.sendall(binding()[:11])
        dripping.socket.sendall(build(BINDING, bytes(12), [(0x8022, bytes(1000))])[:100])
        closed: dict[str, float] = {}
        began = time.monotonic()
        threads = [
            threading.Thread(target=closed_after, args=(client, closed, name, began, keep))
            for name, client, keep in (
                ("silent", silent, None),
                ("asking", asking, lambda client: client.socket.sendall(binding())),
                ("failing", failing, fail_to_log_in),
                ("half", half, None),
                ("dripping", dripping, drip),
                ("mute", mute, None),
                ("greeting", greeting, None),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert closed.keys() == {"silent", "asking", "failing", "half", "dripping", "mute", "greeting"}
        assert server.drops()["tls_stalled"] == 1
        assert all(PATIENCE - 1 < seconds < PATIENCE + 10 for seconds in closed.values()), closed
        assert live.refresh(600) == 600
        assert [one["address"] for one in server.ask("GET", "/session")[1]] == ["{}:{}".format(*live.address)]
        for client in (silent, asking, failing, half, dripping, mute, greeting, live):
            client.socket.close()


def next_frame(client: Client) -> bytes:
    """A frame; when none is left, the answer to a Binding."""
    try:
        return client.frame(0.5)
    except TimeoutError:
        client.socket.sendall(binding())
        return client.frame(10)


def test_a_slow_reader_loses_whole_frames(server: Running, peer: socket.socket) -> None:
    """What it reads late is a stream of whole frames, in order, with gaps that are counted."""
    with server.client() as client:
        client.bind(0x4000, peer.getsockname())
        count, before = 0, server.drops()["slow_reader"]
        while server.drops()["slow_reader"] < before + 100:
            for _ in range(64):
                peer.sendto(struct.pack("!I", count) + bytes(1000), client.relay)
                count += 1
            assert count < 100_000
        got = []
        while (frame := next_frame(client))[0] & 0xC0:
            number, length, index = struct.unpack_from("!HHI", frame)
            assert (number, length, len(frame)) == (0x4000, 1004, 1008)
            assert not any(frame[8:])
            got.append(index)
        assert got == sorted(set(got))
        assert 0 < len(got) <= count - 100
        peer.sendto(b"and on", client.relay)
        assert client.receive() == (0x4000, b"and on")


def test_a_slow_reader_holds_up_nobody(server: Running, peer: socket.socket) -> None:
    """While one client reads nothing, another's packets come through, each of them."""
    with server.client() as slow, server.client(1) as other:
        slow.permit(peer.getsockname())
        other.bind(0x4000, peer.getsockname())
        for number in range(200):
            for _ in range(20):
                peer.sendto(bytes(1200), slow.relay)
            peer.sendto(b"%d" % number, other.relay)
            assert other.receive() == (0x4000, b"%d" % number)


@pytest.mark.parametrize("index", [0, 1], ids=["tcp", "udp"])
def test_fingerprint_is_echoed(server: Running, index: int) -> None:
    """An answer has FINGERPRINT where its request had it, signed or not, success or error, and nowhere else."""
    with server.client(index) as client:
        for fingerprint in (True, False):
            known = [(6, b"user"), (0x14, client.realm), (0x15, client.nonce)]
            for method, attributes, key in (
                (BINDING, [], None),
                (ALLOCATE, [], None),
                (ALLOCATE, known, client.key),
                (CHANNEL_BIND, known, client.key),
                (4, known, client.key),
                (4, known, b"wrong"),
            ):
                message = build(method, os.urandom(12), attributes, key, fingerprint=fingerprint)
                answer = client.exchange(message)
                assert (answer.attributes[-1][0] == 0x8028) == fingerprint
                if fingerprint:
                    rest = [(code, value) for code, value in answer.attributes if code not in (0x8028, INTEGRITY)]
                    signed = client.key if answer.get(INTEGRITY) else None
                    kind = answer.method | answer.kind
                    assert build(kind, answer.transaction, rest, signed, fingerprint=True) == answer.raw
