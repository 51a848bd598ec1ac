"""Who is let in: with a token who holds it, without one programs on this machine."""

import pytest

from hairpin.api import Probe, create_app
from hairpin.stun import Address

HERE = ("host", "127.0.0.1:3000")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:3000", "127.9.9.9:1", "localhost", "LocalHost:3000", "[::1]", "[::1]:3000", "localhost:"],
)
async def test_hosts_of_this_machine(ask, view, host):
    """Loopback names are served without a token."""
    assert (await ask(view, "/info", ("host", host))).status_code == 200


_ADDRESSES = ["192.0.2.1:3000", "[2001:db8::1]:3000", "0.0.0.0:3000", "[::]:3000", "::1", "2130706433"]
_NAMES = ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example"]
_NONSENSE = ["", "localhost:x", "localhost@evil", "[localhost", "localhost:1:2"]


@pytest.mark.parametrize("host", [*_ADDRESSES, *_NAMES, *_NONSENSE])
async def test_foreign_hosts(ask, view, host):
    """Any other name may have been rebound by a web page's DNS: 403, on every path."""
    for path in ("/info", "/health", "/metrics", "/openapi.json", "/nothing"):
        answer = await ask(view, path, ("host", host))
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    "header",
    [
        ("forwarded", "for=192.0.2.7"),
        ("forwarded", ""),
        ("X-Forwarded-For", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-anything", "1"),
        ("via", "1.1 proxy"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", ""),
        ("origin", "http://127.0.0.1"),
        ("origin", "http://127.0.0.1:8080"),
        ("origin", "http://localhost:3000"),
        ("host", "localhost"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c, WebSocket"),
    ],
)
async def test_pages_and_proxies(ask, view, header):
    """What a web page of another origin, a proxy or a WebSocket sends gets 403, and changes nothing."""
    view.add(1)
    assert (await ask(view, "/session", HERE, header)).status_code == 403
    assert (await ask(view, "/session?username=alice", HERE, header, method="DELETE")).status_code == 403
    assert (await ask(view, "/drain", HERE, header, method="POST")).status_code == 403
    assert (set(view.live), view.draining) == ({1}, False)


async def test_two_origins(ask, view):
    """The API's own origin does not vouch for another one beside it."""
    own, other = ("origin", "http://127.0.0.1:3000"), ("origin", "http://evil.example")
    assert (await ask(view, "/info", HERE, own)).status_code == 200
    assert (await ask(view, "/info", HERE, own, other)).status_code == 403


async def test_open_to_all(ask, open_to_all):
    """With api.allow_unauthenticated any Host and proxy is served, a page of another origin is not."""
    there = ("host", "turn.example:3000")
    assert (await ask(open_to_all, "/info", there, ("via", "1.1 proxy"))).status_code == 200
    assert (await ask(open_to_all, "/info", there, ("origin", "https://turn.example:3000"))).status_code == 200
    assert (await ask(open_to_all, "/info", there, ("origin", "http://evil.example"))).status_code == 403
    assert (await ask(open_to_all, "/info", there, ("upgrade", "websocket"))).status_code == 403


@pytest.mark.parametrize("value", ["Bearer t\u00f6ken", "bearer t\u00f6ken", "BEARER  t\u00f6ken "])
async def test_the_token(ask, guarded, value):
    """Who sends the token is served under any Host, through a proxy too."""
    answer = await ask(guarded, "/info", ("host", "turn.example"), ("via", "1.1 proxy"), ("authorization", value))
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/info", "/session", "/metrics", "/openapi.json", "/nothing", "/health/"])
@pytest.mark.parametrize(
    "values",
    [[], ["Bearer"], ["Bearer "], ["Bearer toke"], ["Bearer t\u00f6ken2"], ["Basic t\u00f6ken"], ["t\u00f6ken"]],
)
async def test_no_token(ask, guarded, path, values):
    """Anything else is 401 with the scheme that is asked for, also on loopback and on unknown paths."""
    answer = await ask(guarded, path, HERE, *(("authorization", value) for value in values))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_two_tokens(ask, guarded):
    """Of two Authorization headers it is not said which one counts: 401."""
    right, wrong = ("authorization", "Bearer t\u00f6ken"), ("authorization", "Bearer x")
    assert (await ask(guarded, "/info", HERE, right, wrong)).status_code == 401


async def test_health_without_the_token(ask, guarded):
    """A stranger learns the status and no more; who holds the token reads the warnings."""
    assert (await ask(guarded, "/health", ("host", "lb.example"))).json() == {"status": "ok"}
    answer = await ask(guarded, "/health", HERE, ("authorization", "Bearer t\u00f6ken"))
    assert answer.json() == {"status": "ok", "warnings": ["The API asks nobody for a token."]}


async def test_health_that_fails_without_the_token(ask, guarded):
    """A stranger learns that it fails; who holds the token reads what does."""
    place = Address.parse("192.0.2.1:3478")
    guarded.probed = [Probe(place, "udp", "UDP: nobody listens.", 0.1, 1.0), Probe(place, "tcp", None, 0.1, 1.0)]
    answer = await ask(guarded, "/health", ("host", "lb.example"))
    assert (answer.status_code, answer.json()) == (503, {"status": "failing"})
    answer = await ask(guarded, "/health", HERE, ("authorization", "Bearer t\u00f6ken"))
    assert (answer.status_code, answer.json()["failing"]) == (503, ["udp 192.0.2.1:3478: UDP: nobody listens."])


async def test_websockets_are_closed(view):
    """A WebSocket is closed before it is accepted, which a server answers with 403."""
    sent = []

    async def send(message):
        sent.append(message)

    await create_app(view)({"type": "websocket", "path": "/", "headers": []}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_token_is_not_shown(guarded):
    """The token is not in the representation of what holds it."""
    assert "t\u00f6ken" not in repr(guarded)
