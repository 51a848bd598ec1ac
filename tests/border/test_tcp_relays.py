"""TCP allocations (RFC 6062) over real sockets: who connects to whom, and every byte on the way."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from client import TurnError
from relaying import Control, Data, listening, over, read
from running import EVERYWHERE, Running, configuration, running

WORKER = 56  # where a flow's number tells its worker
LARGE = 20 << 20
TWO_WORKERS = pytest.mark.parametrize(
    "workers", [(0, 0), (0, 1), (1, 0)], ids=["same-worker", "two-workers", "two-workers-reversed"]
)


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process, with TCP relays."""
    with relaying(workers=request.param) as made:
        yield made


@contextmanager
def relaying(**settings: Any) -> Iterator[Running]:
    """A server with TCP relays."""
    with running(configuration(*EVERYWHERE, relay={"tcp": True}, **settings)) as made:
        yield made


@contextmanager
def control(server: Running, index: int = 1) -> Iterator[Control]:
    """A client with a TCP allocation."""
    with Control(server.address(index), tcp=True) as made:
        made.allocate(version=4 if index == 1 else 6)
        yield made


@contextmanager
def meeting(server: Running, index: int = 1) -> Iterator[tuple[Control, Data, socket.socket]]:
    """A client, its data connection, and the peer at the other end."""
    with (
        control(server, index) as client,
        listening(client.relay[0]) as peer,
        client.data(client.connect(peer.getsockname()[:2])) as data,
        peer.accept()[0] as far,
    ):
        yield client, data, far


def refusal(work: Callable[..., object], *arguments: object) -> int:
    """The error of a request, 0 for success."""
    try:
        work(*arguments)
    except TurnError as error:
        return error.code
    return 0


@pytest.mark.parametrize("index", [1, 3], ids=["ipv4", "ipv6"])
def test_a_connection_leaves_from_the_relay(server: Running, index: int) -> None:
    """RFC 6062, 5.2: the peer sees the relayed transport address; bytes go both ways as they are."""
    with meeting(server, index) as (client, data, far):
        assert far.getpeername()[:2] == client.relay
        data.socket.sendall(b"\x40\x00\xff\xffnot a frame")
        assert read(far, 15) == b"\x40\x00\xff\xffnot a frame"
        far.sendall(b"\x00\x01 nor this")
        assert data.read(11) == b"\x00\x01 nor this"


@pytest.mark.parametrize("index", [1, 3], ids=["ipv4", "ipv6"])
def test_a_peer_with_a_permission_connects(server: Running, index: int) -> None:
    """RFC 6062, 5.3: the client is told who it is; what the peer sends at once arrives when bound, with its end."""
    with control(server, index) as client:
        client.permit((client.relay[0], 9))
        with socket.create_connection(client.relay) as far:
            far.sendall(b"early")
            far.shutdown(socket.SHUT_WR)
            who, number = client.attempted()
            assert who == far.getsockname()[:2]
            with client.data(number) as data:
                assert data.read(100) == b"early"
                data.socket.sendall(b"late")
                assert read(far, 4) == b"late"


def test_without_a_permission_nobody_is_let_in(server: Running) -> None:
    """RFC 6062, 5.3: accepted and closed at once; the client hears nothing."""
    with control(server) as client, socket.create_connection(client.relay) as far:
        assert is_over(far)
        assert client.binding() == client.address


def is_over(stream: socket.socket) -> bool:
    """Whether nothing comes any more, be it an end or a reset."""
    stream.settimeout(10)
    try:
        return stream.recv(1) == b""
    except ConnectionResetError:
        return True


def test_refused_and_repeated(server: Running) -> None:
    """RFC 6062, 5.2: 447 where nobody listens, 446 for the same peer again, and after the end it is free again."""
    with control(server) as client, listening() as peer:
        address = peer.getsockname()
        number = client.connect(address)
        assert refusal(client.connect, address) == 446
        with peer.accept()[0], client.data(number):
            assert refusal(client.connect, address) == 446
        peer.close()
        assert retried(lambda: refusal(client.connect, address), 447) == 447


def retried(work: Callable[[], int], wanted: int) -> int:
    """The outcome, again while the end of a connection is still on its way to the server."""
    for _ in range(200):
        found = work()
        if found == wanted:
            return found
        time.sleep(0.02)  # nobody is told of the end of a connection
    return found


def test_bytes_behind_a_connection_bind_are_raw(server: Running) -> None:
    """What a client sends before it has the answer reaches the peer in order, whatever it looks like."""
    with control(server) as client, listening() as peer:
        for behind in (b"\x40\x00\x00\x02hi", b"\x80broken", os.urandom(60000)):
            number = client.connect(peer.getsockname())
            with client.data(number, behind) as data, peer.accept()[0] as far:
                data.socket.sendall(b"more")
                assert read(far, len(behind) + 4) == behind + b"more"
            assert retried(lambda: connections(server, client), 0) == 0


def connections(server: Running, client: Control) -> int:
    """How many connections the server keeps for that client."""
    flow = server.flow(client)
    return server.call(lambda: len(server.server.rules.sessions[flow].connections()))


def test_a_refused_connection_bind_leaves_a_connection_as_it_was(server: Running) -> None:
    """RFC 6062, 5.4: 400 for a number that nobody has; frames behind it are judged, and a right one is taken."""
    with control(server) as client, listening() as peer, Data(server.address(1), tcp=True) as data:
        assert refusal(data.bind_data, 12345) == 400
        assert data.binding() == data.address
        data.bind_data(client.connect(peer.getsockname()))
        with peer.accept()[0] as far:
            far.sendall(b"bound")
            assert data.read(5) == b"bound"


def test_who_may_bind(server: Running) -> None:
    """RFC 6062, 5.4: another user 441, a wrong password 401, UDP and a control connection 400; then once it works."""
    with control(server) as client, listening() as peer:
        number = client.connect(peer.getsockname())
        for user, password, code in (("other", "word", 441), ("user", "wrong", 401), ("nobody", "secret", 401)):
            with Data(server.address(1), user, password, tcp=True) as stranger:
                assert refusal(stranger.bind_data, number) == code
        with Data(server.address(0)) as udp:
            assert refusal(udp.bind_data, number) == 400
        assert refusal(Data.bind_data, client, number) == 400
        with client.data(number) as data, peer.accept()[0] as far:
            data.socket.sendall(b"at last")
            assert read(far, 7) == b"at last"
            assert refusal(client.data, number) == 400


def test_half_closes_go_both_ways(server: Running) -> None:
    """RFC 6062, 5.5: an end of one direction arrives behind all bytes, and the other direction goes on."""
    with meeting(server) as (_, data, far):
        data.socket.sendall(b"question")
        data.socket.shutdown(socket.SHUT_WR)
        assert read(far, 100) == b"question"
        far.sendall(b"answer")
        far.shutdown(socket.SHUT_WR)
        assert data.read(100) == b"answer"
    with meeting(server) as (_, data, far):
        far.shutdown(socket.SHUT_WR)
        assert data.read(100) == b""
        data.socket.sendall(b"still")
        assert read(far, 5) == b"still"


def test_one_side_that_breaks_takes_the_other_with_it(server: Running) -> None:
    """RFC 6062, 5.5: a reset of either side closes both."""
    for breaks in (0, 1):
        with meeting(server) as (_, data, far):
            sides = [data.socket, far]
            sides[breaks].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sides[breaks].close()
            assert is_over(sides[1 - breaks])


@pytest.mark.parametrize("slow", [False, True], ids=["fast-reader", "slow-reader"])
def test_large_transfers_both_ways_at_once(server: Running, slow: bool) -> None:
    """20 MiB each way arrive byte for byte; a reader that begins late loses nothing."""
    up, down = os.urandom(LARGE), os.urandom(LARGE)
    with meeting(server) as (_, data, far):
        senders = [threading.Thread(target=send, args=pair) for pair in ((data.socket, up), (far, down))]
        for sender in senders:
            sender.start()
        if slow:
            senders[0].join(0.3)
            assert all(sender.is_alive() for sender in senders)  # neither side is read, so both stand
        got: dict[str, bytes] = {}
        reader = threading.Thread(target=lambda: got.update(down=data.read(LARGE + 1)))
        reader.start()
        assert read(far, LARGE + 1) == up
        for thread in (reader, *senders):
            thread.join()
        assert got["down"] == down


def send(stream: socket.socket, data: bytes) -> None:
    """Send all, and say that it was all."""
    stream.settimeout(60)
    stream.sendall(data)
    stream.shutdown(socket.SHUT_WR)


@TWO_WORKERS
def test_a_data_connection_may_land_on_any_worker(workers: tuple[int, int]) -> None:
    """The stream moves to the worker of the control connection with all that was sent behind the request."""
    with relaying(workers=2) as server, ExitStack() as stack:
        client, data = (stack.enter_context(on_worker(server, worker)) for worker in workers)
        peer = stack.enter_context(listening())
        over(data)
        bytes_behind = os.urandom(50000)
        Data.bind_data(data, client.connect(peer.getsockname()), bytes_behind)  # type: ignore[arg-type]
        far = stack.enter_context(peer.accept()[0])
        data.socket.sendall(b"and more")
        assert read(far, 50008) == bytes_behind + b"and more"
        far.sendall(b"back")
        assert Data.read(data, 4) == b"back"  # type: ignore[arg-type]


def on_worker(server: Running, worker: int) -> Control:
    """A client whose five-tuple the kernel gave to that worker: 1 of 2 tries, 100 at most."""
    for _ in range(100):
        client = Control(server.address(1), tcp=True)
        client.allocate()
        if server.flow(client) >> WORKER == worker:
            return client
        client.socket.close()
    raise AssertionError(f"the kernel gives worker {worker} nothing")


@TWO_WORKERS
def test_two_clients_meet_inside(workers: tuple[int, int]) -> None:
    """A relay of ours is reached without the kernel's ports, by permission; each sees the other's relay as its peer."""
    with relaying(workers=2, peers={"allow": []}) as server, ExitStack() as stack:
        one, other = (stack.enter_context(on_worker(server, worker)) for worker in workers)
        with one.data(one.connect(other.relay)) as refused:
            assert refused.is_over()  # accepted and closed, as by any peer without a permission
        other.permit(one.relay)
        number = one.connect(other.relay)
        who, far_number = other.attempted()
        assert who == one.relay
        with one.data(number) as near, other.data(far_number) as far:
            near.socket.sendall(b"hello")
            near.socket.shutdown(socket.SHUT_WR)
            assert far.read(100) == b"hello"
            far.socket.sendall(os.urandom(1 << 20))
            far.socket.shutdown(socket.SHUT_WR)
            assert len(near.read(2 << 20)) == 1 << 20


def test_no_other_port_of_this_host_is_a_peer() -> None:
    """Every name of this machine, of its API, its listeners and what listens beside it: 403, or nobody there."""
    with relaying(peers={"allow": []}) as server, control(server) as client, listening() as secret:
        api = server.server.api_address
        ports = [secret.getsockname()[1], api.port, server.address(1)[1], 1]
        for ip in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1", "224.0.0.1"):
            assert [refusal(client.connect, (ip, port)) for port in ports] == [403] * 4
        assert refusal(client.connect, client.relay) == 0  # itself: a TCP relay, where it has no permission
        secret.settimeout(0)
        with pytest.raises(BlockingIOError):
            secret.accept()
    with relaying() as server, control(server) as client:
        for index in range(2):
            assert refusal(client.connect, server.address(index)) == 403
        assert refusal(client.connect, (server.server.api_address.ip, server.server.api_address.port)) == 403


@pytest.mark.parametrize("end", ["delete", "refresh", "disconnect"])
def test_the_end_of_the_session_ends_all(server: Running, end: str) -> None:
    """RFC 6062, 5.5: in the midst of a transfer both sides are closed, who waits is closed, and the port is free."""
    with meeting(server) as (client, data, far), listening() as other:
        client.connect(other.getsockname())
        with other.accept()[0] as waiting:
            sender = threading.Thread(target=flood, args=(data.socket,))
            sender.start()
            assert len(read(far, 1 << 20)) == 1 << 20
            end_session(server, client, end)
            drained(far)
            sender.join()
            assert is_over(waiting)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(client.relay)


def end_session(server: Running, client: Control, end: str) -> None:
    """By the API, by the client's word, or because it hangs up; done when this returns, but for the last."""
    if end == "delete":
        address = "{}:{}".format(*client.address)
        assert server.ask("DELETE", "/session", address=address, transport="tcp")[0] == 200
    elif end == "refresh":
        over(client)
    else:
        flow = server.flow(client)
        client.socket.close()
        while server.call(lambda: flow in server.server.rules.sessions):
            time.sleep(0.01)  # nobody is told


def flood(stream: socket.socket) -> None:
    """Send until it is not taken any more."""
    stream.settimeout(20)
    try:
        while True:
            stream.sendall(bytes(1 << 16))
    except OSError:
        return


def drained(stream: socket.socket) -> None:
    """Read to the end, which has to come."""
    stream.settimeout(20)
    try:
        while stream.recv(1 << 20):
            pass
    except ConnectionResetError:
        return


def test_statistics_count_the_data_connection(server: Running) -> None:
    """Bytes of the data connection are the session's: from the client and to it, as they are."""
    with meeting(server) as (client, data, far):
        flow = server.flow(client)
        before = server.wait(server.server.engine.statistics(flow))
        data.socket.sendall(bytes(70000))
        assert len(read(far, 70000)) == 70000
        far.sendall(bytes(50000))
        assert len(data.read(50000)) == 50000
        after = server.wait(server.server.engine.statistics(flow))
        assert before is not None
        assert after is not None
        assert after.received_bytes - before.received_bytes == 70000
        # the answer to ConnectionBind was counted for the stranger that sent it, so what is held for it comes on top
        assert 50000 <= after.send_bytes - before.send_bytes < 50200


def test_a_cap_on_bytes_is_kept_and_loses_nothing() -> None:
    """limits.bytes_per_second holds a data connection back, each way, and every byte arrives."""
    rate, size = 1 << 20, 3 << 20
    with relaying(limits={"bytes_per_second": rate}) as server, meeting(server) as (_, data, far):
        begun = time.monotonic()
        sender = threading.Thread(target=send, args=(data.socket, bytes(size)))
        sender.start()
        assert len(read(far, size + 1)) == size
        sender.join()
        assert time.monotonic() - begun > (size - rate) / rate - 0.2  # a second's worth is in the bucket


def test_connections_are_bounded() -> None:
    """limits.connections: 508 for one more, and a peer that connects is closed at once."""
    with relaying(limits={"connections": 2}) as server, control(server) as client, ExitStack() as stack:
        peers = [stack.enter_context(listening()) for _ in range(3)]
        for peer in peers[:2]:
            client.connect(peer.getsockname())
        assert refusal(client.connect, peers[2].getsockname()) == 508
        client.permit(("127.0.0.1", 9))
        with socket.create_connection(client.relay) as far:
            assert is_over(far)


def test_off_unless_asked_for() -> None:
    """Without relay.tcp: 442, and the methods find nothing."""
    with running(configuration(*EVERYWHERE)) as server, Control(server.address(1), tcp=True) as client:
        assert refusal(client.allocate) == 442
        assert refusal(client.connect, ("127.0.0.1", 9)) == 437
        assert refusal(client.data, 1) == 400


def test_nothing_but_connections(server: Running) -> None:
    """RFC 6062, 3: ChannelBind is 400, and a Send goes nowhere."""
    with control(server) as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        client.permit(far.getsockname())
        assert refusal(client.bind, 0x4000, far.getsockname()) == 400
        client.send_data(far.getsockname(), b"no")
        assert client.binding() == client.address
        far.settimeout(0)
        with pytest.raises(BlockingIOError):
            far.recv(10)


def test_another_may_not_take_the_port(server: Running) -> None:
    """The relay's port is the relay's: who binds it beside is refused."""
    with control(server) as client, socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind(client.relay)
