"""DELETE over the real API, the rest of a port, and settings that are read again."""

import os
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

import client as codec
from client import Client, TurnError, build
from hairpin import Config
from running import EVERYWHERE, Running, configuration, running
from sealing import seal

FIRST, LAST = 31000, 31005  # outside of what the kernel gives to others


@pytest.fixture(params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process, with six relay ports of each family."""
    with running(configuration(*EVERYWHERE, workers=request.param, relay={"ports": f"{FIRST}-{LAST}"})) as made:
        yield made


def delete(server: Running, client: Client, **more: Any) -> int:
    """DELETE /session of exactly this client: the status."""
    kind = "tcp" if client.tcp else "udp"
    return server.ask("DELETE", "/session", address="{}:{}".format(*client.address), transport=kind, **more)[0]


@pytest.mark.parametrize("index", [0, 1], ids=["udp", "tcp"])
def test_nothing_is_relayed_after_the_200(server: Running, peer: socket.socket, index: int) -> None:
    """With data under way in both directions: what comes after the answer is nothing; a stream is at its end."""
    with server.client(index) as client, server.client(0) as other:
        client.bind(0x4000, peer.getsockname())
        client.bind(0x4001, other.relay)
        other.bind(0x4001, client.relay)
        peer.settimeout(10)
        client.send_channel(0x4000, b"before")
        assert peer.recv(100) == b"before"
        other.send_channel(0x4001, b"before")
        assert client.receive() == (0x4001, b"before")
        assert delete(server, client) == 200
        for number in range(100):
            for send in (client.send_channel, other.send_channel):
                try:
                    send(0x4000 + number % 2, b"after")
                except OSError:
                    assert send == client.send_channel
                    assert client.tcp
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
            knock.connect(client.relay)
            knock.send(b"after")
            with pytest.raises(ConnectionRefusedError):
                knock.recv(100)
        assert other.binding() == other.binding() == other.address
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(100)
        assert not other.arrived
        nothing_comes(client)
        assert server.drops()["no_channel"] >= 50  # the partner's is gone


def nothing_comes(client: Client) -> None:
    """A stream ends, a datagram client gets a Binding's answer and nothing before it; it may begin anew."""
    if client.tcp:
        with pytest.raises((EOFError, ConnectionResetError)):
            client.frame(10)
        return
    assert client.binding() == client.address
    assert not client.arrived
    with pytest.raises(TurnError, match="437"):
        client.refresh(600)
    assert client.allocate()


def test_a_port_rests(server: Running) -> None:
    """The port of a deleted session is not handed out again while another one is free; then it is."""
    with server.client() as first:
        gone = first.relay[1]
        assert delete(server, first) == 200
        others = [server.client() for _ in range(LAST - FIRST)]
        taken = {client.relay[1] for client in others}
        assert taken == set(range(FIRST, LAST + 1)) - {gone}
        others.append(server.client())
        assert others[-1].relay[1] == gone
        with server.client(allocate=False) as late, pytest.raises(TurnError, match="508"):
            late.allocate()
        for client in others:
            client.socket.close()


def test_a_port_that_somebody_else_holds_is_passed_over(server: Running) -> None:
    """Of six ports five are taken by others: the sixth is found; then none is left, and it is 508."""
    held = []
    for port in range(FIRST, LAST):
        held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        held[-1].bind(("127.0.0.1", port))
    with server.client() as client, server.client(allocate=False) as late:
        assert client.relay[1] == LAST
        with pytest.raises(TurnError, match="508"):
            late.allocate()
        for socket_ in held:
            socket_.close()
        assert late.allocate()
        assert client.refresh(700) == 700


def test_who_is_thrown_out_stays_out(server: Running) -> None:
    """username=U&all=true&block=S ends all of a user's sessions and refuses new ones; others are as they were."""
    with server.client(0) as one, server.client(1) as two, server.client(0, user="other", password="word") as other:
        status, body = server.ask("DELETE", "/session", username="user", all="true", block=60)
        assert (status, body) == (200, {"deleted": 2})
        with pytest.raises((EOFError, ConnectionResetError)):
            two.frame(10)
        with pytest.raises(TurnError, match="403"):
            one.allocate()
        assert other.refresh(700) == 700


async def regranted(server: Running) -> None:
    """All living sessions were held to the new settings."""
    await server.server._regranting


def test_settings_read_again(server: Running, peer: socket.socket) -> None:
    """Credentials hold for new sessions, a live one keeps its key; peers hold for all, at once."""
    with server.client() as live:
        live.bind(0x4000, peer.getsockname())
        tables: dict[str, Any] = {
            "peers": {"allow": ["203.0.113.0/24"]},
            "auth": {"static_credentials": {"user": "new"}},
        }
        config = configuration(*EVERYWHERE, relay={"ports": f"{FIRST}-{LAST}"}, **tables)
        server.call(lambda: server.server.reload(config))
        assert live.refresh(700) == 700
        server.wait(regranted(server))
        live.send_channel(0x4000, b"no more")
        assert live.binding() == live.binding() == live.address
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(100)
        with pytest.raises(TurnError, match="403"):
            live.bind(0x4001, ("127.0.0.1", 9))
        with server.client(allocate=False) as old, pytest.raises(TurnError, match="401"):
            old.allocate()
        with server.client(password="new") as new:
            assert new.refresh(700) == 700


def test_rfc8489_9_2_the_offer_of_anonymity_follows_the_settings(server: Running) -> None:
    """Users can be named by a hash while all are static ones; a nonce that said so is stale after that."""
    with server.client() as live:
        assert live.nonce.startswith(b"obMatJos2wAAA")
        auth: dict[str, Any] = {"auth": {"static_credentials": {"user": "secret"}, "static_auth_secret": "north"}}
        server.call(lambda: server.server.reload(configuration(*EVERYWHERE, **auth)))
        assert live.refresh(700) == 700, "by way of a 438"
        assert live.nonce.startswith(b"obMatJos2gAAA")


def test_rfc7635_keys_of_access_tokens_are_read_again() -> None:
    """A token of a new key lets in, one of an old key no longer does, and its session goes on."""
    name, keys = "turn.hairpin.test", {kid: os.urandom(32) for kid in ("old", "new")}

    def settings(kid: str) -> Config:
        table: dict[str, Any] = {"auth": {"oauth_keys": {kid: b64encode(keys[kid]).decode()}}}
        return configuration(("udp", "127.0.0.1:0"), turn={"server_name": name}, **table)

    def allocate(client: Client, kid: str) -> int:
        challenge = client.exchange(build(codec.ALLOCATE, os.urandom(12), [(codec.TRANSPORT, codec.UDP_RELAY)]))
        assert challenge.get(codec.THIRD_PARTY_AUTHORIZATION) == name.encode()
        client.learn(challenge)
        client.user, client.key = kid, os.urandom(20)
        token = (codec.ACCESS_TOKEN, seal(keys[kid], name, client.key, time.time(), 3600))
        return client.exchange(client.sign(codec.ALLOCATE, [(codec.TRANSPORT, codec.UDP_RELAY), token])).error

    with running(settings("old")) as server, server.client(allocate=False) as live:
        assert allocate(live, "old") == 0
        server.call(lambda: server.server.reload(settings("new")))
        for kid, error in (("old", 401), ("new", 0)):
            with server.client(allocate=False) as client:
                assert allocate(client, kid) == error
        assert live.refresh(700) == 700
        assert live.refresh(0) == 0


def test_limits_read_again(server: Running) -> None:
    """A new number of allocations for a user counts those that live: 486 from then on."""
    with server.client(), server.client(allocate=False) as second:
        limits: dict[str, Any] = {"limits": {"allocations_per_user": 1}}
        config = configuration(*EVERYWHERE, relay={"ports": f"{FIRST}-{LAST}"}, **limits)
        server.call(lambda: server.server.reload(config))
        with pytest.raises(TurnError, match="486"):
            second.allocate()
