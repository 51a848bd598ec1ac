"""What the figures are made of: histogram, sequence tally and pace."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hairpin.load.histogram import Histogram
from hairpin.load.pace import FEW, Pace
from hairpin.load.tally import MARKS, Stream, Tally

MS, S = 1_000_000, 1_000_000_000


@given(some.lists(some.integers(0, 2**63), min_size=1), some.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_a_quantile_is_true_to_one_part_in_32(values: list[int], share: float) -> None:
    """At least the value of that rank, and at most a thirty-second more."""
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    ranked = sorted(values)
    exact = next(value for rank, value in enumerate(ranked, 1) if rank >= share * len(ranked))
    assert exact <= histogram.quantile(share) <= min(exact + exact / 32, ranked[-1])


def test_small_values_are_exact() -> None:
    """Each has a bin of its own."""
    for value in range(64):
        histogram = Histogram()
        histogram.add(value)
        histogram.add(1000)
        assert histogram.quantile(0.5) == value


def test_nothing_counted_has_no_times() -> None:
    """Rather than times of 0."""
    histogram = Histogram()
    assert (histogram.times(), histogram.quantile(0.5)) == (None, 0)


@pytest.mark.parametrize(
    ("sequence", "found"),
    [
        ([0, 1, 2], (3, 0, 0)),
        ([0, 2], (2, 0, 0)),
        ([0, 2, 1], (3, 1, 0)),
        ([0, 0, 1, 1, 1], (2, 0, 3)),
        ([2, 1, 0, 1], (3, 2, 1)),
        ([], (0, 0, 0)),
    ],
)
def test_a_stream_counts_what_comes(sequence: list[int], found: tuple[int, int, int]) -> None:
    """Arrivals, those out of order, and duplicates."""
    stream = Stream()
    for number in sequence:
        stream.note(number)
    assert (stream.arrived, stream.reordered, stream.duplicates) == found


def test_very_many_missing_are_not_all_remembered() -> None:
    """But the newest may still come late."""
    stream = Stream()
    for number in range(0, 100_000, 2):
        stream.note(number)
    assert len(stream.missing) < 20_000
    assert stream.note(99_997)
    stream.note(10_000_000)
    assert len(stream.missing) < 20_000


def test_only_packets_of_this_run_count() -> None:
    """With its magic, of a session that there is, with a number that was sent."""
    tally = Tally(7, 2)
    tally.streams[1].sent = 5
    for marks in ((8, 1, 0, 0), (7, 2, 0, 0), (7, 1, 5, 0), (7, 0, 0, 0)):
        assert not tally.arrived(b"head" + MARKS.pack(*marks), 4, S)
    assert not tally.arrived(b"head", 4, S)
    assert tally.arrived(b"head" + MARKS.pack(7, 1, 4, S - 50), 4, S)
    assert (tally.total("arrived"), tally.latency.most) == (1, 50)


def test_a_duplicate_has_no_latency() -> None:
    """It would count twice."""
    tally = Tally(7, 1)
    tally.streams[0].sent = 1
    for _ in range(2):
        tally.arrived(MARKS.pack(7, 0, 0, 0), 0, S)
    assert (tally.latency.count, tally.total("duplicates")) == (1, 1)


def test_packets_are_due_at_even_distances() -> None:
    """The first at the start, none before its time, and no more than all."""
    pace = Pace(rate=100, total=3, start=S)
    owed = []
    for now in (S, S, S + 10 * MS - 1, S + 10 * MS, S + 20 * MS, S + 30 * MS):
        owed.append(pace.owed(now))
        pace.index += owed[-1]
    assert owed == [1, 0, 0, 1, 1, 0]
    assert (pace.finished, pace.missed) == (True, 0)


def test_the_next_packet_has_a_time() -> None:
    """To wait for."""
    pace = Pace(rate=100, total=3, start=S)
    pace.index = 2
    assert pace.due == S + 20 * MS


def test_a_short_delay_is_made_up_for_a_few_at_a_time() -> None:
    """Fifteen milliseconds at 10,000 a second."""
    pace, owed = Pace(rate=10_000, total=1_000_000, start=0), []
    for _ in range(11):
        owed.append(pace.owed(15 * MS))
        pace.index += owed[-1]
    assert owed == [FEW] * 9 + [7, 0]
    assert pace.missed == 0


def test_a_long_delay_is_no_burst() -> None:
    """What is too late is missed, and counted."""
    pace = Pace(rate=10_000, total=1_000_000, start=0)
    assert pace.owed(S) == FEW
    assert (pace.index, pace.missed) == (10_001 - FEW, 10_001 - FEW)
