"""docs/performance.md: all of it is written here, from the history."""

from collections.abc import Iterator, Sequence

from bench.arithmetic import middle
from bench.journal import Record, samples
from bench.lines import Line
from bench.table import aligned, by_column, reference, table
from bench.tools import PLOT, ROOT

PAGE = ROOT / "docs/performance.md"

INTRODUCTION = """\
# Performance

`make bench` writes this page from `bench/history/`; nobody edits it. What the lines mean and how they are measured
stands in [bench/README.md](../bench/README.md).

![CPU time of each packet, by server]({plot})
"""

READING = """\
## How to read it

CPU a packet is the busy time of the server's core (the kernel's work in softirq, NAPI and io_uring threads counted in)
over the packets that arrived and were checked. A cell is the median of the rounds; coturn's / hairpin's is followed by
its least and most of any round. More than 1 is better for hairpin, also where a rate is compared: there it is hairpin's
over coturn's. The floor is a forwarder in C that does the least a relay must, without authentication or permissions;
hairpin's / floor's is to the cheapest variant that moves packets as hairpin does: without io_uring, which hairpin does
not use yet. A run that lost more than 0.1 % does not count and is made again with half the window; an asterisk says
that one still did, and the median is that of the others.
"""

LIMITS = """\
The lines that share two cores with the load show two workers at work, and not twice the packets: the load takes what
it needs of both cores. The server's own CPU time a packet is what tells: where it is the same with two workers as with
one, twice the cores carry twice as much. While busy, 500 clients a second are set up and 5,000 sessions are held;
hairpin also lists them over its API each second, and coturn, which has no API, does not.
"""


def write_page(shown: Sequence[tuple[Line, Record]]) -> None:
    """Write it where there is anything to show."""
    if shown:
        PAGE.write_text("\n".join(page(shown)) + "\n")


def page(shown: Sequence[tuple[Line, Record]]) -> Iterator[str]:
    """The page, part by part."""
    yield INTRODUCTION.format(plot=PLOT.name)
    short = [pair for pair in shown if not pair[0].long]
    long = [pair for pair in shown if pair[0].long]
    for title, part in (("## The figures", short), ("## The long lines, measured once", long)):
        if part:
            yield f"{title}\n\n{dates(part)}\n\n{table(part)}\n"
    yield READING
    if long:
        yield LIMITS
    yield "## Where several configurations were measured\n\nThe table shows the best of each column.\n"
    yield aligned([["", "configuration", "median"], *_configurations(shown)]) + "\n"
    yield "## Order\n\n" + order(shown) + "\n"
    yield "## The servers\n"
    yield from servers(shown)


def dates(shown: Sequence[tuple[Line, Record]]) -> str:
    """When, how and where: one sentence for each record."""
    short = {record["date"] for line, record in shown if not line.long}
    found = {record["date"]: record for _, record in shown}
    return "\n".join(_date(record, date in short) for date, record in found.items())


def _date(record: Record, short: bool) -> str:
    how = f", {record['rounds']} rounds of {record['seconds']:g} s" if short else ""
    return f"{record['date']}{how}; {record['machine']['cpu']}; {record['machine']['system']}."


def order(shown: Sequence[tuple[Line, Record]]) -> str:
    """How many packets came after a later one of their flow, by column."""
    late: dict[str, float] = {}
    for line, record in shown:
        for column, variants in by_column(line, record).items():
            found = sum(sample.get("late", 0) for each in variants.values() for sample in each)
            late[column] = late.get(column, 0) + found
    counted = ", ".join(f"{column} {number:,.0f}" for column, number in late.items())
    return f"Packets that arrived after a later one of their flow, in all runs: {counted}."


def _configurations(shown: Sequence[tuple[Line, Record]]) -> Iterator[list[str]]:
    for line, record in shown:
        for variants in by_column(line, record).values():
            for name in variants if len(variants) > 1 else ():
                value = middle(line.figure, samples(record, line)[name])
                yield [line.name, name, "none counts" if value is None else f"{value:,.2f} {line.figure.unit}"]


def servers(shown: Sequence[tuple[Line, Record]]) -> Iterator[str]:
    """Those of all records shown; of one that is in several, the newest."""
    found = sorted((record for _, record in shown), key=lambda record: str(record["date"]))
    variants = {name: one for record in found for name, one in record["variants"].items()}
    missing = {column: how for record in found for column, how in record["missing"].items()}
    yield f"Ratios are to {reference(*shown[0]) or 'no coturn: none was measured'}.\n"
    for name, one in variants.items():
        yield f"- {name}, {one['version']}: `{one['configuration']}`"
    for column, how in missing.items():
        yield f"- {column} was not measured: {how}"
