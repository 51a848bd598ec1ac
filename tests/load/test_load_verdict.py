"""The verdict: a sentence for each case, and whether all is well."""

from typing import Any

import pytest

from hairpin.load import Load, Mode, Plan, report, verdict
from hairpin.load.figures import Figures
from hairpin.load.histogram import Times
from hairpin.stun import Transport
from hairpin.turnclient import Credentials, Target
from hairpin.turnclient.failure import Cause, Failure

MS, S = 1_000_000, 1_000_000_000
TIMES = Times(400_000, 1_100_000, 9 * MS)
SETUP = Times(3 * MS, 5 * MS, 12 * MS)


def run(mode: Mode = Mode.PAIR, **figures: Any) -> Figures:
    """A run of ten seconds that went well, but for what is said."""
    plan = Plan(Target("turn.example.org"), Credentials("user", "secret"), Load(mode, sessions=40))
    good = {"ready": 40, "elapsed": 10 * S, "sent": 20_000, "arrived": 20_000, "latency": TIMES, "setup": SETUP}
    return Figures(plan, **(good | figures))


def failed(cause: Cause, code: int = 0, *, step: str = "Allocate", reason: str = "", mode: Mode = Mode.PAIR) -> str:
    """The sentence for a run that came to nothing by that failure."""
    nothing = {"ready": 0, "sent": 0, "arrived": 0, "latency": None, "setup": None}
    judged = verdict(run(mode, failures=((Failure(step, cause, code, reason), 40),), **nothing))
    assert not judged.well
    assert judged.sentences[0] == "No session could be set up."
    (sentence,) = judged.sentences[1:]
    return sentence


def test_all_well() -> None:
    """Two sentences: the packets, and the set-ups."""
    judged = verdict(run())
    assert judged.well
    assert judged.sentences == (
        "20 calls of 50 packets/s each way, 160 bytes each, for 10 s: nothing lost of 20,000, half of the packets took "
        "less than 0.4 ms, 99 of 100 less than 1.1 ms.",
        "Setting up took 3 ms each, 12 ms at most.",
    )


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (Mode.ECHO, "half of the packets were back in less than 0.4 ms"),
        (Mode.UP, "half of the packets took less than 0.4 ms"),
        (Mode.DOWN, "40 sessions of 50 packets/s, 160 bytes each, for 10 s"),
    ],
)
def test_other_modes_have_sessions(mode: Mode, words: str) -> None:
    """And echo counts the way back in."""
    assert words in verdict(run(mode)).sentences[0]


@pytest.mark.parametrize(
    ("arrived", "well", "words"), [(19_980, True, "20 of 20,000 lost (0.1 %)"), (19_979, False, "21 of 20,000 lost")]
)
def test_one_of_a_thousand_may_be_lost(arrived: int, well: bool, words: str) -> None:
    """More is not well, and the rate is what to look at."""
    judged = verdict(run(arrived=arrived))
    assert judged.well is well
    assert words in judged.sentences[0]
    assert any("Try --packets 25" in sentence for sentence in judged.sentences) is not well


def test_a_server_that_cannot_reach_the_peer() -> None:
    """Is told apart from one that is too slow."""
    judged = verdict(run(Mode.UP, arrived=0, latency=None))
    assert not judged.well
    assert "20,000 of 20,000 lost (100 %)." in judged.sentences[0]
    assert any("--peer" in sentence and "--mode pair" in sentence for sentence in judged.sentences)


def test_order_is_told() -> None:
    """Where it was not kept."""
    assert "7 came out of order, 2 twice." in verdict(run(reordered=7, duplicates=2)).sentences


def test_a_full_link_is_told() -> None:
    """For those packets never left this machine."""
    judged = verdict(run(arrived=19_000, blocked=1000))
    assert any("1,000 found no room in this machine's sockets" in sentence for sentence in judged.sentences)


def test_the_generators_own_pace_is_not_the_servers_fault() -> None:
    """It says what the server saw, and all is well."""
    judged = verdict(run(sent=15_000, arrived=15_000, missed=5000, busy=0.97))
    assert judged.well
    assert judged.sentences[2:] == (
        "This generator could not keep its pace: 5,000 packets were not sent, so the server saw 1,500 packets/s "
        "instead of 2,000.",
        "The generator was busy 97 % of the time: it is the limit itself, and its own queue is in these times.",
    )


def test_what_this_machine_dropped_is_not_lost() -> None:
    """The server had sent it."""
    judged = verdict(run(arrived=19_000, overflowed=1000))
    assert judged.well
    assert "nothing lost" in judged.sentences[0]
    assert any(sentence.startswith("1,000 more came faster than this machine") for sentence in judged.sentences)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (300, "The server sends its clients elsewhere (300: why): measure that one."),
        (401, "does not accept the user or the password (401)"),
        (437, "still holds an allocation for this address and port (437)"),
        (438, "stale (438)"),
        (440, "(440)"),
        (441, "(441)"),
        (442, "(442)"),
        (486, "limits.allocations_per_user"),
        (508, "relay.ports"),
        (499, "The server answered Allocate with 499: why."),
        (0, "The server answered Allocate with an error: why."),
    ],
)
def test_an_answer_that_is_no(code: int, words: str) -> None:
    """What it means, and where to look."""
    assert words in failed(Cause.ANSWER, code, reason="why")


@pytest.mark.parametrize("step", ["CreatePermission", "ChannelBind"])
def test_a_forbidden_peer(step: str) -> None:
    """In mode echo it is this machine, in mode pair the server's own relay."""
    assert "peers.allow" in failed(Cause.ANSWER, 403, step=step, mode=Mode.ECHO)
    assert "its own relayed addresses" in failed(Cause.ANSWER, 403, step=step)


def test_a_forbidden_allocation_is_no_matter_of_peers() -> None:
    """Some servers have a 403 for users, too."""
    assert failed(Cause.ANSWER, 403, reason="why") == "The server answered Allocate with 403: why."


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.SILENCE, "turn.example.org:3478 does not answer over UDP"),
        (Cause.UNPROVED, "is not signed with the key of this user"),
        (Cause.REFUSED, "Nobody listens on turn.example.org:3478 over UDP (connection refused)."),
        (Cause.CLOSED, "The server closed the connection (Allocate)."),
        (Cause.NETWORK, "This machine cannot reach turn.example.org:3478: why."),
    ],
)
def test_no_answer_at_all(cause: Cause, words: str) -> None:
    """Silence, a closed port, a closed connection, no network."""
    assert words in failed(cause, reason="why")


def test_a_server_that_falls_silent() -> None:
    """Was there before."""
    assert failed(Cause.SILENCE, step="Refresh") == "turn.example.org:3478 stopped answering (Refresh)."


def test_an_ipv6_server_stands_in_brackets() -> None:
    """So that its port can be told."""
    plan = Plan(Target("::1", 3478, Transport.TCP), Credentials("user", "secret"), Load())
    judged = verdict(Figures(plan, failures=((Failure("Allocate", Cause.REFUSED), 1),)))
    assert "Nobody listens on [::1]:3478 over TCP (connection refused)." in judged.sentences


def test_braces_of_the_server_are_only_text() -> None:
    """They name no field."""
    assert "{where} {0}" in failed(Cause.ANSWER, 499, reason="{where} {0}")


def test_some_failures_are_counted() -> None:
    """The others' figures are told all the same, but it is not well."""
    judged = verdict(run(ready=34, failures=((Failure("Allocate", Cause.ANSWER, 486), 6),)))
    assert not judged.well
    assert judged.sentences[0].startswith("6 sessions failed. The user has as many allocations")
    assert judged.sentences[1].startswith("17 calls")


def test_a_stopped_run_says_so() -> None:
    """And tells what was measured until then."""
    judged = verdict(run(stopped=True, elapsed=3_240_000_000))
    assert judged.well
    assert judged.sentences[0] == "Stopped after 3.2 s; until then:"
    assert "for 3.24 s" in judged.sentences[1]


def test_a_run_that_was_stopped_too_early() -> None:
    """Is not well: nothing is known."""
    judged = verdict(run(stopped=True, ready=0, sent=0, arrived=0, elapsed=0, latency=None, setup=None))
    assert (judged.well, judged.sentences) == (False, ("Stopped before anything was measured.",))


def test_failures_that_mean_the_same_are_one() -> None:
    """And what they explain is not explained again."""
    causes = (Failure("Traffic", Cause.CLOSED), Failure("Traffic", Cause.CLOSED, 0, "Connection reset by peer"))
    judged = verdict(run(arrived=10_000, failures=((causes[0], 3), (causes[1], 1))))
    assert judged.sentences[0] == "4 sessions failed. The server closed the connection (Traffic)."
    assert not any("Try --packets" in sentence for sentence in judged.sentences)


def test_requests_to_a_server_that_fell_silent_were_not_limited() -> None:
    """They were sent again for another reason."""
    judged = verdict(run(repeated=9, failures=((Failure("Refresh", Cause.SILENCE), 3),)))
    assert not any("sent again" in sentence for sentence in judged.sentences)


def test_set_ups() -> None:
    """As many a second as were completed."""
    judged = verdict(run(Mode.SETUPS, setups=41_000, sent=0, arrived=0, latency=None, repeated=3))
    assert judged.well
    assert judged.sentences == (
        "4,100 set-ups a second, 41,000 in all, 40 at a time: half of them took less than 3 ms, 99 of 100 less than "
        "5 ms.",
        "3 requests had to be sent again: lost on the way, or beyond what the server takes from one source or user "
        "(hairpin: limits.source_rate, limits.user_rate).",
    )


def test_the_report_has_all_figures() -> None:
    """Under the names of the documentation."""
    figures = run(arrived=19_990, failures=((Failure("Refresh", Cause.ANSWER, 437, "no"), 2),), software="s")
    found = report(figures, verdict(figures))
    assert found["packets"]["lost"] == 10
    assert found["latency_ms"] == {"p50": 0.4, "p99": 1.1, "max": 9.0}
    assert found["failures"] == [{"step": "Refresh", "cause": "answer", "code": 437, "reason": "no", "sessions": 2}]
    assert (found["well"], found["software"]) == (False, "s")
    assert found["asked"] == {"sessions": 40, "packets": 50, "size": 160, "seconds": 10}
