"""The server's probe of itself: what it finds, what it tells, and that nobody else notices."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx2
import pytest

from certificates import dated
from client import Client, TurnError
from hairpin import Config, Policy, Server, TurnClient
from hairpin.config import Log
from hairpin.logging import make_logger
from hairpin.server.certificates import Dates
from hairpin.server.selfprobe import SelfProbe, own_identity
from hairpin.server.view import ServerView
from running import PASSWORD, configuration, interface, running
from serving import free_port

HERE = "127.0.0.1:0"
KINDS = (("udp", HERE), ("tcp", HERE), ("tls", HERE), ("dtls", HERE), ("udp", "[::1]:0"))
DAY = timedelta(days=1)


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[tuple[Server, StringIO]]:
    """A server in this loop, and what it logs."""
    server, said = Server(config), StringIO()
    server.log = make_logger(Log(level="trace", format="json"), said)
    async with server:
        yield server, said


async def health(server: Server) -> tuple[int, dict[str, Any]]:
    """GET /health."""
    async with httpx2.AsyncClient(base_url=f"http://{server.api_address}") as client:
        answer = await client.get("/health")
        return answer.status_code, answer.json()


def events(said: StringIO) -> list[str]:
    """What was logged."""
    return [json.loads(line)["event"] for line in said.getvalue().splitlines()]


async def test_every_listener_is_entered() -> None:
    """UDP, TCP, TLS and both IP versions; DTLS is not spoken. Nothing stays behind."""
    async with serving(configuration(*KINDS, workers=2)) as (server, _):
        await server.self_probe.look()
        assert [(one.transport, one.problem) for one in server.self_probe.found] == [
            ("udp", None),
            ("tcp", None),
            ("tls", None),
            ("udp", None),
        ]
        assert not server.rules.sessions
        assert not server.rules.state.internal
        assert (await health(server))[0] == 200


async def test_nobody_is_told() -> None:
    """No event, no ended session, no refusal and no line of log, down to trace; the listing shows nothing."""
    async with serving(configuration(*KINDS[:3])) as (server, said):
        told: list[object] = []
        observer = server.observer
        observer.on_event.append(lambda *event: told.append(event))
        observer.on_ended.append(lambda *event: told.append(event))
        observer.on_refused.append(lambda *event: told.append(event))
        listed = []
        allocated = server.rules.relay_opened

        def seen(*arguments: Any, **more: Any) -> Any:
            effects = allocated(*arguments, **more)
            view = ServerView(server).sessions()
            listed.append((len(server.rules.sessions), len(view), list(view), server.rules.state.clients))
            return effects

        server.rules.relay_opened = seen  # type: ignore[method-assign]
        before = events(said)
        await server.self_probe.look()
        assert [one.problem for one in server.self_probe.found] == [None] * 3
        assert (told, events(said)) == ([], before)
        assert len(listed) == 6
        assert {(len(flows), shown, clients) for _, shown, flows, clients in listed} == {(0, 0, 0)}
        assert {sessions for sessions, *_ in listed} == {1, 2}


def test_no_quota_counts_it_and_none_stops_it() -> None:
    """A client that has taken all that there is stands in nobody's way, nor does the probe in a client's."""
    limits = {"allocations": 1, "allocations_per_user": 1}
    with running(configuration(("udp", "127.0.0.1:0"), limits=limits)) as server:
        with server.client():
            server.wait(server.server.self_probe.look())
        assert [one.problem for one in server.server.self_probe.found] == [None]
    with running(configuration(("udp", "127.0.0.1:0"), limits=limits)) as server:
        state = server.server.rules.state
        opened = server.server.rules.relay_opened
        admitted = []

        def seen(*arguments: Any, **more: Any) -> Any:
            admitted.append(len(state.internal) > 0 and state.clients < 1)
            return opened(*arguments, **more)

        server.server.rules.relay_opened = seen  # type: ignore[method-assign]
        server.wait(server.server.self_probe.look())
        assert admitted == [True, True]


async def test_a_full_server_fails_and_refuses_nobody() -> None:
    """Where no relay port is left the next client would be told so; that the server itself was is no refusal."""
    async with serving(configuration(("udp", HERE), relay={"ports": "23000-23000"})) as (server, said):
        told: list[object] = []
        server.observer.on_refused.append(lambda *refused: told.append(refused))
        await server.self_probe.look()
        status, body = await health(server)
        assert (status, body["status"]) == (503, "failing")
        assert "(508)" in body["failing"][0]
        assert told == []
        assert [event for event in events(said) if "refused" in event] == []
        assert not server.rules.sessions


async def test_a_policy_is_not_asked() -> None:
    """What it would say is for clients."""

    class Nobody(Policy):
        def may_allocate(self, client: TurnClient, /) -> bool:
            return False

    server = Server(configuration(("udp", HERE)), policy=Nobody())
    async with server:
        await server.self_probe.look()
        assert [one.problem for one in server.self_probe.found] == [None]


async def test_peers_that_are_denied_are_no_matter_of_health() -> None:
    """Whatever the settings say of peers, the server's own two clients meet."""
    peers = {"deny": ["0.0.0.0/0", "::/0"]}
    async with serving(configuration(("udp", "127.0.0.1:0"), peers=peers)) as (server, _):
        await server.self_probe.look()
        assert [one.problem for one in server.self_probe.found] == [None]


async def test_every_address_is_entered_by_loopback() -> None:
    """Where external is another machine's address, as behind a NAT, the bound one is entered."""
    port = free_port()
    turn = {
        "interfaces": [
            interface("udp", f"0.0.0.0:{port}", external=f"203.0.113.5:{port}"),
            interface("tcp", f"127.0.0.1:{port}", external=f"203.0.113.5:{port}", proxy_from=["127.0.0.0/8"]),
        ]
    }
    relay = {"bind": "127.0.0.1", "external": "203.0.113.5"}
    async with serving(configuration(turn=turn, relay=relay)) as (server, _):
        await server.self_probe.look()
        assert [(one.transport, one.problem) for one in server.self_probe.found] == [("udp", None), ("tcp", None)]


async def test_health_turns_red_and_green_again() -> None:
    """When requests are judged no more /health is 503 and names the step; one line of log at each change."""
    async with serving(configuration(("tcp", "127.0.0.1:0"))) as (server, said):
        await server.self_probe.look()
        assert await health(server) == (200, {"status": "ok", "warnings": []})
        core, loop = server._core, asyncio.get_running_loop()
        loop.remove_reader(core.fileno())  # what the packet path hands up is left lying
        await server.self_probe.look()
        status, body = await health(server)
        assert (status, body["status"]) == (503, "failing")
        (problem,) = body["failing"]
        assert problem.startswith(f"tcp {server.listeners[0][1]}: Credentials: ")
        loop.add_reader(core.fileno(), server._events_came)
        server._events_came()
        await server.self_probe.look()
        assert await health(server) == (200, {"status": "ok", "warnings": []})
        assert [event for event in events(said) if "own probe" in event] == [
            "the server fails its own probe",
            "the server passes its own probe again",
        ]
        assert not server.rules.sessions


async def test_a_closed_listener_is_seen() -> None:
    """And which one it was, in one line of log however often it is tried."""
    async with serving(configuration(("udp", "127.0.0.1:0"), ("udp", "127.0.0.1:0"))) as (server, said):
        good, bad = server.self_probe.doors
        server.self_probe.doors = [good, replace(bad, target=replace(bad.target, port=free_port()))]
        for _ in range(2):
            await server.self_probe.look()
        assert events(said).count("the server fails its own probe") == 1
        assert [one.problem is None for one in server.self_probe.found] == [True, False]
        status, body = await health(server)
        assert status == 503
        assert "UDP: Nobody listens on" in body["failing"][0]


async def test_draining_is_no_failure() -> None:
    """What a probe meets on the way to a stop is not told, and none begins."""
    async with serving(configuration(("udp", "127.0.0.1:0"))) as (server, said):
        server.rules.draining = True
        await server.self_probe.look()
        assert server.self_probe.found == []
        assert "the server fails its own probe" not in events(said)
        assert (await health(server))[1]["status"] == "draining"


async def test_it_looks_at_once_and_again_but_not_while_it_is_paused() -> None:
    """Each round asks whether it may."""
    rounds: list[bool] = []
    third = asyncio.Event()

    def paused() -> bool:
        rounds.append(True)
        if len(rounds) == 3:
            third.set()
        return True

    async def nothing() -> None:
        raise AssertionError("it looked")

    log = make_logger(Log(), StringIO())
    probe = SelfProbe([], own_identity("here"), nothing, paused, lambda: 0.0, log)
    running = asyncio.create_task(probe.run(0.001))
    await asyncio.wait_for(third.wait(), 10)
    running.cancel()
    assert probe.found == []


async def test_a_server_probes_itself_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its start, and then every `turn.probe` seconds."""
    looked, look = asyncio.Event(), SelfProbe.look

    async def looking(probe: SelfProbe) -> None:
        await look(probe)
        looked.set()

    monkeypatch.setattr(SelfProbe, "look", looking)
    turn = configuration(("udp", "127.0.0.1:0")).turn.model_dump()
    async with serving(configuration(turn=turn | {"probe": 3600})) as (server, _):
        await asyncio.wait_for(looked.wait(), 20)
        assert [one.problem for one in server.self_probe.found] == [None]


async def test_a_stranger_cannot_be_the_server() -> None:
    """The name alone, with any password, is refused as others are."""
    async with serving(configuration(("udp", "127.0.0.1:0"))) as (server, _):
        bound, name = server.listeners[0][1], server.identity.username

        def enter() -> int:
            with Client((bound.ip, bound.port), user=name, password=PASSWORD) as client:
                with pytest.raises(TurnError) as refused:
                    client.allocate()
                return refused.value.code

        assert await asyncio.to_thread(enter) == 401
        assert server.identity.password not in repr(server.identity)


@pytest.mark.parametrize(
    ("begins", "ends", "says"),
    [(-9, -2, "expired on"), (2, 90, "is not valid before"), (-1, 5, "ends on"), (-1, 90, None)],
    ids=["expired", "early", "soon", "good"],
)
def test_certificates_that_end_are_told(begins: int, ends: int, says: str | None) -> None:
    """A sentence names the file; the log is told once, until something else is the matter."""
    files, said, now = dated(f"told{ends}", begins * DAY, ends * DAY), StringIO(), [time.time()]
    dates = Dates(make_logger(Log(format="json"), said), lambda: now[0])
    dates.read(configuration(turn={"interfaces": [interface("tls", HERE, files)]}))
    for _ in range(3):
        dates.tell()
    assert [f"{files.cert} {says}" in sentence for sentence in dates.warnings()] == ([True] if says else [])
    assert len(events(said)) == bool(says)
    if says == "ends on":
        now[0] += 6 * 86400
        dates.tell()
        assert [f"{files.cert} expired on" in event for event in events(said)] == [False, True]


def test_an_expired_certificate_stands_in_health_and_log(capfd: pytest.CaptureFixture[str]) -> None:
    """It is served all the same: clients decide."""
    files = dated("old", -9 * DAY, -2 * DAY)
    config = configuration(
        turn={"interfaces": [interface("tls", "127.0.0.1:0", files)]}, log={"level": "warn", "format": "json"}
    )
    with running(config) as server:
        status, body = server.ask("GET", "/health")
    assert (status, body["status"]) == (200, "ok")
    assert any(sentence.startswith(f"{files.cert} expired on ") for sentence in body["warnings"])
    assert str(files.cert) in capfd.readouterr().err
