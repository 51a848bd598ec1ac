"""The spool: what it has taken is delivered, whatever ends first. A copy of its files is what SIGKILL leaves behind."""

import asyncio
import os
import shutil
import sqlite3
import stat
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hairpin.hooks import Spool, SpoolError, spool
from hairpin.hooks.event import Event
from hairpin.hooks.spool_file import SpoolFile
from receiving import NOW, Receiver, notify, settle

LEG = {"received_bytes": 5, "received_pkts": 1, "send_bytes": 7, "send_pkts": 2}
NONE = dict.fromkeys(LEG, 0)


class Quiet:
    """A logger for those who need one."""

    def warning(self, event: str, **values: object) -> None:
        """Say nothing."""

    info = warning


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the spool is."""
    return tmp_path / "spool"


def receiver(file: Path) -> Receiver:
    """One whose events wait in this file."""
    return Receiver(store=lambda log: Spool.open(file, NOW, log))


def left_behind(file: Path) -> Path:
    """The files as they are at this moment, elsewhere: nothing but what was committed is in them."""
    copy = file.with_name(f"spool{len(list(file.parent.iterdir()))}")
    for ending in ("", "-wal"):
        if Path(f"{file}{ending}").exists():
            shutil.copy(f"{file}{ending}", f"{copy}{ending}")
    return copy


async def delivered(file: Path) -> list[dict[str, Any]]:
    """All that a new server with this file delivers."""
    again = receiver(file)
    async with again.running():
        await settle()
    return again.bodies


def used(**more: object) -> dict[str, object]:
    """What a usage event says."""
    return {"began": 1.0, "until": 2.0, "client": LEG, "peers": LEG, "error_pkts": 3, **more}


async def test_an_event_is_committed_when_it_was_published(file: Path) -> None:
    """SIGKILL right after it loses nothing: not the event, not its id, not a byte of its JSON."""
    first = receiver(file)
    first.events.publish(notify("allocated", port=1), NOW)
    first.events.publish(notify("closed", reason="expired"), NOW)
    killed = left_behind(file)
    async with first.running():
        await settle()
    again = receiver(killed)
    async with again.running():
        await settle()
    assert again.bodies == first.bodies
    assert [head["webhook-id"] for head in again.headers] == [head["webhook-id"] for head in first.headers]


async def test_what_was_delivered_is_not_in_the_file_any_more(file: Path) -> None:
    """Nor is anything of a session that ended."""
    first = receiver(file)
    async with first.running():
        first.events.publish(notify("allocated", port=1), NOW)
        first.events.publish(notify("usage", **used(reason="r")), NOW)
        first.events.publish(notify("closed", reason="r"), NOW)
        await settle()
        with closing(sqlite3.connect(file)) as looking:
            both = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM living)"
            assert looking.execute(both).fetchone() == (0, 0)
    assert await delivered(file) == []


async def test_a_session_without_an_end_ended_in_a_crash(file: Path) -> None:
    """It gets its usage and its end, behind its other events, once: with the last figures that are known."""
    first = receiver(file)
    for session in ("told", "noted", "new"):
        first.events.publish(notify("allocated", session, port=1), 1.5)
    first.events.publish(notify("usage", "told", **used()), 2)
    first.events.note(notify("usage", "noted", **used(until=9.0)), 9)
    first.events.publish(notify("channel_bind", "noted", channel=1), 9)
    killed = left_behind(file)
    bodies = await delivered(killed)
    by_session = {name: [body for body in bodies if body["id"] == name] for name in ("told", "noted", "new")}
    assert [body["kind"] for body in by_session["told"]] == ["allocated", "usage", "usage", "closed"]
    assert [body["kind"] for body in by_session["noted"]] == ["allocated", "channel_bind", "usage", "closed"]
    assert [body["kind"] for body in by_session["new"]] == ["allocated", "usage", "closed"]
    head = {key: by_session["told"][0][key] for key in ("session", "username")} | {"at": round(NOW, 3)}
    for name, figures in {
        "told": used(),
        "noted": used(until=9.0),
        "new": used(began=1.5, until=1.5, client=NONE, peers=NONE, error_pkts=0),
    }.items():
        usage, closed = by_session[name][-2:]
        assert usage == {"kind": "usage", "id": name, **head, **figures, "reason": "crash"}
        assert closed == {"kind": "closed", "id": name, **head, "reason": "crash"}
    assert await delivered(killed) == []


async def test_an_end_that_was_known_is_told_as_it_was(file: Path) -> None:
    """Where only `closed` was missing it has the reason of the last usage."""
    first = receiver(file)
    first.events.publish(notify("allocated", port=1), NOW)
    first.events.publish(notify("usage", **used(reason="deleted")), NOW)
    bodies = await delivered(left_behind(file))
    assert bodies[-2:] == [
        {**bodies[1], "kind": "usage", "at": round(NOW, 3)},
        {key: bodies[0][key] for key in ("id", "session", "username")}
        | {"kind": "closed", "at": round(NOW, 3), "reason": "deleted"},
    ]


async def test_an_outage_loses_nothing_for_a_week(file: Path) -> None:
    """However often it was tried; then it is given up and counted."""
    first = receiver(file)
    first.status = 503
    async with first.running():
        first.events.publish(notify("allocated", port=1), NOW)
        for _ in range(50):
            await settle()
            first.fire()
        await settle()
        assert len(first.bodies) == 51
        first.now = NOW + spool.PATIENCE + 1
        first.fire()
        await settle()
        assert first.events.dropped == {"allocated": 1}
        assert not first.timers


async def test_what_a_stop_leaves_is_for_the_next_start(file: Path) -> None:
    """Nothing is given up."""
    first = receiver(file)
    first.status = 503
    async with first.running():
        first.events.publish(notify("allocated", port=1), NOW)
        first.events.publish(notify("closed", reason="shutdown"), NOW)
        await settle()
    assert not first.events.dropped
    assert [body["kind"] for body in await delivered(file)] == ["allocated", "closed"]


async def test_memory_holds_a_window_and_the_file_all(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room in memory is read when there is some, in the order of its session."""
    monkeypatch.setattr(spool, "WINDOW", 8)
    monkeypatch.setattr(spool, "SLICE", 3)
    first = receiver(file)
    first.gate.clear()
    async with first.running():
        for number in range(60):
            first.events.publish(notify("channel_bind", f"s{number % 7}", channel=number), NOW)
        await settle()
        assert len(first.bodies) == 7
        killed = left_behind(file)
        first.gate.set()
        await settle()
    for bodies in (first.bodies, await delivered(killed)):
        assert sorted(body["channel"] for body in bodies) == list(range(60))
        for session in range(7):
            channels = [body["channel"] for body in bodies if body["id"] == f"s{session}"]
            assert channels == sorted(channels)


def test_a_full_file_gives_up_ordinary_events_first(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then all, counted; a session that ended unheard is no crash."""
    monkeypatch.setattr(spool, "LIMIT", 1600)
    monkeypatch.setattr(spool, "ORDINARY_LIMIT", 800)
    with closing(Spool.open(file, NOW, Quiet())) as full:
        for number in range(20):
            full.add(event("channel_bind", number))
        ordinary = len(full)
        for number in range(20):
            full.add(event("allocated", number))
        taken = len(full)
        assert 0 < ordinary < taken < 20
        assert full.dropped == {"channel_bind": 20 - ordinary, "allocated": 20 - (taken - ordinary)}
        for number in range(20):
            full.add(event("closed", number))
    with closing(Spool.open(file, NOW, Quiet())) as again:
        assert len(again) == taken


def event(kind: str, number: int) -> Event:
    """An event of a session of its own."""
    return Event(f"{kind}.{number}", f"s{number}", kind, NOW, notify(kind, f"s{number}"))


async def test_memory_has_to_do_while_the_file_takes_nothing(file: Path) -> None:
    """A full disk loses nothing while the server lives: logged once, counted, and over when there is room again."""
    first = receiver(file)
    first.status = 503
    async with first.running():
        first.events.publish(notify("allocated", "before"), NOW)
        pages(first, 1)
        for session in ("before", "full"):
            first.events.publish(notify("channel_bind", session, note="x" * 20_000), NOW)
        await settle()
        pages(first, 1000)
        first.events.publish(notify("closed", "full", reason="r"), NOW)
        first.status = 200
        first.fire()
        await settle()
        store = first.events._store
        assert isinstance(store, Spool)
        assert (store.unspooled, len(store)) == (2, 0)
    assert {body["id"]: [b["kind"] for b in first.bodies if b["id"] == body["id"]][1:] for body in first.bodies} == {
        "before": ["allocated", "channel_bind"],
        "full": ["channel_bind", "closed"],
    }
    spooling = [what for what, _ in first.logged if "spooled" in what]
    assert spooling == ["events are not spooled", "events are spooled again"]
    assert first.logged[0][1]["reason"] == "database or disk is full"
    assert not first.events.dropped


def pages(receiving: Receiver, most: int) -> None:
    """As many as the disk has."""
    store = receiving.events._store
    assert isinstance(store, Spool)
    store._file._connection.execute(f"PRAGMA max_page_count = {most}")


async def test_what_the_file_would_not_forget_is_forgotten_later(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that failed is made with the next change."""

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    first = receiver(file)
    first.events.publish(notify("allocated"), NOW)
    write = SpoolFile.write
    monkeypatch.setattr(SpoolFile, "write", fail)
    async with first.running():
        assert first.told() == ["allocated"]
        monkeypatch.setattr(SpoolFile, "write", write)
        first.events.publish(notify("closed", reason="r"), NOW)
        await settle()
    assert await delivered(file) == []


def test_only_its_user_reads_it(file: Path) -> None:
    """Whatever the umask: mode 0600, and so are the files that SQLite puts beside it."""
    before = os.umask(0)
    try:
        with closing(Spool.open(file, NOW, Quiet())) as open_one:
            open_one.add(event("allocated", 1))
            found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    finally:
        os.umask(before)
    assert found == {"spool": 0o600, "spool-wal": 0o600, "spool-shm": 0o600}


def test_checkpoints_move_what_was_committed(file: Path) -> None:
    """Then the file has it, without the WAL."""
    with closing(SpoolFile(file)) as made:
        made.write([(spool.INSERT, (1, "i", "s", "allocated", NOW, b"{}"))])
        size = file.stat().st_size
        made.checkpoint()
        assert file.stat().st_size > size
        assert made.size() == (1, 1, 2)


def bad_folder(file: Path) -> None:
    """It is a folder."""
    file.mkdir()


def bad_text(file: Path) -> None:
    """It is no database."""
    file.write_text("nothing of the kind" * 100)


def bad_program(file: Path) -> None:
    """Another program's."""
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE events (id)")


def bad_version(file: Path) -> None:
    """Of a later hairpin."""
    SpoolFile(file).close()
    with closing(sqlite3.connect(file)) as made:
        made.execute("PRAGMA user_version = 2")


def bad_pages(file: Path) -> None:
    """Overwritten in its middle."""
    with closing(Spool.open(file, NOW, Quiet())) as made:
        for number in range(500):
            made.add(event("allocated", number))
    with file.open("r+b") as raw:
        raw.seek(5 * 4096)
        raw.write(b"\xff" * 5 * 4096)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (bad_folder, "cannot be opened: Is a directory"),
        (bad_text, "will not do: file is not a database"),
        (bad_program, "is the database of another program"),
        (bad_version, "was written by another version of hairpin"),
        (bad_pages, "is damaged"),
    ],
)
def test_a_file_that_will_not_do_is_refused(file: Path, spoil: Any, says: str) -> None:
    """In plain words, and nothing in it is changed."""
    spoil(file)
    before = file.read_bytes() if file.is_file() else b""
    with pytest.raises(SpoolError, match=says):
        Spool.open(file, NOW, Quiet())
    assert (file.read_bytes() if file.is_file() else b"") == before


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """It is not made."""
    with pytest.raises(SpoolError, match="cannot be opened: No such file or directory"):
        Spool.open(tmp_path / "missing" / "spool", NOW, Quiet())


def test_one_server_at_a_time(file: Path) -> None:
    """A second one is told; once the first has gone, it may."""
    with closing(Spool.open(file, NOW, Quiet())), pytest.raises(SpoolError, match="is in use by another server"):
        Spool.open(file, NOW, Quiet())
    Spool.open(file, NOW, Quiet()).close()


KINDS = st.sampled_from(["allocated", "channel_bind", "refresh", "usage", "closed"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), KINDS, st.integers(0, 3)),
        st.tuples(st.just("answer"), st.booleans(), st.just(0)),
        st.tuples(st.just("kill"), st.just(""), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_nothing_is_lost_and_all_is_in_order(steps: list[tuple[str, Any, int]]) -> None:
    """Whatever fails and whenever the process is killed: each event arrives, and first arrivals are in order."""
    published: dict[str, list[int]] = defaultdict(list)
    for number, (step, _, session) in enumerate(steps):
        if step == "publish":
            published[f"s{session}"].append(number)
    with TemporaryDirectory() as folder:
        arrived = asyncio.run(lived_through(Path(folder) / "spool", steps))
    for session, numbers in published.items():
        mine = [body["number"] for body in arrived if body["id"] == session and "number" in body]
        assert list(dict.fromkeys(mine)) == numbers


async def lived_through(file: Path, steps: list[tuple[str, Any, int]]) -> list[dict[str, Any]]:
    """All that arrived in the end."""
    arrived: list[dict[str, Any]] = []
    status, left = 200, enumerate([*steps, ("answer", True, 0)])
    killed = True
    while killed:
        one = receiver(file)
        one.status, killed = status, False
        async with one.running():
            for number, (step, what, session) in left:
                if step == "publish":
                    one.events.publish(notify(what, f"s{session}", number=number, reason="r"), NOW)
                elif step == "answer":
                    one.status = status = 200 if what else 503
                    one.fire()
                    await settle()
                else:
                    file, killed = left_behind(file), True
                    break
            arrived += one.taken  # what is sent after this copy was made is nobody's
    return arrived
