"""A policy of the server itself, over real sockets: what clients are answered, and what is told and counted."""

import asyncio
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from client import Client, TurnError
from hairpin import Deny, EndedSession, Peer, Policy, Terms, TurnClient
from hairpin.config import Log
from hairpin.logging import make_logger
from relaying import Control, listening
from running import EVERYWHERE, USER, Running, configuration, running

OTHER = "other"


class House(Policy):
    """Waits a turn of the loop with each word, and notes what it was told."""

    def __init__(self) -> None:
        self.denied: set[tuple[str, int | None]] = set()
        self.broken: Exception | None = None
        self.peers: list[Peer] = []
        self.ended: list[EndedSession] = []
        self.told = threading.Event()

    async def may_allocate(self, client: TurnClient) -> bool | Terms | Deny:
        """The user `other` has no plan, all others have one channel."""
        await asyncio.sleep(0)
        return Deny("no plan") if client.user == OTHER else Terms(channels=1)

    async def may_reach(self, client: TurnClient, peer: Peer) -> bool | Deny:
        """All peers but those denied."""
        await asyncio.sleep(0)
        if self.broken:
            raise self.broken
        self.peers.append(peer)
        return (peer.ip, peer.port) not in self.denied

    def session_ended(self, session: EndedSession) -> None:
        """Who has left."""
        self.ended.append(session)
        self.told.set()


@pytest.fixture
def house() -> House:
    """The policy."""
    return House()


@pytest.fixture(params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest, house: House) -> Iterator[Running]:
    """A server in this process that asks it."""
    with running(configuration(*EVERYWHERE, workers=request.param, relay={"tcp": True}), house) as made:
        yield made


def refusal(client: Client, port: int, number: int = 0x4000) -> int:
    """The error of ChannelBind to a port of this machine, 0 for success."""
    try:
        client.bind(number, ("127.0.0.1", port))
    except TurnError as error:
        return error.code
    return 0


def failures(server: Running) -> dict[tuple[str, str], float]:
    """What /metrics says of the policy."""
    api = server.server.api_address
    connection = http.client.HTTPConnection(api.ip, api.port, timeout=20)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["hairpin_policy_failures"].samples
    return {(sample.labels["method"], sample.labels["why"]): sample.value for sample in samples}


@pytest.mark.parametrize("index", range(4), ids=["udp", "tcp", "udp6", "tcp6"])
def test_who_is_let_in_and_on_which_terms(server: Running, index: int) -> None:
    """The one has a channel and no more, the other has nothing; over each transport and family."""
    stranger = server.client(index, user=OTHER, password="word", allocate=False)
    with stranger, pytest.raises(TurnError, match="403"):
        stranger.allocate(version=6 if index > 1 else 4)
    with server.client(index) as client:
        peer = "::1" if index > 1 else "127.0.0.1"
        client.bind(0x4000, (peer, 9))
        with pytest.raises(TurnError, match="508"):
            client.bind(0x4001, (peer, 10))


def test_a_peer_that_the_policy_denies(server: Running, house: House) -> None:
    """403 for a permission, a channel and a connection of TCP; only the last is for a port."""
    with server.client() as client:
        house.denied = {("127.0.0.1", None)}
        assert refusal(client, 9) == 403
        with pytest.raises(TurnError, match="403"):
            client.permit(("127.0.0.1", 9))
        house.denied = set()
        assert refusal(client, 9) == 0
    with Control(server.address(1), tcp=True) as control, listening("127.0.0.1") as peer:
        control.allocate()
        ip, port = peer.getsockname()[:2]
        house.denied = {(ip, port)}
        with pytest.raises(TurnError, match="403"):
            control.connect((ip, port))
        assert house.peers[-1] == Peer(ip, port)
        house.denied = {(ip, None)}
        assert control.connect((ip, port))


def test_never_a_listener_or_the_api(server: Running, house: House) -> None:
    """Whatever the policy says, which is not asked: they are closed before."""
    with server.client() as client:
        ports = [address.port for _, address in server.server.listeners if address.version == 4]
        assert [refusal(client, port) for port in (*ports, server.server.api_address.port)] == [403, 403, 403]
    assert house.peers == []


def test_a_policy_that_raises_is_counted_and_logged(server: Running, house: House) -> None:
    """The peer gets 403, the log a traceback, /metrics a count; ten lines a second are the most."""
    said = io.StringIO()
    server.server.observer.log = make_logger(Log(format="json"), said)
    assert set(failures(server).values()) == {0}
    assert len(failures(server)) == 12
    house.broken = ValueError("the \x1b table")
    with server.client() as client:
        assert [refusal(client, 9) for _ in range(30)] == [403] * 30
    assert failures(server)["may_reach", "raised"] == 30
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    failed = [line for line in lines if line["event"] == "the policy failed"]
    assert 1 <= len(failed) < 30
    assert (failed[0]["level"], failed[0]["method"], failed[0]["why"]) == ("error", "may_reach", "raised")
    assert "ValueError: the \\x1b table" in failed[0]["exception"]


def test_a_session_that_ended(server: Running, house: House, peer: socket.socket) -> None:
    """It is told what GET /session/statistics said last, what went to peers, its reason, and how long it was."""
    with server.client() as client:
        client.bind(0x4000, peer.getsockname())
        client.send_channel(0x4000, b"hello")
        data, relay = peer.recvfrom(100)
        peer.sendto(data * 2, relay)
        assert client.receive() == (0x4000, b"hellohello")
        (listed,) = server.ask("GET", "/session")[1]
        _, last = server.ask("GET", "/session/statistics", username=USER)
        address = "{}:{}".format(*client.address)
        assert server.ask("DELETE", "/session", address=address)[0] == 200
    assert house.told.wait(10)
    (ended,) = house.ended
    assert (ended.client.session, ended.client.user, ended.reason) == (listed["id"], USER, "deleted")
    assert f"{ended.client.ip}:{ended.client.port}" == address
    assert {name: getattr(ended, name) for name in last} == last
    assert (ended.peers_send_bytes, ended.peers_send_pkts) == (5, 1)
    assert (ended.peers_received_bytes, ended.peers_received_pkts) == (10, 1)
    assert 0 < ended.duration == pytest.approx(ended.ended - ended.began, abs=0.001)


def test_a_session_that_waited_for_the_policy_ends_in_time(server: Running) -> None:
    """Its deadline is looked at, though nothing else comes."""
    with server.client():
        deadline = server.call(server.server.rules.next_deadline)
        timer = server.call(lambda: server.server._timer)
        assert deadline
        assert timer
        assert timer.when() == deadline / 1e9


def test_the_last_sessions_are_told_at_the_end(house: House) -> None:
    """The server waits for it when it stops."""
    with running(configuration(("udp", "127.0.0.1:0")), house) as server:
        clients = [server.client() for _ in range(20)]
    for client in clients:
        client.socket.close()
    assert [ended.reason for ended in house.ended] == ["shutdown"] * 20
    assert len({ended.client.session for ended in house.ended}) == 20


def test_terms_outlive_settings_that_are_read_again(server: Running, house: House) -> None:
    """And what they do not name is as the new settings say."""
    with server.client() as client:
        client.bind(0x4000, ("127.0.0.1", 9))
        limits = {"channels": 9, "permissions": 1}
        config = configuration(*EVERYWHERE, workers=server.server.workers, relay={"tcp": True}, limits=limits)
        server.call(lambda: server.server.reload(config))
        assert refusal(client, 10, 0x4001) == 508
        assert refusal(client, 9) == 0
        with pytest.raises(TurnError, match="508"):
            client.permit(("127.0.0.2", 9))
