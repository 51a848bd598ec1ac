"""Whoever proves nothing costs nothing: floods of strangers, beside sessions that must not notice."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from client import ALLOCATE, TRANSPORT, UDP_RELAY, Client, build
from serving import Serving, serving

ADDRESSES, SOURCES, SESSIONS = 4_000, 10, 1_000
GROWTH = 4_000_000


@pytest.fixture(params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    """A server of its own for each test: what others left on one would count."""
    with serving(tmp_path, request.param) as made:
        yield made


def test_strangers_of_many_addresses_leave_nothing(server: Serving) -> None:
    """4,000 addresses ask for the 401, answer it with a key that is wrong, or forge a nonce: memory stays as it was."""
    with Client(server.address) as live, Client(server.address) as other:
        relays = live.allocate(), other.allocate()
        live.bind(0x4000, relays[1])
        other.bind(0x4000, relays[0])
        from_strangers(server, range(ADDRESSES // 4))  # what is made once is made
        before = server.resident()
        for start in range(0, ADDRESSES, 100):
            from_strangers(server, range(start, start + 100))
            live.send_channel(0x4000, data := start.to_bytes(4))
            assert other.receive() == (0x4000, data)
        assert server.resident() - before < GROWTH
        assert len(server.sessions()) == 2


def from_strangers(server: Serving, numbers: range) -> None:
    """Each from an address of its own: an Allocate, one with a wrong key, and one with a nonce of its own making."""
    for number in numbers:
        own = f"127.{20 + number // 60_000}.{number // 250 % 240}.{1 + number % 250}"
        with Client(server.address, own=own) as stranger:
            stranger.learn(stranger.exchange(build(ALLOCATE, os.urandom(12), [(TRANSPORT, UDP_RELAY)])))
            stranger.key = b"wrong"
            assert stranger.exchange(stranger.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)])).error == 401
            stranger.nonce = os.urandom(18).hex()[: len(stranger.nonce)].encode()
            assert stranger.exchange(stranger.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)])).error == 438


def test_requests_with_a_wrong_key_starve_nobody(server: Serving) -> None:
    """Ten sources send them all the time, with good nonces: each of 1,000 sessions has its Refresh answered at once."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(Client(server.address)) for _ in range(SESSIONS)]
        for session in sessions:
            session.allocate()
        sent = stack.enter_context(flooded(server))
        for session in sessions:
            assert session.refresh(900) == 900
        assert all(sent)


@contextmanager
def flooded(server: Serving) -> Iterator[list[int]]:
    """How many requests each source has sent; all go on until the block ends."""
    over, sent = threading.Event(), [0] * SOURCES
    with ExitStack() as stack:
        sources = [stack.enter_context(Client(server.address, own=f"127.9.9.{1 + n}")) for n in range(SOURCES)]
        messages = []
        for source in sources:
            source.learn(source.exchange(build(ALLOCATE, os.urandom(12), [])))
            source.key = b"wrong"
            messages.append(source.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)]))

        def flood() -> None:
            while not over.is_set():
                for number, source in enumerate(sources):
                    source.socket.send(messages[number])
                    sent[number] += 1

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            yield sent
        finally:
            over.set()
            thread.join()
