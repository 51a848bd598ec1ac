"""The feed of events: who listens, what is kept for it, and what it is told of the rest."""

import json
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairpin.api.feed import AT_ONCE, KEPT, LISTENERS, Feed, FullError
from hairpin.turn.effects import Notify


def encode(notify, at):
    """Nothing but the number that the test gave it."""
    return json.dumps(notify.data).encode()


def feed():
    """One in which nothing has happened."""
    return Feed("run", encode)


def publish(feed, *numbers):
    """Events with these numbers."""
    for number in numbers:
        feed.publish(Notify("refresh", None, number), 0.0)


def taken(feed, listener):
    """All that a listener gets until there is no more, and how many it has missed."""
    found, missed = [], 0
    while True:
        lost, some = feed.take(listener)
        missed += lost
        if not some:
            return missed, found
        assert len(some) <= AT_ONCE
        found += [(number, json.loads(body)) for number, body in some]


def test_each_listener_gets_every_event_from_its_begin_on():
    """In order, with its number, whatever others take."""
    told = feed()
    with told.listen("") as early:
        publish(told, 1, 2)
        with told.listen("") as late:
            publish(told, 3)
            assert taken(told, early) == (0, [(1, 1), (2, 2), (3, 3)])
            assert taken(told, late) == (0, [(3, 3)])


def test_a_slow_listener_loses_the_oldest_and_is_told_how_many():
    """There are KEPT events at most, however many happen."""
    told = feed()
    with told.listen("") as listener:
        publish(told, *range(1, KEPT + 11))
        missed, found = taken(told, listener)
    assert (missed, found[0], len(found)) == (10, (11, 11), KEPT)


def test_nothing_is_encoded_while_nobody_listens():
    """Events are counted, so that who comes back is told what it missed; what was kept for a listener goes with it."""
    told = Feed("run", lambda notify, at: pytest.fail("nobody listens"))
    publish(told, 1, 2, 3)
    with told.listen("run.1") as listener:
        assert taken(told, listener) == (2, [])
    told = feed()
    with told.listen(""):
        publish(told, 1)
    with told.listen("run.0") as listener:
        assert taken(told, listener) == (1, [])


def test_who_comes_back_goes_on_where_it_was():
    """With the id of its last event, while another listener kept the ring alive."""
    told = feed()
    with told.listen(""):
        publish(told, 1, 2, 3)
        with told.listen(told.id(1)) as back:
            assert taken(told, back) == (0, [(2, 2), (3, 3)])


@pytest.mark.parametrize(
    "last", ["", "other.1", "run.", "run.x", "run.-1", "run.99", "run.\u0661\u0661", "1", "run.1" * 999]
)
def test_an_id_that_is_none_of_this_run_means_from_now_on(last):
    """Also one of the future."""
    told = feed()
    with told.listen(""):
        publish(told, 1, 2)
        with told.listen(last) as listener:
            assert taken(told, listener) == (0, [])


def test_listeners_are_so_many_at_most():
    """One more is refused, until one leaves."""
    told = feed()
    with ExitStack() as stack:
        for _ in range(LISTENERS):
            stack.enter_context(told.listen(""))
        with pytest.raises(FullError), told.listen(""):
            pass
    with told.listen(""):
        assert len(told.listeners) == 1
    assert not told.listeners


@given(st.lists(st.one_of(st.integers(1, 3000), st.sampled_from(["take", "leave"]))))
def test_what_was_taken_and_what_was_missed_is_all_there_was(steps):
    """Numbers only grow, and none is told twice."""
    told, seen, missed = feed(), [], 0
    with told.listen("") as other, told.listen("") as listener:
        for step in steps:
            if step == "take":
                lost, some = told.take(listener)
                missed += lost
                seen += [number for number, _ in some]
            elif step == "leave":
                told.take(other)
            else:
                publish(told, *range(step))
        lost, some = taken(told, listener)
    missed += lost
    seen += [number for number, _ in some]
    assert seen == sorted(set(seen))
    assert len(seen) + missed == told.last
