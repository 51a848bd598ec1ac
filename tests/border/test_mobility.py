"""Mobility (RFC 8016) on real sockets: a session moves between five-tuples and workers, and loses nothing."""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from client import (
    ALLOCATE,
    LIFETIME,
    REFRESH,
    TRANSPORT,
    UDP_RELAY,
    XOR_RELAYED_ADDRESS,
    Answer,
    Client,
    TurnError,
)
from running import EVERYWHERE, Running, configuration, running

TICKET = 0x8030
WORKER = 56  # where a flow's number tells its worker
UDP4, TCP4, UDP6, TCP6 = range(4)
HELD = 64  # packets of a session that is on its way
TRIES = 100


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server with two workers, whose clients may move."""
    with moving_server(2) as made:
        yield made


def moving_server(workers: int) -> AbstractContextManager[Running]:
    """On every transport."""
    turn = configuration(*EVERYWHERE, workers=workers).turn.model_dump() | {"mobility": True}
    return running(configuration(turn=turn))


def allocate(client: Client) -> bytes:
    """A mobile allocation: its ticket."""
    answer = client.request(ALLOCATE, [(TRANSPORT, UDP_RELAY), (TICKET, b"")])
    client.relay = answer.address(XOR_RELAYED_ADDRESS)
    return shown(answer)


def shown(answer: Answer) -> bytes:
    """The ticket in an answer."""
    ticket = answer.get(TICKET)
    assert ticket is not None
    assert len(ticket) == 32
    return ticket


def resume(new: Client, old: Client, ticket: bytes) -> bytes:
    """Refresh from elsewhere: the next ticket."""
    answer = new.request(REFRESH, [(LIFETIME, struct.pack("!I", 600)), (TICKET, ticket)])
    new.relay, old.relay = old.relay, ("", 0)
    return shown(answer)


def worker(server: Running, client: Client, *, expected: bool) -> int:
    """Whose a client's five-tuple is: that of its session, or one where a session is expected."""
    if not expected:
        return server.flow(client) >> WORKER
    state = server.server.rules.state
    flows = server.call(lambda: {s.coming.client.port: s.coming.flow for s in state.sessions.values() if s.coming})
    return flows[client.address[1]] >> WORKER


@pytest.fixture(params=[(0, 0), (0, 1), (1, 0)], ids=["same-worker", "0-to-1", "1-to-0"])
def workers(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Whose the old and the new five-tuple are."""
    pair: tuple[int, int] = request.param
    return pair


@pytest.fixture(
    params=[(UDP4, UDP4), (UDP4, TCP4), (TCP4, UDP4), (TCP4, TCP4), (UDP4, UDP6), (TCP6, UDP4)],
    ids=["udp-udp", "udp-tcp", "tcp-udp", "tcp-tcp", "udp4-udp6", "tcp6-udp4"],
)
def moved(server: Running, workers: tuple[int, int], request: pytest.FixtureRequest) -> Iterator[tuple[Client, Client]]:
    """A client where it was and where it has resumed, on those workers; it has sent nothing from there yet."""
    with ExitStack() as stack:
        old, ticket = begin(server, stack, request.param[0], workers[0])
        for _ in range(TRIES):
            new = stack.enter_context(server.client(request.param[1], allocate=False))
            ticket = resume(new, old, ticket)
            if worker(server, new, expected=True) == workers[1]:
                yield old, new
                return
            old.relay, new.relay = new.relay, ("", 0)
        raise AssertionError(f"the kernel gives worker {workers[1]} nothing")


def begin(server: Running, stack: ExitStack, index: int, wanted: int) -> tuple[Client, bytes]:
    """A client with an allocation on that worker, and its ticket."""
    for _ in range(TRIES):
        client = stack.enter_context(server.client(index, allocate=False))
        ticket = allocate(client)
        if worker(server, client, expected=False) == wanted:
            return client, ticket
        client.refresh(0)
        client.relay = ("", 0)
    raise AssertionError(f"the kernel gives worker {wanted} nothing")


def is_over(server: Running, client: Client) -> None:
    """A stream was closed; a datagram client has no allocation any more."""
    if client.tcp:
        with pytest.raises((EOFError, ConnectionResetError)):
            client.frame(10)
        return
    with pytest.raises(TurnError) as refused:
        client.refresh(600)
    assert refused.value.code == 437


def test_m_3_2_2_the_old_place_receives_until_the_new_one_sends(
    server: Running, moved: tuple[Client, Client], peer: socket.socket
) -> None:
    """ChannelData and Data go to the old five-tuple until the first packet from the new one, then there."""
    old, new = moved
    relay = new.relay
    old.bind(0x4000, peer.getsockname())
    for number in range(10):
        peer.sendto(b"old %d" % number, relay)
        assert old.receive() == (0x4000, b"old %d" % number)
        old.send_channel(0x4000, b"from old")
        assert peer.recvfrom(100) == (b"from old", relay)
    new.send_channel(0x4000, b"from new")
    assert peer.recvfrom(100) == (b"from new", relay)
    for number in range(10):
        peer.sendto(b"new %d" % number, relay)
        assert new.receive() == (0x4000, b"new %d" % number)
        new.send_data(peer.getsockname(), b"from new")
        assert peer.recvfrom(100) == (b"from new", relay)
    is_over(server, old)
    assert not old.arrived
    new.refresh(0)
    new.relay = ("", 0)


def test_m_3_2_2_requests_from_the_new_place_do_not_move_it(
    server: Running, moved: tuple[Client, Client], peer: socket.socket
) -> None:
    """CreatePermission and ChannelBind there are the session's, and what peers send still goes to the old place."""
    old, new = moved
    new.permit(peer.getsockname())
    peer.sendto(b"indication", new.relay)
    assert old.receive() == (peer.getsockname(), b"indication")
    new.bind(0x4001, peer.getsockname())
    peer.sendto(b"channel", new.relay)
    assert old.receive() == (0x4001, b"channel")
    new.send_data(peer.getsockname(), b"here")
    assert peer.recv(100) == b"here"
    peer.sendto(b"there", new.relay)
    assert new.receive() == (0x4001, b"there")


def test_what_was_sent_before_the_session_came_is_relayed_when_it_is_there(
    server: Running, moved: tuple[Client, Client], peer: socket.socket
) -> None:
    """With Python asleep the new place's first 64 packets wait, in order; peers reach the old one; nothing is lost."""
    old, new = moved
    old.bind(0x4000, peer.getsockname())
    sent = [b"%d" % number for number in range(HELD)]
    with server.asleep():
        for data in sent:
            new.send_channel(0x4000, data)
        for data in sent:
            peer.sendto(data, new.relay)
            assert old.receive() == (0x4000, data)
    assert [peer.recv(100) for _ in sent] == sent
    peer.sendto(b"new", new.relay)
    assert new.receive() == (0x4000, b"new")


def test_commands_behind_the_move_come_after_it(
    server: Running, moved: tuple[Client, Client], peer: socket.socket
) -> None:
    """A permission that is asked for right behind the first data holds for what follows, 20 times in a row."""
    old, new = moved
    old.permit(peer.getsockname())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        second.bind(("127.0.0.1", 0))
        second.settimeout(10)
        new.send_data(peer.getsockname(), b"first")
        new.bind(0x4007, second.getsockname())
        new.send_channel(0x4007, b"second")
        assert second.recvfrom(100) == (b"second", new.relay)
        assert peer.recv(100) == b"first"
        second.sendto(b"back", new.relay)
        assert new.receive() == (0x4007, b"back")


def test_two_clients_that_met_meet_on(server: Running, moved: tuple[Client, Client]) -> None:
    """Who has a channel to the relay of a session that moves reaches it before and after, both ways."""
    old, new = moved
    with ExitStack() as stack:
        others = [begin(server, stack, index, number)[0] for index, number in ((UDP4, 0), (UDP4, 1), (TCP4, 1))]
        for number, other in enumerate(others, 0x4000):
            other.bind(0x4000, new.relay)
            old.bind(number, other.relay)
            other.send_channel(0x4000, b"before")
            assert old.receive() == (number, b"before")
        new.send_channel(0x4000, b"hello")
        assert others[0].receive() == (0x4000, b"hello")
        for number, other in enumerate(others, 0x4000):
            other.send_channel(0x4000, b"after")
            assert new.receive() == (number, b"after")
            new.send_channel(number, b"back")
            assert other.receive() == (0x4000, b"back")


def test_figures_go_along_and_sums_only_grow(
    server: Running, moved: tuple[Client, Client], peer: socket.socket
) -> None:
    """A session's statistics go on where they were; the sum over all workers is as before."""
    old, new = moved
    old.bind(0x4000, peer.getsockname())
    for _ in range(50):
        old.send_channel(0x4000, bytes(100))
        peer.recv(200)
    before, sums = figures(server, old), totals(server)
    assert before["received_pkts"] >= 50
    assert to_peers(server, old) == 5000
    new.send_channel(0x4000, bytes(100))
    peer.recv(200)
    after = figures(server, new)
    assert after["received_bytes"] >= before["received_bytes"] + 104
    assert after["send_bytes"] >= before["send_bytes"]
    assert totals(server) == (sums[0] + 104, sums[1], sums[2] + 100)
    assert to_peers(server, new) == 5100


def figures(server: Running, client: Client) -> dict[str, int]:
    """GET /session/statistics of the client at this address."""
    host = f"[{client.address[0]}]" if ":" in client.address[0] else client.address[0]
    transport = "tcp" if client.tcp else "udp"
    status, found = server.ask("GET", "/session/statistics", address=f"{host}:{client.address[1]}", transport=transport)
    assert status == 200, found
    counters: dict[str, int] = found
    return counters


def to_peers(server: Running, client: Client) -> int:
    """Bytes that went to peers from the session of the client at this address."""
    found = server.wait(server.server.engine.statistics(server.flow(client)))
    assert found is not None
    return found.peers_send_bytes


def totals(server: Running) -> tuple[int, int, int]:
    """Bytes that all sessions sent and got, and those that went on to peers."""
    sessions = [one.sessions for one in server.wait(server.server.engine.totals(server.server.workers))]
    return (
        sum(one.received_bytes for one in sessions),
        sum(one.send_bytes for one in sessions),
        sum(one.peers_send_bytes for one in sessions),
    )


def test_delete_takes_effect_wherever_it_is(server: Running, moved: tuple[Client, Client], peer: socket.socket) -> None:
    """The session is found by its new address once it has moved, and its relay is closed when the 200 comes."""
    old, new = moved
    old.bind(0x4000, peer.getsockname())
    new.send_channel(0x4000, b"moved")
    assert peer.recv(100) == b"moved"
    host = f"[{new.address[0]}]" if ":" in new.address[0] else new.address[0]
    place = {"address": f"{host}:{new.address[1]}", "transport": "tcp" if new.tcp else "udp"}
    assert server.ask("DELETE", "/session", **place) == (200, {"deleted": 1})
    peer.connect(new.relay)
    peer.send(b"too late")
    with pytest.raises(ConnectionRefusedError):
        peer.recv(100)
    new.relay = ("", 0)


@pytest.mark.parametrize("index", [TCP4, UDP4], ids=["to-tcp", "to-udp"])
@pytest.mark.parametrize("closed_first", [True, False], ids=["closed-before", "closed-after"])
def test_m_a_connection_that_ends_leaves_the_allocation_to_its_ticket(
    server: Running, peer: socket.socket, index: int, closed_first: bool
) -> None:
    """Who has lost its connection comes back by its ticket; who was expected elsewhere is there at once."""
    with ExitStack() as stack:
        old, ticket = begin(server, stack, TCP4, 0)
        old.bind(0x4000, peer.getsockname())
        relay = old.relay
        new = stack.enter_context(server.client(index, allocate=False))
        if closed_first:
            old.socket.close()
            resume(new, old, ticket)
        else:
            resume(new, old, ticket)
            old.socket.close()
            end = time.monotonic() + 10
            while whose(server, relay) != new.address[1]:
                assert time.monotonic() < end
            peer.sendto(b"at once", relay)
            assert new.receive() == (0x4000, b"at once")
        new.send_channel(0x4000, b"here")
        assert peer.recvfrom(100) == (b"here", relay)
        peer.sendto(b"there", relay)
        assert new.receive() == (0x4000, b"there")


def whose(server: Running, relay: tuple[str, int]) -> int:
    """The port of the client whose relay this is."""
    sessions = server.call(lambda: list(server.server.rules.sessions.values()))
    return next(s.client.port for s in sessions if s.allocation and s.allocation.relays[0].external.port == relay[1])


@pytest.mark.parametrize("count", [1, 2], ids=["one-worker", "two-workers"])
def test_fifty_moves_in_a_row(count: int, peer: socket.socket) -> None:
    """From five-tuple to five-tuple, over UDP and TCP in turn, one session with its channel, and no message lost."""
    with moving_server(count) as server, ExitStack() as stack:
        old = stack.enter_context(server.client(UDP4, allocate=False))
        ticket = allocate(old)
        old.bind(0x4000, peer.getsockname())
        relay = old.relay
        for number in range(50):
            new = stack.enter_context(server.client((UDP4, TCP4, UDP6)[number % 3], allocate=False))
            ticket = resume(new, old, ticket)
            new.send_channel(0x4000, b"%d" % number)
            assert peer.recvfrom(100) == (b"%d" % number, relay)
            peer.sendto(b"back %d" % number, relay)
            assert new.receive() == (0x4000, b"back %d" % number)
            old = new
        assert len(server.call(lambda: list(server.server.rules.sessions))) == 1
        assert server.ask("GET", "/info")[1]["port_allocated"] == 1


def test_m_3_2_2_a_stranger_with_a_ticket_gets_437_and_another_user_441(server: Running) -> None:
    """A forged ticket finds nothing; a true one is worth nothing without the credentials of its session."""
    with ExitStack() as stack:
        _, ticket = begin(server, stack, UDP4, 0)
        new = stack.enter_context(server.client(UDP4, allocate=False))
        thief = stack.enter_context(server.client(UDP4, allocate=False, user="other", password="word"))
        for client, value, code in ((new, os.urandom(16).hex().encode(), 437), (thief, ticket, 441)):
            with pytest.raises(TurnError) as refused:
                client.request(REFRESH, [(TICKET, value)])
            assert refused.value.code == code
