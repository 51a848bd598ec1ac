"""hairpin.client about what happens: the live stream, a session's life, and who was refused."""

import asyncio
import threading

import pytest

from apiserving import answering, api_of
from hairpin.api.feed import LISTENERS
from hairpin.client import (
    AnswerError,
    AsyncClient,
    Client,
    Event,
    Missed,
    NotFoundError,
    ProblemError,
    QueryError,
    UnreachableError,
    Whose,
    clients,
)
from hairpin.server.lives import Life
from hairpin.turn.effects import Notify
from standing import standing

HEAD = b"HTTP/1.1 200 OK\r\nrealm: r\r\nnonce: n\r\nContent-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
REFRESH = (
    b'id: n.%d\ndata: {"kind":"refresh","id":"one","at":1.5,"username":"alice","lifetime":%d,'
    b'"session":{"address":"198.51.100.7:1","interface":"192.0.2.1:3478","transport":"udp"}}\n\n'
)


def told(*pieces):
    """A server that tells these pieces, a chunk each, and hangs up in good order."""
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return answering(lambda connection: connection.sendall(HEAD + CHUNKED + b"".join(chunks) + b"0\r\n\r\n"))


async def happens(view, *lifetimes):
    """Wait for a listener, then refresh the first session, and be the end."""
    async with asyncio.timeout(10):
        for _ in iter(lambda: bool(view.feed.listeners), True):
            await asyncio.sleep(0)
    for lifetime in lifetimes:
        view.feed.publish(Notify("refresh", view.live[1], (("lifetime", lifetime),)), 1_700_000_000.1234)
    view.feed.end()


async def test_events_come_until_the_server_stops(view):
    """Each with the fields of a hook's body, what its kind adds, and an id of its own."""
    view.begin(1)
    async with standing(view) as web, AsyncClient(f"http://{web.address}") as api:
        telling = asyncio.create_task(happens(view, 600, 601))
        first, second = [event async for event in api.events()]
        await telling
    assert isinstance(first, Event)
    assert (first.kind, first.id, first.at) == ("refresh", view.live[1].id, 1_700_000_000.123)
    assert (first.username, first.data) == ("alice", {"lifetime": 600})
    assert first.session == Whose(address="198.51.0.1:40000", interface="192.0.2.1:3478", transport="udp")
    assert (first.event_id, second.event_id) == ("a-run-of-the-server.1", "a-run-of-the-server.2")
    assert second.data == {"lifetime": 601}
    assert api.nonce == "a-run-of-the-server"


async def test_the_other_client_waits_for_them(view):
    """In a thread, from the event that it names."""
    view.begin(1)

    def listen(url):
        with Client(url) as api:
            return [event.data["lifetime"] for event in api.events(after="a-run-of-the-server.0")]

    async with standing(view) as web:
        telling = asyncio.create_task(happens(view, 1, 2, 3))
        assert await asyncio.to_thread(listen, f"http://{web.address}") == [1, 2, 3]
        await telling


async def test_who_comes_back_goes_on_behind_its_last_event(view):
    """As long as another one listened meanwhile; what is lost else, it is told."""
    view.begin(1)
    async with standing(view) as web, AsyncClient(f"http://{web.address}") as api:
        telling = asyncio.create_task(happens(view, *range(1, 6)))
        first = [event async for event in api.events()]
        await telling
        again = [event async for event in api.events(after=first[2].event_id)]
    assert [event.data["lifetime"] for event in first] == [1, 2, 3, 4, 5]
    assert again == [Missed(missed=2)]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_events_however_they_are_cut(size):
    """A chunk is no event: they come whole from one byte at a time, between comments and a place alone."""
    stream = (
        b'retry: 2000\nid: n.6\n\n:\n\nevent: missed\ndata: {"missed":12}\n\n' + REFRESH % (7, 1) + REFRESH % (8, 2)
    )
    with told(*(stream[at : at + size] for at in range(0, len(stream), size))) as url, Client(url) as api:
        missed, *events = api.events()
    assert missed == Missed(missed=12)
    assert [(event.event_id, event.data["lifetime"]) for event in events] == [("n.7", 1), ("n.8", 2)]


@pytest.mark.parametrize("body", [b"nonsense", b"[1]", b'{"kind":"refresh"}', b'{"kind":1,"id":{}}'])
def test_what_is_no_event_is_said(body):
    """It is an error of the client's, after the events before it."""
    with told(REFRESH % (1, 1), b"data: %b\n\n" % body) as url, Client(url) as api:
        events = api.events()
        assert next(events).event_id == "n.1"
        with pytest.raises(AnswerError, match="nothing that this client understands"):
            next(events)


@pytest.mark.parametrize(
    "rest",
    [
        CHUNKED + b"5\r\nid: ",
        b"Content-Length: 9\r\n\r\ndata: ",
        CHUNKED + b"zz\r\n",
        b"Content-Type: text/html\r\n\r\n",
    ],
    ids=["cut", "short", "garbled", "a page"],
)
def test_a_stream_that_breaks_is_unreachable(rest):
    """So that who listens knows to come back."""
    head = HEAD.replace(b"text/event-stream", b"text/html") if b"html" in rest else HEAD
    with (
        answering(lambda connection: connection.sendall(head + rest)) as url,
        Client(url) as api,
        pytest.raises(UnreachableError, match="no whole answer in HTTP"),
    ):
        list(api.events())


def test_a_stream_without_a_sign_of_life_ends(monkeypatch):
    """After SILENCE, however long a request may take else."""
    monkeypatch.setattr(clients, "SILENCE", 0.2)
    over = threading.Event()

    def silent(connection):
        connection.sendall(HEAD + CHUNKED)
        over.wait(20)

    with answering(silent) as url, Client(url, timeout=30) as api:
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.2 s"):
            list(api.events())
        over.set()


async def test_one_listener_too_many(view):
    """It is the API's problem, and its connection is free for what is asked next."""
    async with standing(view) as web, AsyncClient(f"http://{web.address}") as api:
        places = [view.feed.listen("") for _ in range(LISTENERS)]
        for place in places:
            place.__enter__()
        with pytest.raises(ProblemError, match="listen already") as full:
            [event async for event in api.events()]
        assert full.value.status == 503
        assert (await api.info()).software
        for place in places:
            place.__exit__(None, None, None)


def test_the_life_of_a_session(view):
    """What the API knows of it, for one that is over as well."""
    session = view.begin(1)
    happened = [(1_700_000_000.5, "allocated", (("port", 50000),)), (1_700_000_001.0, "closed", ())]
    view.lives["one"] = Life(session, True, None, 3, happened)
    with api_of(view) as url, Client(url) as api:
        life = api.session_events("one")
        assert (life.id, life.username, life.ended, life.statistics, life.forgotten) == (
            session.id,
            "alice",
            True,
            None,
            3,
        )
        assert [(one.at, one.kind, one.data) for one in life.events] == [
            (1_700_000_000.5, "allocated", {"port": 50000}),
            (1_700_000_001.0, "closed", {}),
        ]
        with pytest.raises(NotFoundError):
            api.session_events("two")
        with pytest.raises(QueryError):
            api.session_events("")


def test_refusals(view):
    """Of all, of a user, of an address; the latest first."""
    for number, user in enumerate(("alice", "bob", "bob"), 1):
        view.refuse(number, user)
    with api_of(view) as url, Client(url) as api:
        assert [one.username for one in api.refusals()] == ["bob", "bob", "alice"]
        assert [one.username for one in api.refusals(limit=1)] == ["bob"]
        (of_address,) = api.refusals(address="198.51.0.2")
        (one,) = api.refusals("alice")
        assert of_address.username == "bob"
        assert (one.method, one.error, one.reason, one.detail) == ("allocate", 401, "expired", "expired 312 s ago")
        assert api.refusals("nobody") == ()
        with pytest.raises(QueryError):
            api.refusals(address="nowhere")
