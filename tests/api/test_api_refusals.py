"""GET /session/refusals: why a login failed."""

import pytest

from hairpin.api import Refused
from hairpin.stun import Address, Method, Transport
from hairpin.turn import effects
from hairpin.turn.refusal import Reason, Refusal

NASTY = "<script>\u202e\x00'\";--" + "\u20ac" * 160


async def test_a_refusal_says_who_when_and_why(client, view):
    """With what the client was told beside what it was not told."""
    view.refuse()
    assert (await client.get("/session/refusals")).json() == [
        {
            "at": 1700000000.0,
            "address": "198.51.0.1:40000",
            "interface": "192.0.2.1:3478",
            "transport": 0,
            "username": "alice",
            "method": "allocate",
            "error": 401,
            "reason": "expired",
            "detail": "expired 312 s ago",
        }
    ]


async def test_without_refusals_the_list_is_empty(client):
    """As for sessions."""
    answer = await client.get("/session/refusals")
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize(
    ("query", "users"),
    [
        ({}, ["1700000000:bob", "bob:1700000000", "alice"]),
        ({"username": ""}, ["1700000000:bob", "bob:1700000000", "alice"]),
        ({"username": "alice"}, ["alice"]),
        ({"username": "bob"}, ["1700000000:bob", "bob:1700000000"]),
        ({"username": "1700000000:bob"}, ["1700000000:bob"]),
        ({"username": "ali"}, []),
        ({"address": "198.51.0.2"}, ["bob:1700000000"]),
        ({"address": "198.51.0.2:40000"}, ["bob:1700000000"]),
        ({"address": "198.51.0.2:40001"}, []),
        ({"limit": "2"}, ["1700000000:bob", "bob:1700000000"]),
        ({"limit": "1", "username": "alice"}, ["alice"]),
    ],
)
async def test_filters(client, view, query, users):
    """The user by its whole name or the part beside the colon, the client by its address; the latest come first."""
    for number, user in enumerate(("alice", "bob:1700000000", "1700000000:bob"), 1):
        view.refuse(number, user)
    assert [one["username"] for one in (await client.get("/session/refusals", params=query)).json()] == users


@pytest.mark.parametrize("query", ["user=alice", "address=nowhere", "limit=0", "username=a&username=b", "interface=1"])
async def test_what_cannot_be_read_is_named(client, query):
    """400, as for sessions."""
    answer = await client.get(f"/session/refusals?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_names_are_text(client, view):
    """Whatever a client calls itself comes back as it was, in JSON."""
    view.refuse(1, NASTY)
    answer = await client.get("/session/refusals", params={"username": NASTY})
    assert answer.headers["content-type"] == "application/json"
    assert [one["username"] for one in answer.json()] == [NASTY]


async def test_a_request_that_was_not_answered_has_no_code(client, view):
    """It is 0; a client without a name has an empty one."""
    why = Refusal(Reason.HOOK_BUSY, "too many clients wait for the hook", silent=True)
    address = Address("2001:db8::1", 9)
    view.past.append(Refused(0.1234, effects.Refused(address, address, Transport.TCP, "", Method.CONNECT, 0, why)))
    (found,) = (await client.get("/session/refusals?address=2001:db8::1")).json()
    assert found["error"] == 0
    assert found["username"] == ""
    assert (found["method"], found["transport"], found["at"]) == ("connect", 1, 0.123)


async def test_the_guard_stands_before_it(ask, guarded):
    """Without the token nobody learns who failed to log in."""
    guarded.refuse()
    refused = await ask(guarded, "/session/refusals")
    assert refused.status_code == 401
    assert "alice" not in refused.text
    allowed = await ask(guarded, "/session/refusals", ("authorization", "Bearer t\u00f6ken"))
    assert [one["username"] for one in allowed.json()] == ["alice"]
