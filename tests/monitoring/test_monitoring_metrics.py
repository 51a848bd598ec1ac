"""/metrics of whole servers: it agrees with the rest of the API, has an end, and Prometheus' own tool likes it."""

import asyncio
import http.client
import socket
import subprocess
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

import client as codec
from client import TurnError
from driving import INTERFACE, PEER, Caller, World
from hairpin import Config, Server
from hairpin.api import create_app
from hairpin.server.assembly import Listening
from hairpin.server.kernel import Kernel, loss
from hairpin.server.refusals import Refusals
from hairpin.server.view import ServerView
from hairpin.stun import Address
from running import EVERYWHERE, Running, configuration, running

FEW, MANY = 10, 10_000
LINE = b"15462: {} 00000000:0000 07 00000000:00000000 00:00000000 00000000  0  0 77001 2 0000000000000000 {}    "


def scraped(server: Running) -> str:
    """What Prometheus reads."""
    api = server.server.api_address
    connection = http.client.HTTPConnection(api.ip, api.port, timeout=20)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """The samples of that name by the values of their labels, in the order of the labels' names."""
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return {tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in samples}


def refused(server: Running, **options: Any) -> int:
    """The code that an Allocate of these credentials is refused with."""
    with server.client(allocate=False, **options) as client, pytest.raises(TurnError) as error:
        client.allocate()
    return error.value.code


def test_sessions_and_metrics_agree() -> None:
    """As many sessions on each interface as GET /session lists, as many allocations as have a port there."""
    with running(configuration(*EVERYWHERE, workers=2)) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.client(index)) for index in (0, 0, 0, 1, 2)]
        listed = server.ask("GET", "/session")[1]
        names = ("udp", "tcp")
        by_place = Counter((one["interface"], names[one["transport"]]) for one in listed)
        allocated = Counter((one["interface"], names[one["transport"]]) for one in listed if "port" in one)
        text = scraped(server)
        assert {place: count for place, count in values(text, "hairpin_sessions").items() if count} == by_place
        assert {place: count for place, count in values(text, "hairpin_allocations").items() if count} == allocated
        assert sum(by_place.values()) == len(clients) == 5
        assert len(values(text, "hairpin_sessions")) == len(EVERYWHERE)
        assert sum(values(text, "hairpin_relay_ports_allocated").values()) == 5


def test_refusals_and_metrics_agree() -> None:
    """One refused login, one reason: in the list, in the figures by reason, and among the answers by error."""
    with running(configuration(("udp", "127.0.0.1:0"), limits={"allocations_per_user": 1})) as server:
        assert [refused(server, user="nobody"), refused(server, password="wrong")] == [401, 401]
        with server.client() as client:
            assert refused(server) == 486
            with pytest.raises(TurnError):
                client.permit(("10.1.2.3", 9))
        listed = server.ask("GET", "/session/refusals")[1]
        text = scraped(server)
    assert [(one["reason"], one["error"], one["username"]) for one in listed] == [
        ("peer_denied", 403, "user"),
        ("user_quota", 486, "user"),
        ("wrong_password", 401, "user"),
        ("no_such_user", 401, "nobody"),
    ]
    logins, others = values(text, "hairpin_refused_logins_total"), values(text, "hairpin_refused_requests_total")
    assert {reason: count for (reason,), count in logins.items() if count} == {
        "no_such_user": 1,
        "wrong_password": 1,
        "user_quota": 1,
    }
    assert {reason: count for (reason,), count in others.items() if count} == {"peer_denied": 1}
    answers = values(text, "hairpin_answers_total")
    assert {key: answers[key] for key in answers if key[0] != "0"} == {
        ("401", "allocate"): 2,
        ("486", "allocate"): 1,
        ("403", "create_permission"): 1,
    }


def view_of(world: World) -> ServerView:
    """The API's view of a server in memory, which hears of all that is refused."""
    refusals, binds = Refusals(), f"{INTERFACE[0]}:{INTERFACE[1]}"
    world.engine.on_refused = lambda refused: refusals.hear(refused, world.seconds())
    server = SimpleNamespace(
        config=Config(turn={"interfaces": [{"transport": "udp", "bind": binds}]}),
        run_id="a-run-of-the-server",
        started=0,
        listening=[Listening(transport, Address(*INTERFACE), Address(*INTERFACE), (), False) for transport in (0, 1)],
        rules=world.rules,
        engine=world.engine,
        workers=1,
        refusals=refusals,
        feed=None,
        self_probe=SimpleNamespace(found=[]),
        kernel=Kernel(),
        hooks=lambda: None,
        given_up=lambda: {"password_lookups": 0},
        policy_failures=lambda: {("may_reach", "late"): 0},
        clock=lambda: world.table.now,
    )
    return ServerView(cast(Server, server))


async def get(world: World, view: ServerView, path: str) -> httpx2.Response:
    """A request to the API of a server in memory, which is driven meanwhile."""
    transport = httpx2.ASGITransport(create_app(view))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        asked = asyncio.ensure_future(client.get(path))
        while not asked.done():
            world.drain()
            await asyncio.sleep(0)
        return await asked


async def series_with(users: int) -> tuple[int, int, str]:
    """The number of series with so many users, each with a session and a failed login; the sessions; the text."""
    names = {f"user{number}": "secret" for number in range(users)}
    world = World(ports=(1024, 65535), static=names, hooked=False, secrets=())
    view = view_of(world)
    for number, name in enumerate(names):
        caller = Caller(world, number, name)
        assert (caller.allocate(), caller.bind()) == (0, 0)
        assert caller.ask(codec.CREATE_PERMISSION, [], ("10.0.0.1", number)) == [(codec.CREATE_PERMISSION, 403)]
        assert Caller(world, users + number, name, "wrong").allocate() == 401
    text = (await get(world, view, "/metrics")).text
    sessions = sum(values(text, "hairpin_sessions").values())
    series = sum(len(family.samples) for family in text_string_to_metric_families(text))
    assert values(text, "hairpin_refused_logins_total")["wrong_password",] == users
    return series, int(sessions), text


async def test_ten_thousand_users_have_as_many_series_as_ten() -> None:
    """Each with a session, a channel, a denied peer and a failed login: no name and no address is a label."""
    few, few_sessions, _ = await series_with(FEW)
    many, many_sessions, text = await series_with(MANY)
    print(f"{few} series with {few_sessions} users, {many} with {many_sessions}; {len(text)} bytes")
    assert (few_sessions, many_sessions) == (FEW, MANY)
    assert few == many
    assert "user1" not in text
    assert "198.51." not in text
    assert PEER[0] not in text


def test_promtool_likes_the_metrics() -> None:
    """`promtool check metrics` has nothing to say about a server that has served, refused and failed to tell a hook."""
    with running(configuration(*EVERYWHERE, api={"hooks": "http://127.0.0.1:9"})) as server:
        with server.client() as client, pytest.raises(TurnError):
            client.permit(("10.1.2.3", 9))
        assert refused(server, user="user", password="wrong") == 401
        text = scraped(server)
    assert "hairpin_events_waiting" in text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def sockets() -> tuple[socket.socket, Address]:
    """A socket with the smallest buffer, and where it is bound."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    made.bind(("127.0.0.1", 0))
    return made, Address(*made.getsockname())


def overflow(address: Address) -> None:
    """Send more than any such buffer takes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(50):
            sender.sendto(bytes(1000), (address.ip, address.port))


async def lost(kernel: Kernel, listeners: Iterable[Address], *relays: Address) -> tuple[dict[Address, int], int]:
    """What the kernel says of these sockets."""
    drops = await kernel.drops(listeners, lambda bound: bound in relays)
    assert drops is not None
    return dict(drops.listeners), drops.relays


async def test_the_kernel_says_what_it_dropped() -> None:
    """Of a listener by itself, of relays together; a relay that closes takes nothing away from the sum."""
    (listener, at), (relay, there), kernel = sockets(), sockets(), Kernel()
    with listener:
        with relay:
            assert await lost(kernel, [at], there) == ({at: 0}, 0)
            overflow(at)
            overflow(there)
            by_listener, of_relays = await lost(kernel, [at], there)
            assert by_listener[at] > 0
            assert of_relays > 0
        assert await lost(kernel, [at], there) == (by_listener, of_relays)
        assert await lost(kernel, [at]) == (by_listener, of_relays)


@pytest.mark.parametrize(
    ("local", "bound"),
    [
        (b"0100007F:0D96", "127.0.0.1:3478"),
        (b"00000000000000000000000001000000:0D96", "[::1]:3478"),
        (b"B80D0120000000000000000001000000:FFFF", "[2001:db8::1]:65535"),
    ],
)
def test_a_line_of_the_kernel(local: bytes, bound: str) -> None:
    """The local address as the kernel writes it on this machine, the inode and the drops."""
    found = loss(LINE.replace(b"{}", local, 1).replace(b"{}", b"4711"))
    assert (str(found.bound), found.inode, found.drops) == (bound, 77001, 4711)


async def test_a_kernel_that_does_not_say() -> None:
    """Where /proc is not there nothing is known, which is not the same as nothing lost."""
    assert await Kernel([Path("/nowhere/udp")]).drops([], lambda _: False) is None
