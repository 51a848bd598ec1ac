"""From figures to sentences, and whether all is well."""

from collections import Counter
from dataclasses import dataclass

from hairpin.load.figures import Figures
from hairpin.load.hints import hint
from hairpin.load.plan import Mode
from hairpin.turnclient.failure import Cause

TOLERATED = 0.001  # of the packets may be lost
BUSY = 0.9  # of its time, and the generator's own queue is in the figures
TOOK = {
    Mode.PAIR: "took",
    Mode.UP: "took",
    Mode.DOWN: "took",
    Mode.ECHO: "were back in",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to tell; not `well` where the server could not be used or lost too much."""

    well: bool
    sentences: tuple[str, ...]


def verdict(figures: Figures) -> Verdict:
    """Judge a run."""
    load = figures.plan.load
    found = _set_ups(figures) if load.mode is Mode.SETUPS else _packets(figures)
    nothing = () if figures.ready or figures.stopped else ("No session could be set up.",)
    sentences = (
        *_interrupted(figures),
        *nothing,
        *_failures(figures),
        *found,
        *_repeated(figures),
        *_generator(figures),
    )
    well = not figures.failures and figures.loss <= TOLERATED and figures.ready > 0
    return Verdict(well, sentences)


def _interrupted(figures: Figures) -> tuple[str, ...]:
    if not figures.stopped:
        return ()
    if not (figures.sent or figures.setups):
        return ("Stopped before anything was measured.",)
    return (f"Stopped after {figures.elapsed / 1e9:.1f} s; until then:",)


def _failures(figures: Figures) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    for failure, count in figures.failures:
        counts[hint(failure, figures.plan)] += count
    several = figures.plan.load.sessions > 1 and (figures.ready > 0 or len(counts) > 1)
    return tuple(
        (f"{_number(count)} {_plural(count, 'session')} failed. " if several else "") + sentence
        for sentence, count in counts.most_common()
    )


def _packets(figures: Figures) -> tuple[str, ...]:
    if not figures.sent:
        return ()
    lines = [f"{_load(figures)}: {_loss(figures)}{_latency(figures)}."]
    if figures.setup:
        lines.append(f"Setting up took {_time(figures.setup.p50)} each, {_time(figures.setup.most)} at most.")
    if figures.reordered or figures.duplicates:
        lines.append(f"{_number(figures.reordered)} came out of order, {_number(figures.duplicates)} twice.")
    return (*lines, *_where_lost(figures))


def _load(figures: Figures) -> str:
    load = figures.plan.load
    seconds = figures.elapsed / 1e9 if figures.stopped else load.seconds
    if load.mode is Mode.PAIR:
        calls = figures.ready // 2
        who = f"{_number(calls)} {_plural(calls, 'call')} of {load.packets:g} packets/s each way"
    else:
        who = f"{_number(figures.ready)} {_plural(figures.ready, 'session')} of {load.packets:g} packets/s"
    return f"{who}, {load.size} bytes each, for {seconds:.3g} s"


def _loss(figures: Figures) -> str:
    if not figures.lost:
        return f"nothing lost of {_number(figures.sent)}"
    return f"{_number(figures.lost)} of {_number(figures.sent)} lost ({_percent(figures.loss)})"


def _latency(figures: Figures) -> str:
    times, took = figures.latency, TOOK.get(figures.plan.load.mode, "took")
    if times is None:
        return ""
    return f", half of the packets {took} less than {_time(times.p50)}, 99 of 100 less than {_time(times.p99)}"


def _where_lost(figures: Figures) -> tuple[str, ...]:
    """What to look at."""
    if not figures.lost:
        return ()
    mode = figures.plan.load.mode
    if not figures.arrived and mode in (Mode.ECHO, Mode.UP, Mode.DOWN):
        return (
            "Nothing arrived: the server must reach this machine's UDP sockets; name its address with --peer, or use "
            "--mode pair, which needs no peer.",
        )
    if figures.blocked:
        return (f"Of these {_number(figures.blocked)} found no room in this machine's sockets: the link is full.",)
    if figures.loss > TOLERATED and not figures.failures:
        fewer = figures.plan.load.packets / 2
        return (f"Try --packets {fewer:g}: a loss that goes away with the rate is a server or a link at its limit.",)
    return ()


def _set_ups(figures: Figures) -> tuple[str, ...]:
    if not figures.setups or figures.setup is None:
        return ()
    rate, times = round(figures.setups / (figures.elapsed / 1e9)), figures.setup
    return (
        f"{_number(rate)} set-ups a second, {_number(figures.setups)} in all, {figures.plan.load.sessions} at a time: "
        f"half of them took less than {_time(times.p50)}, 99 of 100 less than {_time(times.p99)}.",
    )


def _repeated(figures: Figures) -> tuple[str, ...]:
    silent = any(failure.cause is Cause.SILENCE for failure, _ in figures.failures)
    if not figures.repeated or not figures.ready or silent:
        return ()
    return (
        f"{_number(figures.repeated)} {_plural(figures.repeated, 'request')} had to be sent again: lost on the way, or "
        "beyond what the server takes from one source or user (hairpin: limits.source_rate, limits.user_rate).",
    )


def _generator(figures: Figures) -> tuple[str, ...]:
    """What must not be laid at the server's door."""
    lines = []
    if figures.missed and figures.elapsed:
        seen, wanted = round(figures.sent / (figures.elapsed / 1e9)), round(figures.ready * figures.plan.load.packets)
        lines.append(
            f"This generator could not keep its pace: {_number(figures.missed)} packets were not sent, so the server "
            f"saw {_number(seen)} packets/s instead of {_number(wanted)}."
        )
    if figures.overflowed:
        lines.append(
            f"{_number(figures.overflowed)} more came faster than this machine could read them; that is no loss of the "
            "server's."
        )
    if figures.busy > BUSY:
        lines.append(
            f"The generator was busy {_percent(figures.busy)} of the time: it is the limit itself, and its own queue "
            "is in these times."
        )
    return tuple(lines)


def _number(value: int) -> str:
    return f"{value:,}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"


def _time(nanoseconds: int) -> str:
    """Two digits, or all of the whole milliseconds."""
    milliseconds = nanoseconds / 1e6
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2g} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
