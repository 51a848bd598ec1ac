"""The latest refusals are kept in bounded memory, and those of one source do not push out the others'."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from hairpin.api import Refused
from hairpin.config import Log
from hairpin.logging import make_logger
from hairpin.server.observer import LINES_A_SECOND, Observer
from hairpin.server.refusals import KEPT, KEPT_OF_A_SOURCE, Recent, Refusals
from hairpin.stun import Address, Method
from hairpin.turn import effects
from hairpin.turn.refusal import Reason, Refusal

INTERFACE = Address("192.0.2.1", 3478)
SECOND = 10**9


def refused(
    number: int = 1, reason: Reason = Reason.EXPIRED, *, code: int = 401, method: Method = Method.ALLOCATE
) -> effects.Refused:
    """A refused request of one of many sources."""
    client = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 4000)
    return effects.Refused(client, INTERFACE, 0, f"user{number}", method, code, Refusal(reason, "a sentence"))


def past(number: int, at: float) -> Refused:
    """The same, as it is kept."""
    return Refused(at, refused(number))


def test_a_flood_of_one_source_pushes_out_its_own() -> None:
    """Its latest are kept, and all of the others'."""
    recent = Recent()
    for number in range(100):
        recent.add(past(number, number))
    for at in range(100, 5000):
        recent.add(past(7, at))
    kept = recent.latest()
    assert len(kept) == 99 + KEPT_OF_A_SOURCE
    assert [one.at for one in kept[:KEPT_OF_A_SOURCE]] == list(range(4999, 4999 - KEPT_OF_A_SOURCE, -1))
    assert {one.request.username for one in kept} == {f"user{number}" for number in range(100)}


def test_many_sources_together_have_an_end() -> None:
    """The oldest go first."""
    recent = Recent()
    for number in range(KEPT + 500):
        recent.add(past(number, number))
    assert [one.at for one in recent.latest()] == list(range(KEPT + 499, 499, -1))


@given(st.lists(st.integers(0, 6), max_size=200))
def test_no_order_of_sources_keeps_more_than_fits(sources: list[int]) -> None:
    """Against the plainest reference: a list, in which one is looked for."""
    recent, plain = Recent(10, 3), list[tuple[int, int]]()
    for at, source in enumerate(sources):
        recent.add(past(source, at))
        mine = [one for one in plain if one[0] == source]
        if len(mine) >= 3:
            plain.remove(mine[0])
        elif len(plain) >= 10:
            plain.pop(0)
        plain.append((source, at))
    assert [one.at for one in recent.latest()] == [at for _, at in reversed(plain)]
    assert len(recent) == len(plain)


def test_an_ipv6_network_is_one_source() -> None:
    """A /64, of which one customer has all addresses."""
    recent = Recent(100, 2)
    for last in range(9):
        client = Address(f"2001:db8::{last}", 1)
        request = effects.Refused(client, INTERFACE, 0, "", 3, 401, Refusal(Reason.EXPIRED, ""))
        recent.add(Refused(last, request))
    assert [one.at for one in recent.latest()] == [8, 7]


def test_denied_peers_push_out_no_login() -> None:
    """A browser is denied private peers in each call: such are counted and kept apart, and listed in order."""
    refusals = Refusals()
    refusals.hear(refused(1), 1.0)
    for number in range(2 * KEPT):
        refusals.hear(refused(number, Reason.PEER_DENIED, code=403, method=Method.CREATE_PERMISSION), 2.0 + number)
    refusals.hear(refused(2, Reason.HOOK_BUSY, code=0, method=Method.REFRESH), 1e9)
    assert refusals.logins == {Reason.EXPIRED: 1, Reason.HOOK_BUSY: 1}
    assert refusals.requests == {Reason.PEER_DENIED: 2 * KEPT}
    latest = refusals.latest()
    assert len(latest) == KEPT + 2
    assert (latest[0].at, latest[-1].at) == (1e9, 1.0)


def observed(level: str) -> tuple[Observer, io.StringIO]:
    """An observer whose clock stands still, and what it writes to."""
    stream = io.StringIO()
    log = make_logger(Log.model_validate({"level": level, "format": "json"}), stream)
    return Observer(log, lambda: 5.0, lambda: SECOND), stream


def test_a_refused_login_has_a_line_in_the_log() -> None:
    """With its reason, for machines and for people, and the code that the client was told."""
    observer, stream = observed("info")
    told: list[tuple[effects.Refused, float]] = []
    observer.on_refused.append(lambda refused, at: told.append((refused, at)))
    observer.refused(refused(1, Reason.EXPIRED))
    line = json.loads(stream.getvalue())
    del line["timestamp"]
    assert line == {
        "event": "login refused",
        "level": "info",
        "reason": "expired",
        "detail": "a sentence",
        "username": "user1",
        "client": "10.0.0.1:4000",
        "method": "allocate",
        "error": 401,
    }
    assert told == [(refused(1, Reason.EXPIRED), 5.0)]


def test_the_log_has_few_lines_a_second_for_them() -> None:
    """Whoever listens is told of all; a denied peer is a matter of debugging, and takes no login's line."""
    denied = refused(1, Reason.PEER_DENIED, code=403, method=Method.CREATE_PERMISSION)
    observer, stream = observed("info")
    told: list[float] = []
    observer.on_refused.append(lambda _, at: told.append(at))
    for _ in range(3 * LINES_A_SECOND):
        observer.refused(denied)
        observer.refused(refused())
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == ["login refused"] * LINES_A_SECOND
    assert len(told) == 6 * LINES_A_SECOND
    observer, stream = observed("debug")
    observer.refused(denied)
    assert json.loads(stream.getvalue())["event"] == "request refused"
