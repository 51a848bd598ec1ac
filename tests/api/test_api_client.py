"""hairpin.client against the API: what it asks, what it makes of answers, and what it says where none comes."""

import socket
import subprocess
import sys
import threading

import pytest
from pydantic import BaseModel

from apiserving import answering, api_of
from hairpin.api import Access
from hairpin.client import (
    AnswerError,
    AsyncClient,
    Client,
    ClientError,
    NotFoundError,
    ProblemError,
    QueryError,
    SeveralError,
    TokenError,
    UnreachableError,
    Which,
    clients,
    models,
    routes,
)
from hairpin.stun import Transport

HEAD = b"HTTP/1.1 200 OK\r\nrealm: r\r\nnonce: n\r\nContent-Type: application/json\r\nContent-Length: "


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("HAIRPIN_URL", raising=False)
    monkeypatch.delenv("HAIRPIN_API_TOKEN", raising=False)


@pytest.fixture
def url(view):
    """The API of the view."""
    with api_of(view) as url:
        yield url


@pytest.fixture
def api(url):
    """A client of it."""
    with Client(url) as api:
        yield api


def test_info(api):
    """Every field, and what the headers say."""
    info = api.info()
    assert (info.software, info.uptime, info.port_allocated, info.port_capacity) == ("hairpin/0.1.0", 95, 2, 16384)
    assert [(one.transport, one.external, one.tls) for one in info.interfaces] == [
        (0, "192.0.2.1:3478", None),
        (1, "[2001:db8::1]:3478", None),
        (1, "192.0.2.1:5349", True),
    ]
    assert (api.realm, api.nonce) == ("example.org", "a-run-of-the-server")


@pytest.mark.parametrize("limit", [None, 1, 2, 3, 4, 5, 6])
def test_sessions_come_page_by_page(api, view, monkeypatch, limit):
    """All of them or so many, each once, sorted by id, however they fill the pages."""
    monkeypatch.setattr(routes, "PAGE", 2)
    ids = sorted(view.add(number).id for number in range(5))
    assert [session.id for session in api.sessions(limit)] == ids[:limit]


def test_sessions_are_asked_for_when_they_are_needed(api, view, monkeypatch):
    """A page that nobody looks at is not fetched."""
    monkeypatch.setattr(routes, "PAGE", 2)
    for number in range(5):
        view.add(number)
    some = api.sessions()
    next(some)
    view.live.clear()
    assert len(list(some)) == 1


def test_a_session(api, view):
    """Has all that the API shows of it."""
    view.add(1)
    (session,) = api.sessions()
    assert (session.username, session.password, session.port) == ("alice", "correct horse", 50000)
    assert (session.relays, session.permissions, session.channels) == (
        ("192.0.2.1:50000",),
        (80, 9000),
        (0x4001, 0x4002),
    )
    assert session.peers == (
        models.Peer(address="203.0.113.9", expires=59),
        models.Peer(address="203.0.113.8", expires=29),
    )


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ({"username": "bob"}, 1),
        ({"username": "bob", "transport": "udp"}, 0),
        ({"transport": 1}, 1),
        ({"transport": 0}, 1),
        ({"address": "198.51.0.1"}, 1),
        ({"interface": "192.0.2.1:3478"}, 1),
        ({"username": None, "address": ""}, 2),
    ],
)
def test_filters(api, view, which, found):
    """Each of them narrows the sessions down; None and an empty one do not."""
    view.add(1)
    view.add(2, "bob", transport=Transport.TCP)
    assert len(list(api.sessions(**which))) == found


def test_one_session(api, view):
    """Its statistics are had and it is ended by what names it; then it is not found."""
    view.add(1)
    view.add(2)
    first, second = api.sessions()
    assert api.statistics(**first.which).send_bytes == 2**64 - 1
    with pytest.raises(SeveralError, match="2 sessions match") as several:
        api.delete()
    assert several.value.matched == 2
    assert api.delete(**first.which).deleted == 1
    with pytest.raises(NotFoundError) as missing:
        api.statistics(**first.which)
    assert (missing.value.status, missing.value.detail) == (404, str(missing.value))
    assert [session.id for session in api.sessions()] == [second.id]


def test_a_user_is_thrown_out(api, view):
    """With all of his sessions, and is refused meanwhile."""
    view.add(1)
    view.add(2)
    view.add(3, "bob")
    assert api.throw_out("alice", block=60).deleted == 2
    assert view.blocked["alice"] == 60
    assert api.throw_out("bob").deleted == 1
    assert "bob" not in view.blocked


def test_nobody_is_thrown_out_by_an_empty_name(api, view):
    """The API says what is missing."""
    view.add(1)
    with pytest.raises(QueryError, match="say whose sessions"):
        api.throw_out("")
    assert len(view.live) == 1


def test_credentials(api, view):
    """For a user and a time; without a secret the API says what to set."""
    made = api.credentials("bob", ttl=60)
    assert made.iceServers[0].username == "60:bob"
    assert made.model_dump(mode="json")["iceServers"][0]["urls"] == ["turn:192.0.2.1:3478?transport=udp"]
    view.secret = False
    with pytest.raises(ProblemError, match=r"set auth\.static_auth_secret") as refused:
        api.credentials()
    assert refused.value.status == 409


def test_health_and_drain(api):
    """A server that drains is no error: its status says it."""
    assert (api.health().status, api.health().warnings) == ("ok", ("The API asks nobody for a token.",))
    assert api.drain().status == "draining"
    assert api.health().status == "draining"


def test_metrics(api):
    """As text."""
    assert 'hairpin_received_bytes_total{client="session",worker="0"} 10.0' in api.metrics()


def test_a_restart_is_noticed(api, view):
    """By the nonce, which is new at each start."""
    api.info()
    api.info()
    assert api.restarts == 0
    view.run_id = "the-next-run-of-it"
    api.info()
    assert (api.restarts, api.nonce) == (1, "the-next-run-of-it")


def test_a_worker_that_does_not_answer(api, view):
    """Is a problem with the API's sentence."""
    view.stuck = True
    with pytest.raises(ProblemError, match="did not answer within 2 s") as stuck:
        api.metrics()
    assert stuck.value.status == 503


def test_the_token(guarded, monkeypatch):
    """Is an argument or comes from the environment; without it, or with another, the API says what it wants."""
    guarded.access = Access("open-sesame")
    with api_of(guarded) as url:
        for token in (None, "", "shut-sesame"):
            with Client(url, token=token) as api, pytest.raises(TokenError, match=r"api\.token"):
                api.info()
        with Client(url, token="open-sesame") as api:
            assert api.info().software
        monkeypatch.setenv("HAIRPIN_API_TOKEN", "open-sesame")
        monkeypatch.setenv("HAIRPIN_URL", f"{url}/")
        with Client() as api:
            assert api.info().software
            assert api.url == url
        with Client(url, token="") as api, pytest.raises(TokenError):
            api.info()
        with Client(url, token="shut-sesame") as api:
            assert api.health().warnings is None


def test_no_secret_is_shown(api, view):
    """In no repr."""
    view.add(1)
    (session,) = api.sessions()
    with Client("http://127.0.0.1:1", token="open-sesame") as other:
        shown = [repr(one) for one in (session, api.credentials(), other, other._http)]
        shown.append(str(vars(other)))
    assert not [text for text in shown if "correct horse" in text or "c2VjcmV0" in text or "open-sesame" in text]


@pytest.mark.parametrize(
    ("url", "token", "sentence"),
    [
        ("127.0.0.1:3000", "", "the URL is none of an API"),
        ("ftp://127.0.0.1", "", "the URL is none of an API"),
        ("http://", "", "the URL is none of an API"),
        ("http://127.0.0.1:99999", "", "the URL is none of an API"),
        ("http://127.0.0.1/?x=1", "", "the URL is none of an API"),
        ("http://me:open-sesame@127.0.0.1", "", "the URL has a user in it"),
        (None, "open\nsesame", "the token must be visible ASCII"),
        (None, "öpen-sesame", "the token must be visible ASCII"),
    ],
)
def test_what_will_not_do(url, token, sentence):
    """Is said before anything is asked, without the secret."""
    with pytest.raises(ValueError, match=sentence) as wrong:
        Client(url, token=token)
    assert "sesame" not in str(wrong.value)


def test_nobody_is_there():
    """A closed port is said in one sentence with the URL."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with Client(url) as api, pytest.raises(UnreachableError, match=f"Nothing answers at {url}: .*refused"):
            api.info()


def test_silence_ends():
    """A server that accepts and says nothing is given up."""
    over = threading.Event()
    with answering(lambda _: over.wait(20)) as url, Client(url, timeout=0.2) as api:
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.2 s"):
            api.info()
        over.set()


def test_an_answer_that_trickles_ends():
    """Each byte in time is not enough."""
    over = threading.Event()

    def trickle(connection):
        connection.sendall(HEAD + b"100000\r\n\r\n")
        while not over.wait(0.01):
            connection.sendall(b" ")

    with answering(trickle) as url, Client(url, timeout=0.3) as api:
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.3 s"):
            api.info()
        over.set()


def test_an_answer_has_an_end(monkeypatch):
    """What is too long is not kept."""
    monkeypatch.setattr(clients, "ANSWER_LIMIT", 100)
    long = HEAD + b"101\r\n\r\n" + b" " * 101
    with (
        answering(lambda connection: connection.sendall(long)) as url,
        Client(url) as api,
        pytest.raises(AnswerError, match="more than 100 bytes"),
    ):
        api.info()


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", AnswerError, "is no hairpin"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1\r\nContent-Length: 0\r\n\r\n",
            AnswerError,
            "is no hairpin",
        ),
        (HEAD + b"2\r\n\r\n{}", AnswerError, "status 200, and is none that this client understands"),
        (HEAD + b"9\r\n\r\n{", UnreachableError, "no whole answer in HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", UnreachableError, "no whole answer in HTTP"),
        (b"", UnreachableError, "no whole answer in HTTP"),
    ],
)
def test_what_answers_is_no_hairpin(answer, kind, sentence):
    """Whatever it is, the error is one of the client's."""
    with (
        answering(lambda connection: connection.sendall(answer)) as url,
        Client(url) as api,
        pytest.raises(kind, match=sentence),
    ):
        api.info()


async def test_the_other_client_is_awaited(url, view, monkeypatch):
    """The same routes, the same errors."""
    monkeypatch.setattr(routes, "PAGE", 2)
    ids = sorted(view.add(number).id for number in range(3))
    async with AsyncClient(url) as api:
        assert (await api.info()).software == "hairpin/0.1.0"
        found = [session async for session in api.sessions(username="alice")]
        assert [session.id for session in found] == ids
        assert (await api.statistics(**found[0].which)).send_pkts == 2
        with pytest.raises(SeveralError):
            await api.delete(username="alice")
        assert (await api.throw_out("alice", block=5)).deleted == 3
        assert (await api.health()).status == "ok"
        assert api.realm == "example.org"
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with AsyncClient(f"http://127.0.0.1:{bound.getsockname()[1]}") as api:
            with pytest.raises(UnreachableError):
                await api.info()


def shape(schema, schemas):
    """What of a schema a client relies on: names and types, not ranges, words, forms and descriptions."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return schemas[name]["type"] if "enum" in schemas.get(name, {}) else name
    if "anyOf" in schema:
        return {str(shape(one, schemas)) for one in schema["anyOf"]}
    if schema.get("type") == "array":
        return [shape(schema["items"], schemas)]
    return schema["type"]


def fields(schema, schemas):
    """The members of an object, and whether each is always there."""
    required = schema.get("required", [])
    return {name: (shape(field, schemas), name in required) for name, field in schema["properties"].items()}


async def test_the_models_are_the_apis(client):
    """Each has the same fields, of the same types, as /openapi.json says."""
    described = (await client.get("/openapi.json")).json()["components"]["schemas"]
    ours = [one for one in vars(models).values() if isinstance(one, type) and issubclass(one, models.Answer)]
    assert len(ours) > 5
    for model in set(ours) - {models.Answer, models.Open}:
        assert issubclass(model, BaseModel)
        assert fields(model.model_json_schema(), {}) == fields(described[model.__name__], described), model.__name__


async def test_the_routes_are_the_apis(client):
    """Each route of the client is described, with the fields of the query that it may send."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    which = set(Which.__annotations__)
    calls = [
        (routes.info(), set()),
        (routes.statistics(), which),
        (routes.session_events("x"), {"id"}),
        (routes.refusals(), {"address", "username", "limit"}),
        (routes.delete(), {*which, "all", "block"}),
        (routes.throw_out("x"), {*which, "all", "block"}),
        (routes.credentials(), set()),
        (routes.health(), set()),
        (routes.drain(), set()),
        (routes.metrics(), set()),
        (routes.Page({}).call, {*which, "limit", "after"}),
    ]
    for call, names in calls:
        described = paths[call.path][call.method.lower()]
        assert names <= {parameter["name"] for parameter in described.get("parameters", [])}
        assert set(map(str, call.well)) <= set(described["responses"])


def test_the_client_needs_no_server():
    """Neither the server nor its framework is imported with it."""
    program = "import sys, hairpin.client; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "hairpin.client.clients" in loaded
    assert not {"fastapi", "uvicorn", "hairpin.server", "hairpin.config", "hairpin._core"} & set(loaded)


def test_every_error_is_one_of_the_clients():
    """Who catches ClientError catches all of them."""
    kinds = (AnswerError, QueryError, NotFoundError, ProblemError, SeveralError, TokenError, UnreachableError)
    assert all(issubclass(kind, ClientError) for kind in kinds)
