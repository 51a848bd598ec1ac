"""Long lists: paging, and room for the loop between small steps."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from hairpin.api.listing import ENCODE, ENTRIES, SCAN, encoded, matching


class Counting(dict):
    """Counts the sessions that are looked up, as each one is before it is encoded."""

    looked_up = 0

    def get(self, key, default=None):
        """A session, counted."""
        self.looked_up += 1
        return super().get(key, default)


@asynccontextmanager
async def watched(figure):
    """By how much `figure` grows from one turn of the loop to the next: a list that is full at the end."""
    steps = []

    async def watch():
        before = figure()
        while True:
            await asyncio.sleep(0)
            steps.append(figure() - before)
            before = figure()

    task = asyncio.create_task(watch())
    await asyncio.sleep(0)
    yield steps
    task.cancel()


@pytest.fixture
def crowd(view):
    """50,000 sessions."""
    for number in range(50_000):
        view.begin(number)
    view.live = Counting(view.live)
    return view


async def test_encoding_yields(crowd):
    """The loop turns after at most ENCODE sessions, and the whole is an array of all of them."""
    runs = await matching(crowd, lambda _: True)
    async with watched(lambda: crowd.live.looked_up) as steps:
        pieces = [piece async for piece in encoded(crowd, runs, None, False)]
    assert max(steps) <= ENCODE <= 100
    assert len(steps) >= 50_000 / ENCODE
    assert len({one["id"] for one in json.loads(b"".join(pieces))}) == 50_000


async def test_encoding_yields_for_large_sessions(view):
    """The loop turns after fewer sessions where they have much to show: at most ENTRIES, and one session's."""
    for number in range(20):
        (permission, *_) = view.add(number).allocation.permissions.values()
        permission.ports = set(range(ENTRIES // 4))
    view.live = Counting(view.live)
    runs = await matching(view, lambda _: True)
    async with watched(lambda: view.live.looked_up) as steps:
        pieces = [piece async for piece in encoded(view, runs, None, False)]
    assert max(steps) <= 4
    assert len(json.loads(b"".join(pieces))) == 20


async def test_scanning_yields(crowd):
    """The loop turns after at most SCAN sessions were held against the filters, also when none of them matches."""
    seen = []
    async with watched(lambda: len(seen)) as steps:
        assert not any(await matching(crowd, seen.append))
    assert len(seen) == 50_000
    assert max(steps) <= SCAN <= 1000


async def test_pages(client, view):
    """Pages, each after the last id of the one before, show every session once; the order is that of the whole."""
    for number in range(1, 258):
        view.add(number)
    whole = [one["id"] for one in (await client.get("/session")).json()]
    paged, after = [], ""
    while page := (await client.get("/session", params={"limit": "50", "after": after})).json():
        paged += [one["id"] for one in page]
        after = paged[-1]
        assert len(paged) == len(set(paged))
    assert paged == whole
    assert len(set(whole)) == 257


async def test_paging_survives_what_comes_and_goes(client, view):
    """Who lives throughout is shown once, though the session named by `after` ends and others begin meanwhile."""
    for number in range(1, 101):
        view.add(number)
    throughout = {one.id for number, one in view.live.items() if number % 2 == 0}
    paged, after, newcomer = [], "", 1000
    while page := (await client.get("/session", params={"limit": "7", "after": after})).json():
        paged += [one["id"] for one in page]
        after = paged[-1]
        assert len(paged) == len(set(paged))
        view.live = {number: one for number, one in view.live.items() if one.id in throughout - {after}}
        throughout &= {one.id for one in view.live.values()} | set(paged)
        newcomer += 1
        view.add(newcomer)
    assert throughout <= set(paged)


@pytest.mark.parametrize(
    ("limit", "shown"), [("1", 1), ("50", 50), ("51", 51), ("119", 119), ("120", 120), ("100000", 120)]
)
async def test_limit(client, view, limit, shown):
    """A page has `limit` sessions, or as many as there are."""
    for number in range(1, 121):
        view.add(number)
    assert len((await client.get("/session", params={"limit": limit})).json()) == shown


async def test_what_ends_during_the_listing_is_left_out(view):
    """A session is looked at again when its turn comes: whoever ended meanwhile is not shown, also if all did."""
    for number in range(1, 4 * ENCODE):
        view.begin(number)
    runs = await matching(view, lambda _: True)
    pieces = encoded(view, runs, None, False)
    first = await anext(pieces)
    view.live.clear()
    rest = b"".join([piece async for piece in pieces])
    assert len(json.loads(first + rest)) == ENCODE
    assert b"".join([piece async for piece in encoded(view, runs, None, False)]) == b"[]"


async def test_a_flow_that_was_given_to_another_session(view):
    """A newcomer under the flow of one that ended is not taken for it."""
    view.begin(1)
    runs = await matching(view, lambda _: True)
    view.begin(1, "bob")
    assert b"".join([piece async for piece in encoded(view, runs, None, False)]) == b"[]"


async def test_the_limit_counts_the_living(view):
    """Sessions that ended meanwhile take no place on the page."""
    for number in range(1, 4 * ENCODE):
        view.begin(number)
    runs = await matching(view, lambda _: True)
    ids = sorted(one.id for one in view.live.values())
    view.live = {number: one for number, one in view.live.items() if one.id not in ids[: 2 * ENCODE]}
    page = json.loads(b"".join([piece async for piece in encoded(view, runs, 10, False)]))
    assert [one["id"] for one in page] == ids[2 * ENCODE : 2 * ENCODE + 10]
