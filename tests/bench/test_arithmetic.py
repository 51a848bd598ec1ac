"""What decides in the benchmark: which runs count, medians, ratios, and what is reached."""

import pytest

from bench.arithmetic import best, counts, middle, ratio, reached, sample_of, wording
from bench.lines import CORE, LOSS, PACKETS, Ask

TURNLOAD = {
    "mode": "peer",
    "sessions": 100,
    "window": 256,
    "sent": 1000,
    "received": 999,
    "lost": 1,
    "pps": 5000,
    "reordered": 2,
    "misrouted": 0,
    "bad": 0,
    "latency_us": {"p50": 14.5, "p99": 45.6, "max": 90.0},
    "server_cpu_us_per_packet": 2.5,
    "server_rss_kib": 4096,
    "core_us_per_packet": 2.75,
    "setup_failures": 3,
}


def sample(core: float, lost: float = 0) -> dict[str, float]:
    """A run of 1,000 packets."""
    return {"core": core, "sent": 1000, "lost": lost, "rate": 1 / core}


def test_what_is_kept_of_turnload() -> None:
    """The core's and the server's own time, the rate, the latencies and what went wrong come out of its JSON."""
    found = sample_of(TURNLOAD)
    assert (found["core"], found["own"], found["rate"]) == (2.75, 2.5, 5000)
    assert (found["p50"], found["p99"]) == (14.5, 45.6)
    assert (found["lost"], found["late"], found["failures"], found["up"]) == (1, 2, 3, 97)


def test_set_ups_have_neither_packets_nor_a_core() -> None:
    """A run of set-ups gives a rate, and counts without a packet sent."""
    found = sample_of({"sessions": 64, "setups_per_second": 6300.5, "setup_failures": 0})
    assert found["rate"] == 6300.5
    assert "core" not in found
    assert counts(found)


@pytest.mark.parametrize(("lost", "counted"), [(0, True), (1, True), (1.1, False), (2, False)])
def test_one_packet_lost_of_a_thousand_counts_and_more_does_not(lost: float, counted: bool) -> None:
    """The rule of 0.1 %."""
    assert counts(sample(2, lost)) is counted


@pytest.mark.parametrize("more", [{"wrong": 1.0}, {"failed": 1.0}])
def test_a_run_with_wrong_packets_or_none_does_not_count(more: dict[str, float]) -> None:
    """Packets are those delivered and checked."""
    assert not counts(sample(2) | more)


def test_the_median_is_of_the_runs_that_count() -> None:
    """A run that lost too much is left out; where all did there is no figure."""
    assert middle(CORE, [sample(2), sample(9, lost=50), sample(4), sample(3)]) == 3
    assert middle(CORE, [sample(9, lost=50)]) is None


def test_a_figure_of_loss_counts_whatever_was_lost() -> None:
    """Where loss is what is measured, the rule does not hide it."""
    assert middle(LOSS, [sample(2, lost=50)]) == 50


def test_the_best_variant_has_the_least_cost_or_the_highest_rate() -> None:
    """Of several configurations the better one stands in the column; one that never counted does not."""
    found = {"slow": [sample(4)], "fast": [sample(2)], "lossy": [sample(1, lost=50)]}
    assert best(CORE, found) == "fast"
    assert best(PACKETS, found) == "fast"
    assert best(CORE, {"lossy": [sample(1, lost=50)]}) is None


def test_a_ratio_is_of_medians_with_least_and_most_of_the_rounds() -> None:
    """More than 1 is better for the first, of costs and of rates."""
    ours, theirs = [sample(2), sample(1), sample(4)], [sample(6), sample(5), sample(8)]
    costs = ratio(CORE, ours, theirs)
    assert costs is not None
    assert (costs.whole, costs.least, costs.most) == (3, 2, 5)
    assert str(costs) == "3.00 (2.00-5.00)"
    rates = ratio(PACKETS, ours, theirs)
    assert rates is not None
    assert rates.whole == pytest.approx(3)


def test_a_round_that_one_of_both_lost_has_no_ratio() -> None:
    """Rounds are compared one by one, and only where both counted."""
    found = ratio(CORE, [sample(2), sample(2, lost=50)], [sample(4), sample(20)])
    assert found is not None
    assert (found.least, found.most) == (2, 2)
    assert ratio(CORE, [sample(2)], []) is None
    assert ratio(LOSS, [sample(2, lost=0)], [sample(2, lost=7)]) is None


def test_what_is_asked_is_reached_or_not() -> None:
    """Ratios to coturn are at least the bound, to the floor at most; figures are taken as they are."""
    three = ratio(CORE, [sample(2)], [sample(6)])
    near = ratio(CORE, [sample(2.2)], [sample(2)])
    assert reached(Ask("coturn", 3.0), 2, three) is True
    assert reached(Ask("coturn", 3.1), 2, three) is False
    assert reached(Ask("floor", 1.15, most=True), 2, near) is True
    assert reached(Ask("floor", 1.05, most=True), 2, near) is False
    assert reached(Ask("itself", 6, most=True), 6, None) is True
    assert reached(Ask("itself", 18_000), 17_999, None) is False
    assert reached(Ask("coturn", 3.0), 2, None) is None


def test_what_is_asked_is_said_in_words() -> None:
    """As the table has it."""
    asks = [Ask("coturn", 1.3), Ask("floor", 1.15, most=True), Ask("itself", 6, most=True), Ask("itself", 9)]
    assert [wording(ask) for ask in asks] == ["coturn 1.3", "floor x 1.15 at most", "6 at most", "9 at least"]
