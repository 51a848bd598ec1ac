"""GET /events over real sockets, and GET /session/events."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import pytest

from hairpin.api import events
from hairpin.api.feed import KEPT, LISTENERS
from hairpin.server.lives import Life
from hairpin.turn.effects import Notify
from standing import standing

REQUEST = b"GET /events HTTP/1.1\r\nHost: localhost\r\n"
CLOSE = b"Connection: close"


def publish(view, *numbers):
    """Refreshes of the first session with these lifetimes."""
    for number in numbers:
        view.feed.publish(Notify("refresh", view.live[1], (("lifetime", number),)), 1_700_000_000.1234)


@asynccontextmanager
async def listening(view, web, *headers):
    """A listener that has got the head of its answer, and the first lines of the stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.address.port)
    writer.write(REQUEST + b"".join(header + b"\r\n" for header in headers) + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " in head.split(b"\r\n", 1)[0]:
        await reader.readuntil(b"\n\n\r\n")
    yield reader, head
    writer.close()


async def lives(reader, number):
    """The lifetimes of the next events, so many."""
    found = []
    while len(found) < number:
        line = await reader.readuntil(b"\n")
        if line.startswith(b"data: "):
            found.append(json.loads(line[6:])["lifetime"])
    return found


async def left(view, number=0):
    """Wait until so many listeners are left."""
    async with asyncio.timeout(10):
        for _ in iter(lambda: len(view.feed.listeners) > number, False):
            await asyncio.sleep(0)


async def test_an_event_is_the_body_that_hooks_are_told(view):
    """With an id, in the framing of server-sent events, under the headers of every response."""
    view.begin(1, "<b>alice\n")
    async with standing(view) as web:
        async with listening(view, web) as (reader, head):
            publish(view, 600)
            block = await reader.readuntil(b"\n\n\r\n")
        await left(view)
    assert b"content-type: text/event-stream" in head
    assert b"cache-control: no-store" in head
    (id_, data) = block.split(b"\r\n")[1].strip().split(b"\n")
    assert id_ == b"id: a-run-of-the-server.1"
    assert json.loads(data.removeprefix(b"data: ")) == {
        "kind": "refresh",
        "id": view.live[1].id,
        "at": 1_700_000_000.123,
        "session": {"address": "198.51.0.1:40000", "interface": "192.0.2.1:3478", "transport": "udp"},
        "username": "<b>alice\n",
        "lifetime": 600,
    }
    assert b"correct horse" not in block


async def test_who_comes_back_names_its_last_event(view):
    """`Last-Event-ID` is where it goes on."""
    view.begin(1)
    async with standing(view) as web, listening(view, web):
        publish(view, 1, 2, 3)
        async with listening(view, web, b"Last-Event-ID: a-run-of-the-server.1") as (reader, _):
            assert await lives(reader, 2) == [2, 3]


async def test_a_listener_that_stands_still_is_told_what_it_lost(view):
    """What its connection has no room for is kept, KEPT events at most; the oldest go, and `missed` says how many."""
    view.begin(1, "x" * 500)
    got = missed = 0
    async with standing(view) as web, asyncio.timeout(60), listening(view, web, CLOSE) as (reader, _):
        while all(listener.after >= view.feed.last - KEPT for listener in view.feed.listeners):
            publish(view, *range(KEPT))
            await asyncio.sleep(0)
        view.feed.end()
        async for line in reader:
            if line.startswith(b'data: {"missed"'):
                missed += json.loads(line[6:])["missed"]
            got += line.startswith(b'data: {"kind"')
    assert missed > 0
    assert got + missed == view.feed.last


async def test_one_listener_too_many(view):
    """It is 503 with what to do, and there is room as soon as one hangs up."""
    view.begin(1)
    async with standing(view) as web:
        open_ = [listening(view, web) for _ in range(LISTENERS)]
        for each in open_:
            await each.__aenter__()
        async with listening(view, web) as (_, head):
            assert head.startswith(b"HTTP/1.1 503 ")
        await open_.pop().__aexit__(None, None, None)
        await left(view, LISTENERS - 1)
        async with listening(view, web) as (reader, _):
            publish(view, 7)
            assert await lives(reader, 1) == [7]
        for each in open_:
            await each.__aexit__(None, None, None)
        await left(view)
    assert view.crashes == []


async def test_a_browser_that_goes_away_leaves_nothing(view):
    """Whether it closes its connection or resets it: its place in the feed is free, and nothing has crashed."""
    view.begin(1)
    async with standing(view) as web:
        for abrupt in (False, True):
            reader, writer = await asyncio.open_connection("127.0.0.1", web.address.port)
            writer.write(REQUEST + b"\r\n")
            await reader.readuntil(b"\n\n\r\n")
            assert len(view.feed.listeners) == 1
            if abrupt:
                linger = b"\1\0\0\0\0\0\0\0"
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                publish(view, *range(KEPT))
                writer.transport.abort()
            writer.close()
            await left(view)
    assert view.crashes == []


async def test_a_listener_that_takes_nothing_is_hung_up_on(view, monkeypatch):
    """After STUCK seconds without room for more."""
    monkeypatch.setattr(events, "STUCK", 0.05)
    view.begin(1, "x" * 500)
    async with standing(view) as web, listening(view, web):
        async with asyncio.timeout(30):
            while view.feed.listeners:
                publish(view, *range(100))
                await asyncio.sleep(0)
    assert view.crashes == []


async def test_silence_is_broken_by_comments(view, monkeypatch):
    """So that whatever stands between knows that the connection lives."""
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.01)
    async with standing(view) as web, listening(view, web) as (reader, _), asyncio.timeout(10):
        assert b":\n\n" in await reader.readuntil(b":\n\n")
        assert b":\n\n" in await reader.readuntil(b":\n\n")


async def test_the_end_of_the_feed_is_the_end_of_the_stream(view):
    """After the last events; the connection is closed in good order, and a stop waits for nobody."""
    view.begin(1)
    async with standing(view) as web, asyncio.timeout(10), listening(view, web) as (reader, _):
        publish(view, 1, 2)
        view.feed.end()
        stopping = asyncio.create_task(web.stop())
        assert await lives(reader, 2) == [1, 2]
        assert (await reader.read()).endswith(b"0\r\n\r\n")
        await stopping


async def test_a_stream_ends_with_its_login(guarded):
    """Who has logged out is told nothing more; programs that hold the token are."""
    guarded.begin(1)
    body, origin = b'{"token": "t\\u00f6ken"}', b"Origin: http://localhost"
    login = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    async with standing(guarded) as web, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", web.address.port)
        writer.write(login % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        cookie = b"Cookie: " + head.partition(b"set-cookie: ")[2].partition(b";")[0]
        bearer = "Authorization: Bearer t\u00f6ken".encode()
        async with listening(guarded, web, cookie) as (page, _), listening(guarded, web, bearer) as (program, _):
            publish(guarded, 1)
            assert await lives(page, 1) == [1]
            writer.write(b"POST /logout HTTP/1.1\r\nHost: localhost\r\n%b\r\n%b\r\n\r\n" % (cookie, origin))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
            publish(guarded, 2)
            assert b"data" not in await page.readuntil(b"0\r\n\r\n")
            assert await lives(program, 2) == [1, 2]
        writer.close()


async def test_the_life_of_a_session(client, view):
    """Its messages with what each says, who it was, and the last figures of one that is over."""
    session = view.begin(1, "<i>")
    counters = await view.statistics(1)
    messages = [
        (1_700_000_000.5, "allocated", (("port", 50000),)),
        (1_700_000_001.0, "closed", (("reason", "deleted"),)),
    ]
    view.lives["one"] = Life(session, True, counters, 3, messages)
    answer = await client.get("/session/events", params={"id": "one"})
    assert answer.json() == {
        "id": session.id,
        "address": "198.51.0.1:40000",
        "interface": "192.0.2.1:3478",
        "transport": 0,
        "username": "<i>",
        "ended": True,
        "statistics": {
            "received_bytes": 10,
            "send_bytes": 2**64 - 1,
            "received_pkts": 1,
            "send_pkts": 2,
            "error_pkts": 0,
        },
        "forgotten": 3,
        "events": [
            {"at": 1_700_000_000.5, "kind": "allocated", "port": 50000},
            {"at": 1_700_000_001.0, "kind": "closed", "reason": "deleted"},
        ],
    }
    assert "correct horse" not in answer.text


@pytest.mark.parametrize(("query", "status"), [({"id": "x"}, 404), ({}, 422), ({"id": ""}, 422)])
async def test_no_such_life(client, query, status):
    """It is a problem that says what to do."""
    answer = await client.get("/session/events", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
