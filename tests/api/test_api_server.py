"""What stands on every response, and the routes that are not of sessions."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hairpin.api import Probe, create_app
from hairpin.stun import Address


def stamped(answer):
    """Whether the headers that stand on every response stand there, once each."""
    wanted = {"realm": "example.org", "nonce": "a-run-of-the-server", "cache-control": "no-store"}
    wanted["x-content-type-options"] = "nosniff"
    return all(answer.headers.get_list(name) == [value] for name, value in wanted.items())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/info", 200),
        ("GET", "/session", 200),
        ("GET", "/session?address=x", 400),
        ("GET", "/session/statistics", 404),
        ("DELETE", "/session", 404),
        ("GET", "/", 200),
        ("POST", "/", 405),
        ("GET", "/page/app.js", 200),
        ("GET", "/page/index.html", 404),
        ("GET", "/page/..%2fapp.py", 404),
        ("GET", "/session/", 404),
        ("GET", "/docs", 404),
        ("GET", "/\u20ac%00%ff", 404),
        ("PUT", "/session", 405),
        ("HEAD", "/info", 405),
        ("OPTIONS", "/info", 405),
        ("NONSENSE", "/info", 405),
        ("POST", "/metrics", 405),
        ("DELETE", "/openapi.json", 405),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/health", 200),
        ("POST", "/credentials", 200),
        ("POST", "/drain", 202),
    ],
)
async def test_headers_on_every_response(client, method, path, status):
    """realm, nonce and Cache-Control stand on it, whatever the answer is; errors are problems; there is no CORS."""
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert stamped(answer)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    if status >= 400 and method != "HEAD":
        problem = answer.json()
        assert (problem["type"], problem["status"]) == ("about:blank", status)
        assert problem["title"]
        assert problem["detail"].endswith(".")


async def test_headers_on_refusals(ask, guarded, view):
    """They stand on 401 and 403, too."""
    assert stamped(await ask(guarded, "/info", ("host", "localhost")))
    assert stamped(await ask(view, "/info", ("host", "evil.example")))


async def test_a_handler_that_crashes(client, view, monkeypatch):
    """It is a 500 problem with the headers, and says nothing of the inside."""
    monkeypatch.setattr(view, "ports", lambda: 1 / 0)
    answer = await client.get("/info")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert stamped(answer)
    assert "division" not in answer.text
    assert view.crashes == [("/info", ZeroDivisionError)]


async def test_everything_below_crashes(client, view, monkeypatch):
    """The outermost layer answers by itself when the framework never began to."""
    monkeypatch.setattr("hairpin.api.guard.refused", lambda *_: 1 / 0)
    answer = await client.get("/info")
    assert (answer.status_code, answer.json()["status"]) == (500, 500)
    assert view.crashes == [("/info", ZeroDivisionError)]
    assert stamped(answer)


async def test_a_crash_in_the_middle_of_a_body(client, view, monkeypatch):
    """A body that was cut short does not look whole: the server is told, and closes the connection."""
    for number in range(200):
        view.begin(number)
    lives = iter([view.live] * 100)
    monkeypatch.setattr(view, "sessions", lambda: next(lives))
    with pytest.raises(Exception, match=r"StopIteration|generator"):
        await client.get("/session")
    assert [path for path, _ in view.crashes] == ["/session"]


async def test_allow_names_every_method(client):
    """405 says which methods the path has, of all its routes (RFC 9110, section 15.5.6)."""
    assert (await client.put("/session")).headers["allow"] == "DELETE, GET"
    assert (await client.get("/drain")).headers["allow"] == "POST"


async def test_info(client, view):
    """Every field of the document, with integers for transports and `tls` where it is."""
    view.taken = {4: (3, 16384), 6: (7, 16384)}
    assert (await client.get("/info")).json() == {
        "software": "hairpin/0.1.0",
        "uptime": 95,
        "port_allocated": 7,
        "port_capacity": 16384,
        "interfaces": [
            {"transport": 0, "bind": "10.0.0.1:3478", "external": "192.0.2.1:3478"},
            {"transport": 1, "bind": "[2001:db8::2]:3478", "external": "[2001:db8::1]:3478"},
            {"transport": 1, "bind": "10.0.0.1:5349", "external": "192.0.2.1:5349", "tls": True},
        ],
    }


async def test_info_saturates(client, view):
    """Both port figures stay within uint16; without a relay address they are 0."""
    view.taken = {4: (65536, 65536)}
    info = (await client.get("/info")).json()
    assert (info["port_allocated"], info["port_capacity"]) == (65535, 65535)
    view.taken = {}
    info = (await client.get("/info")).json()
    assert (info["port_allocated"], info["port_capacity"]) == (0, 0)


async def test_draining(client, view):
    """POST /drain is heard, and /health is 503 from then on."""
    assert (await client.get("/health")).status_code == 200
    assert (await client.post("/drain")).json() == {"status": "draining"}
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert answer.headers["content-type"] == "application/json"


async def test_draining_comes_before_failing(client, view):
    """A server that stops is not one that is ill."""
    view.probed, view.draining = [Probe(Address.parse("192.0.2.1:3478"), "udp", "no", 0.1, 1.0)], True
    assert (await client.get("/health")).json()["status"] == "draining"


async def test_metrics_of_the_probe(client, view):
    """Whether, how long and when, for each listener; nothing before the first time."""
    place = Address.parse("192.0.2.1:3478")
    view.probed = [Probe(place, "udp", "no", 0.25, 7.0), Probe(place, "tcp", None, 0.5, 9.0)]
    families = {family.name: family for family in text_string_to_metric_families((await client.get("/metrics")).text)}

    def values(name):
        return {sample.labels["transport"]: sample.value for sample in families[f"hairpin_probe_{name}"].samples}

    assert values("success") == {"udp": 0, "tcp": 1}
    assert values("duration_seconds") == {"udp": 0.25, "tcp": 0.5}
    assert values("timestamp_seconds") == {"udp": 7, "tcp": 9}


@pytest.mark.parametrize(
    ("body", "username"),
    [
        (None, "86400:"),
        ({"ttl": 60.0}, "60:"),
        ({}, "86400:"),
        ({"user": "bob"}, "86400:bob"),
        ({"user": "\u20ac" * 124, "ttl": 1}, "1:" + "\u20ac" * 124),
    ],
)
async def test_credentials(client, body, username):
    """Ready for RTCPeerConnection; user and ttl may be left out, and so may the body."""
    answer = await client.post("/credentials", json=body) if body is not None else await client.post("/credentials")
    (server,) = answer.json()["iceServers"]
    assert server == {"urls": ["turn:192.0.2.1:3478?transport=udp"], "username": username, "credential": "c2VjcmV0"}


_BAD_TTL = [b"0", b"1e99", b"Infinity", b"NaN", b'"60"', b"true", b"31622401", b"60.5", b"null", b"9" * 5000]
_BAD_USER = [b"1", b'"\\u001b[2J"', b'"\\ud800"', b"null", b'"' + b"x" * 125 + b'"']
_NO_OBJECT = [b"[]", b"{", b'"x"', b"\xff", b'{"TTL": 5}', b"[" * 5000]


@pytest.mark.parametrize(
    "body",
    [*(b'{"ttl": %b}' % ttl for ttl in _BAD_TTL), *(b'{"user": %b}' % user for user in _BAD_USER), *_NO_OBJECT],
)
async def test_bad_wishes(client, body):
    """A body that cannot be meant is 422, and says which field."""
    answer = await client.post("/credentials", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["detail"].startswith("body")


async def test_a_form_is_no_wish(client):
    """A body that a web page's form could send without asking is refused."""
    answer = await client.post("/credentials", content=b'{"ttl": 60}', headers={"content-type": "text/plain"})
    assert answer.status_code == 422


async def test_a_body_without_end(client):
    """A body is read up to 16 KiB, then it is 413."""

    sent = []

    async def endless():
        while True:
            sent.append(1000)
            yield b" " * 1000

    answer = await client.post("/credentials", content=endless(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert sum(sent) <= 20_000


async def test_credentials_without_a_secret(client, view):
    """It is 409 with the setting that is missing."""
    view.secret = False
    answer = await client.post("/credentials")
    assert answer.status_code == 409
    assert "auth.static_auth_secret" in answer.json()["detail"]


async def test_a_lifespan_is_passed_on(view):
    """The application starts and stops under a server that says so."""
    heard, sent = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]), []

    async def receive():
        return next(heard)

    async def send(message):
        sent.append(message["type"])

    await create_app(view)({"type": "lifespan", "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
