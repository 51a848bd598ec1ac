"""Python that does not keep up, servers that stop and start, and two of them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Any

import pytest

from client import ALLOCATE, REFRESH, TRANSPORT, UDP_RELAY, Client, TurnError, parse
from hairpin import ConfigError
from hairpin._core import Core, Listener, Options, Totals
from hairpin.stun import Address
from running import EVERYWHERE, REALM, Running, configuration, running

STRANGERS = 1024  # places in the queue of those who are not known yet
FLOOD = 20_000
MEGABYTE = 1 << 20


@pytest.fixture(params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process."""
    with running(configuration(*EVERYWHERE, workers=request.param)) as made:
        yield made


def resident() -> int:
    """Bytes of this process in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


def take_all(core: Core) -> list[object]:
    """Whatever is in the queues, with the figures of the one worker at some place."""
    core.totals(7)
    found: list[object] = []
    while not any(isinstance(event, Totals) for event in found):
        assert select([core.fileno()], [], [], 10)[0]
        found += core.drain(10 * STRANGERS)
    return found + core.drain(10 * STRANGERS)


def flood(client: Client, count: int) -> None:
    """So many requests with a valid nonce and no valid key, as fast as the server takes them."""
    client.key = None
    client.learn(client.exchange(client.sign(ALLOCATE, [])))
    client.key = b"wrong"
    for number in range(count):
        client.socket.sendall(client.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)]))
        if number % 64 == 63:
            assert client.binding() == client.address
    assert client.binding() == client.address  # all of them were judged


def test_a_full_queue_drops_and_counts() -> None:
    """Python takes nothing: the queue of strangers fills, the rest is counted, memory is bounded, Bindings go on."""
    options = Options(realm=REALM, nonce_secret=bytes(32), limiter_seed=1, relays=[])
    core = Core(options, [Listener(0, Address("127.0.0.1", 0))], 1)
    try:
        core.start()
        ((address, _),) = core.listeners()
        with Client((address.ip, address.port)) as client:
            flood(client, 2 * STRANGERS)
            before = resident()
            flood(client, FLOOD)
            assert resident() - before < 8 * MEGABYTE
        events = take_all(core)
        (figures,) = (event for event in events if isinstance(event, Totals))
        assert len(events) == 1 + STRANGERS
        assert figures.drops["queue_full"] == 2 * STRANGERS + FLOOD - STRANGERS
    finally:
        core.stop()


def test_service_goes_on_after_the_queue_was_full(server: Running) -> None:
    """A live session's Refresh is served first, and a newcomer allocates, as soon as Python is awake again."""
    with server.client() as live, server.client(allocate=False) as stranger, server.client(allocate=False) as late:
        with server.asleep():
            flood(stranger, 2 * STRANGERS)
        assert live.refresh(700) == 700
        assert late.allocate()
        assert server.drops()["queue_full"] >= STRANGERS
        assert len(server.ask("GET", "/session")[1]) == 2


def test_verified_requests_have_a_queue_of_their_own(server: Running) -> None:
    """A flood of strangers takes no place of a live session's: its request waits, and is answered once."""
    with server.client() as live, server.client(allocate=False) as stranger:
        with server.asleep():
            flood(stranger, 2 * STRANGERS)
            live.socket.sendall(live.sign(REFRESH, []))
        answer = parse(live.frame(10))
        assert (answer.method, answer.error) == (REFRESH, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_ends_everything(workers: int) -> None:
    """Sessions are ended, streams closed, relay and listener ports free, and no thread is left."""
    threads = threading.active_count()
    with running(configuration(*EVERYWHERE, workers=workers)) as server:
        udp, tcp = server.client(0), server.client(1)
        waiting = server.client(1, allocate=False)
        addresses = [server.address(0), udp.relay, tcp.relay]
    for stream in (tcp, waiting):
        with pytest.raises((EOFError, ConnectionResetError)):
            stream.frame(10)
    for address in addresses:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
            mine.bind(address)
    assert threading.active_count() == threads
    assert not [name for name in thread_names() if "hairpin" in name]
    for client in (udp, tcp, waiting):
        client.socket.close()


def thread_names() -> Iterator[str]:
    """Of every thread of this process, but for one that ends at this moment."""
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            yield (task / "comm").read_text()


def test_a_stop_under_load(server: Running) -> None:
    """Clients that send all the time do not hold it up; the fixture fails where the stop takes 30 s."""
    over = threading.Event()
    with server.client() as sender, server.client() as receiver:
        sender.bind(0x4000, receiver.relay)
        receiver.permit(sender.relay)

        def send() -> None:
            while not over.is_set():
                try:
                    sender.send_channel(0x4000, bytes(100))
                except OSError:
                    return

        thread = threading.Thread(target=send)
        thread.start()
        try:
            assert receiver.receive()[1] == bytes(100)
            server.wait(server.server.__aexit__(None, None, None))
        finally:
            over.set()
            thread.join()


def test_two_servers_in_one_process() -> None:
    """They know nothing of each other: sessions, users and credentials are their own."""
    other = configuration(*EVERYWHERE, auth={"static_credentials": {"user": "another"}})
    with running(configuration(*EVERYWHERE)) as one, running(other) as two:
        with one.client() as here, two.client(password="another") as there:
            assert here.binding() == here.address
            assert there.binding() == there.address
            assert [len(server.ask("GET", "/session")[1]) for server in (one, two)] == [1, 1]
            with two.client(allocate=False) as wrong, pytest.raises(TurnError, match="401"):
                wrong.allocate()
        assert one.server.run_id != two.server.run_id


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_port_in_use_is_said_before_anything_is_served(kind: str) -> None:
    """ConfigError names the interface's key; the API's address is free again."""
    with running(configuration((kind, "127.0.0.1:0"))) as first:
        ip, port = first.address()
        tables: dict[str, Any] = {"api": {"bind": "127.0.0.1:0"}}
        with (
            pytest.raises(ConfigError) as refused,
            running(configuration(("udp", "127.0.0.1:0"), (kind, f"{ip}:{port}"), **tables)),
        ):
            pass
        assert "turn.interfaces[1].bind" in str(refused.value)
        assert f"{ip}:{port}" in str(refused.value)
        api = first.server.api_address
        with (
            pytest.raises(ConfigError) as refused,
            running(configuration(("udp", "127.0.0.1:0"), api={"bind": str(api)})),
        ):
            pass
        assert "api.bind" in str(refused.value)
        with first.client() as client:
            assert client.binding() == client.address


def test_a_restart_makes_nonces_stale() -> None:
    """A client that goes on with its old nonce gets 438 and a new one, with which it is let in."""
    with running(configuration(("udp", "127.0.0.1:0"))) as before:
        client = before.client()
        ip, port = before.address()
    with client, running(configuration(("udp", f"{ip}:{port}"))):
        answer = client.exchange(client.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)]))
        assert answer.error == 438
        assert not answer.signed(client.key or b"")
        client.learn(answer)
        assert client.exchange(client.sign(ALLOCATE, [(TRANSPORT, UDP_RELAY)])).error == 0
