"""What the page of the dashboard asks for."""

import itertools
import re

import pytest

from hairpin.api import Hooks, Probe
from hairpin.api.listing import SCAN
from hairpin.stun import Address, Transport

UDP, TCP = Address("192.0.2.1", 3478), Address("2001:db8::1", 3478)
EVIL = "\"><script>alert('x')</script>\u202e\x1b[2J" + "\u20ac" * 160


async def sessions(client, **query):
    """A page of sessions."""
    answer = await client.get("/dashboard/sessions", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_state(client, view):
    """Figures of all workers together, sessions and strangers apart, with the listeners and the hooks."""
    view.add(1)
    view.hooked = Hooks(failing=True, delivered=1, waiting=3, look_ups=0, look_ups_in_flight=0, look_ups_waiting=0)
    assert (await client.get("/dashboard/state")).json() == {
        "status": "ok",
        "failing": [],
        "software": "hairpin/0.1.0",
        "realm": "example.org",
        "uptime": 95,
        "asks_for_token": False,
        "warnings": ["The API asks nobody for a token."],
        "interfaces": [
            {"transport": 0, "bind": "10.0.0.1:3478", "external": "192.0.2.1:3478", "tls": None},
            {"transport": 1, "bind": "[2001:db8::2]:3478", "external": "[2001:db8::1]:3478", "tls": None},
            {"transport": 1, "bind": "10.0.0.1:5349", "external": "192.0.2.1:5349", "tls": True},
        ],
        "ports": [{"ip": 4, "allocated": 2, "capacity": 16384}, {"ip": 6, "allocated": 1, "capacity": 16384}],
        "sessions": 1,
        "clients": figures(20, 2**64 - 1, 2, 4),
        "strangers": figures(154, 2**64 - 1, 2, 4),
        "drops": {"no permission": 6},
        "given_up": {"event refresh": 4},
        "hooks": {"waiting": 3, "failing": True},
    }


def figures(received, sent, received_pkts, send_pkts):
    """Statistics as JSON."""
    counted = {"received_bytes": received, "send_bytes": sent, "received_pkts": received_pkts, "send_pkts": send_pkts}
    return {**counted, "error_pkts": 0}


async def test_the_state_of_a_server_that_fails_itself(client, view):
    """It says what it found when it last tried its own listeners."""
    view.probed = [Probe(UDP, "udp", "Allocate: no answer", 1.0, 2.0), Probe(TCP, "tcp", None, 1.0, 2.0)]
    found = (await client.get("/dashboard/state")).json()
    assert (found["status"], found["failing"]) == ("failing", [f"udp {UDP}: Allocate: no answer"])


async def test_the_state_while_a_worker_is_late(client, view):
    """It is 503, as for the metrics."""
    view.stuck = True
    assert (await client.get("/dashboard/state")).status_code == 503


async def test_a_row(client, view):
    """What lives of a session, its figures, and no password."""
    view.add(1, EVIL)
    page = await sessions(client)
    assert (page["total"], page["matching"]) == (1, 1)
    assert page["sessions"] == [
        {
            "id": view.live[1].id,
            "username": EVIL,
            "address": "198.51.0.1:40000",
            "interface": "192.0.2.1:3478",
            "transport": 0,
            "age": 10,
            "expires": 49,
            "relays": ["192.0.2.1:50000"],
            "peers": 2,
            "channels": 2,
            "statistics": figures(10, 2**64 - 1, 1, 2),
        }
    ]


async def test_a_row_while_its_worker_is_late(client, view):
    """The list is there all the same."""
    view.add(1)
    view.stuck = True
    assert (await sessions(client))["sessions"][0]["statistics"] is None


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ALICE", [1]),
        ("bob", [2]),
        ("198.51.0.1", [1]),
        ("203.0.113.9", [1]),
        ("50000", [1]),
        ("[2001:db8::1]", [2]),
        ("x\n", []),
    ],
)
async def test_search(client, view, search, found):
    """A part of a name in any case, an address, an interface, a relay or a peer."""
    view.add(1, "Alice")
    view.begin(2, "bob", transport=Transport.TCP)
    page = await sessions(client, search=search)
    assert [one["id"] for one in page["sessions"]] == [view.live[number].id for number in found]
    assert (page["matching"], page["total"]) == (len(found), 2)


async def test_every_order_and_its_reverse(client, view):
    """Pages of any size together are all sessions, in that order; equals stand in any."""
    for number in range(1, SCAN + 40):
        (view.add if number % 3 else view.begin)(number, f"user{number * 7919 % 101}")
        view.live[number].began = number * 10**8
    keys = {
        "age": lambda one: one["age"],
        "username": lambda one: one["username"],
        "relay": lambda one: one["relays"],
        "peers": lambda one: one["peers"],
    }
    for (sort, key), descending in itertools.product(keys.items(), (False, True)):
        found = []
        for offset in range(0, SCAN + 39, 200):
            found += (await sessions(client, sort=sort, descending=descending, offset=offset, limit=200))["sessions"]
        assert {one["id"] for one in found} == {one.id for one in view.live.values()}
        values = [key(one) for one in found]
        assert values == sorted(values, reverse=descending)
    for sort in ("address", "interface", "channels", "expires"):
        assert len((await sessions(client, sort=sort))["sessions"]) == 50


@pytest.mark.parametrize(
    "query",
    [{"sort": "password"}, {"limit": 0}, {"limit": 201}, {"offset": -1}, {"descending": "x"}, {"search": "x" * 513}],
)
async def test_bad_queries(client, query):
    """They are 422 and name the field."""
    answer = await client.get("/dashboard/sessions", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert next(iter(query)) in answer.json()["detail"]


async def test_one_session(client, view):
    """Its permissions with the ports that were named, its channels with their peers; only what lives."""
    view.add(1)
    found = (await client.get("/dashboard/session", params={"id": view.live[1].id})).json()
    assert found["session"]["username"] == "alice"
    assert found["permissions"] == [
        {"address": "203.0.113.9", "ports": [80, 9000], "expires": 59},
        {"address": "203.0.113.8", "ports": [9000], "expires": 29},
    ]
    assert found["bindings"] == [
        {"number": 0x4002, "peer": "203.0.113.9:16386", "expires": 599},
        {"number": 0x4001, "peer": "203.0.113.9:16385", "expires": 599},
    ]
    assert found["connections"] == []
    view.begin(2)
    assert (await client.get("/dashboard/session", params={"id": view.live[2].id})).json()["permissions"] == []


@pytest.mark.parametrize(("identity", "status"), [("nobody", 404), ("", 422), ("x" * 5000, 404)])
async def test_no_such_session(client, view, identity, status):
    """It is a problem that says where to look."""
    view.add(1)
    answer = await client.get("/dashboard/session", params={"id": identity})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_credentials_for_a_test(client):
    """A user for it, and each way in by its name."""
    assert (await client.post("/dashboard/trial")).json() == {
        "username": "hairpin-test-x",
        "credential": "y",
        "seconds": 120,
        "entrances": [{"name": "udp", "url": "turn:192.0.2.1:3478?transport=udp"}],
    }


async def test_a_session_is_ended_by_its_id(client, view):
    """That one and no other, whatever has its address meanwhile."""
    view.add(1)
    view.add(2)
    assert (await client.delete("/session", params={"id": "nobody"})).status_code == 404
    assert (await client.delete("/session", params={"id": view.live[2].id})).json() == {"deleted": 1}
    assert set(view.live) == {1}


async def test_no_file_of_the_page_names_another_host(client):
    """Nothing is loaded from elsewhere, no HTML is made of text, and no script stands in a page."""
    page = (await client.get("/")).text
    assert "<script>" not in page
    assert not re.search(r"\son\w+=|style=", page)
    for name in (
        "app",
        "charts",
        "dom",
        "events",
        "login",
        "overview",
        "refusals",
        "server",
        "session",
        "sessions",
        "trial",
    ):
        text = (await client.get(f"/page/{name}.js")).text
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage",
            "sessionStorage",
            "document.cookie",
        ):
            assert word not in text
