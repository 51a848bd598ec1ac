"""The examples of docs/how-to/policy.md, as they stand there, with real requests."""

import asyncio
import importlib.util
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

import client as codec
from driving import ALLOCATE, SECOND, Caller, World
from hairpin import Policy
from hairpin.engine import Goodbyes

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = ("plans", "guests", "ledger")
STATIC = {"alice": "secret", "bob": "secret", "carol": "secret", "guest-1": "secret"}
CONFERENCE, HOME = ("198.51.100.7", 4000), ("203.0.113.5", 4000)


def example(name: str, folder: Path) -> ModuleType:
    """An example that was copied into a folder, and imported from there."""
    copy = folder / f"{name}.py"
    copy.write_text((DOCS / "examples" / f"{name}.py").read_text())
    spec = importlib.util.spec_from_file_location(name, copy)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def world(policy: Policy) -> World:
    """A server that asks the policy, and reaches conferences and homes."""
    made = World(static=STATIC, allow=["203.0.113.0/24", "198.51.100.0/24"])
    made.ask_policy(policy)
    return made


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_shows_the_file(name: str) -> None:
    """Letter by letter."""
    page = (DOCS / "how-to" / "policy.md").read_text()
    assert f'```python title="{name}.py"\n{(DOCS / "examples" / f"{name}.py").read_text()}```\n' in page


async def test_limits_by_plan(tmp_path: Path) -> None:
    """Each user has what its plan gives; who has none is turned away with 403."""
    plans = example("plans", tmp_path)
    with sqlite3.connect(tmp_path / "users.db") as users:
        users.execute("CREATE TABLE users (name TEXT PRIMARY KEY, plan TEXT)")
        users.executemany("INSERT INTO users VALUES (?, ?)", [("alice", "free"), ("bob", "team")])
    users.close()
    here = world(plans.Plans())
    for number, (user, code) in enumerate([("alice", 0), ("alice", 486), ("bob", 0), ("bob", 0), ("carol", 403)]):
        Caller(here, number, user).ask(codec.ALLOCATE, ALLOCATE)
        while here.engine._tasks:
            await next(iter(here.engine._tasks))
        here.drain()
        assert here.codes() == [(codec.ALLOCATE, code)]
    free, team, _ = here.rules.sessions.values()
    assert (free.terms, team.terms) == (plans.PLANS["free"], plans.PLANS["team"])
    assert (free.ends, team.ends) == (here.table.now + 1800 * SECOND, None)


def test_guests_reach_conferences_only(tmp_path: Path) -> None:
    """A guest gets 403 for all others, and anyone else reaches whom the settings let through."""
    here = world(example("guests", tmp_path).Guests())
    guest, alice = Caller(here, 1, "guest-1"), Caller(here, 2)
    assert guest.allocate() == alice.allocate() == 0
    assert [guest.bind(0x4000, CONFERENCE), guest.bind(0x4001, HOME)] == [0, 403]
    assert [alice.bind(0x4000, CONFERENCE), alice.bind(0x4001, HOME)] == [0, 0]


async def test_a_ledger(tmp_path: Path) -> None:
    """A line for each session that ended: who, from when, how long, how much and why."""
    policy = example("ledger", tmp_path).Ledger()
    here = World()
    goodbyes = Goodbyes(here.ask_policy(policy), lambda: here.table.now)
    here.engine.on_ended = lambda notify, counters: goodbyes.add(notify, counters, 5000.0)
    for number in range(2):
        caller = Caller(here, number)
        assert caller.allocate() == 0
        here.table.now += 60 * SECOND
        assert caller.refresh(0) == 0
        here.drain()
    running = asyncio.ensure_future(goodbyes.run())
    await goodbyes.close(10)
    running.cancel()
    lines = policy.database.execute("SELECT user, began, seconds, bytes > 0, why FROM sessions").fetchall()
    assert lines == [("alice", 4940.0, 60.0, 1, "refresh")] * 2
    assert policy.database.execute("SELECT count(DISTINCT id) FROM sessions").fetchone() == (2,)
    policy.database.close()
