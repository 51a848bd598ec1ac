"""`make bench`: every line on every server in interleaved rounds; a table, a page, a plot, and a record of it."""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import NoReturn

from bench.arithmetic import Sample
from bench.journal import Journal, keep, record_of, records, resumed
from bench.lines import Line, lines
from bench.load import run_load
from bench.long import PROCEDURES
from bench.page import dates, servers, write_page
from bench.places import PLACES, veth, why_no_veth
from bench.plot import write_plot
from bench.servers import Found, Missing, Variant, find, started
from bench.table import newest, table
from bench.tools import FailedError, build_turnload, raise_descriptor_limit


def main() -> None:
    """Measure, print, keep."""
    for stopping in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stopping, lambda *_: sys.exit("stopped; go on with --resume"))
    journal = _asked()
    wanted = _wanted(journal)
    raise_descriptor_limit(20_000)
    build_turnload()
    found = [_told(one) for one in find()]
    measure(journal, _chosen(journal, found), _possible(wanted))
    if not journal.samples:
        _refuse("none of these servers takes part in these lines")
    record = record_of(journal, found)
    measured = [(line, record) for line in lines() if line.name in record["lines"]]
    print(dates(measured), "", table(measured), "", *servers(measured), sep="\n")
    print(f"kept as {keep(record)}", file=sys.stderr)
    shown = newest(records())
    write_page(shown)
    write_plot(shown)


def measure(journal: Journal, variants: Sequence[Variant], wanted: Sequence[Line]) -> None:
    """Round by round, group by group, server by server; what was measured before is not measured again."""
    for number in range(journal.rounds):
        for _, members in groupby(wanted, key=lambda line: line.group):
            group = list(members)
            with ExitStack() as stack:
                if group[0].place == "veth":
                    stack.enter_context(veth())
                for variant in variants:
                    _measure_group(journal, number, variant, group)


def _measure_group(journal: Journal, number: int, variant: Variant, group: Sequence[Line]) -> None:
    todo = [line for line in group if variant.measures(line) and not journal.has(number, line, variant.name)]
    if not todo or (number and group[0].long):
        return
    when = "once" if group[0].long else f"round {number + 1} of {journal.rounds}"
    print(f"{when}, {group[0].group}: {variant.name}", file=sys.stderr)
    try:
        for line, sample in _made(journal, variant, todo):
            journal.add(line, variant.name, sample)
    except FailedError as error:
        print(f"  {variant.name}: {error}", file=sys.stderr)
        for line in todo:
            if not journal.has(number, line, variant.name):
                journal.add(line, variant.name, {"failed": 1.0})


def _made(journal: Journal, variant: Variant, todo: Sequence[Line]) -> Iterator[tuple[Line, Sample]]:
    """A sample for each line; lines with the same load share one."""
    procedure = PROCEDURES.get(todo[0].group)
    if procedure:
        sample = procedure(variant)
        yield from ((line, sample) for line in todo)
        return
    made: dict[tuple[str, ...], Sample] = {}
    with started(variant, PLACES[todo[0].place], todo[0].cores) as server:
        for line in todo:
            if line.load not in made:
                made[line.load] = run_load(server, line, journal.seconds)
            yield line, made[line.load]


def _asked() -> Journal:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="length of one measurement")
    parser.add_argument("--only", nargs="+", default=[], help="these servers alone: words of their names")
    parser.add_argument("--cases", nargs="+", default=[], help="these lines alone: words of their names")
    parser.add_argument("--long", action="store_true", help="also the lines that take minutes, once each")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run that was stopped, as it was asked for"
    )
    chosen = parser.parse_args()
    if chosen.rounds < 1 or chosen.seconds < 0.1:
        parser.error("--rounds is 1 at least, --seconds 0.1")
    if chosen.resume:
        return resumed() or _refuse("--resume: no run was stopped")
    return Journal(chosen.rounds, chosen.seconds, chosen.cases, chosen.only, chosen.long)


def _refuse(words: str) -> NoReturn:
    print(f"bench: {words}", file=sys.stderr)
    sys.exit(2)


def _told(one: Found) -> Found:
    if isinstance(one, Missing):
        print(f"without {one.column}: {one.how}", file=sys.stderr)
    return one


def _chosen(journal: Journal, found: Sequence[Found]) -> list[Variant]:
    variants = [one for one in found if isinstance(one, Variant)]
    chosen = [one for one in variants if not journal.only or any(word in one.name for word in journal.only)]
    if not chosen:
        _refuse(f"--only: no such server; there are {', '.join(one.name for one in variants)}")
    return chosen


def _wanted(journal: Journal) -> list[Line]:
    wanted = [line for line in lines() if journal.wants(line)]
    if not wanted:
        names = ", ".join(f'"{line.name}"' for line in lines() if journal.long or not line.long)
        _refuse(f"--cases: no such line; there are {names}")
    return wanted


def _possible(wanted: Sequence[Line]) -> list[Line]:
    """Those that this machine can measure."""
    without = why_no_veth() if any(line.place == "veth" for line in wanted) else ""
    if without:
        print(f"without the lines over veth: {without}", file=sys.stderr)
    return [line for line in wanted if line.place != "veth" or not without]
