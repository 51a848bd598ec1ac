"""The table: a row a line, a column a server, hairpin's ratios, and what is asked beside what is reached."""

from collections.abc import Iterator, Mapping, Sequence

from bench.arithmetic import Ratio, best, counts, middle, ratio, reached, wording
from bench.journal import Record, Samples, samples
from bench.lines import Ask, Line, lines
from bench.servers.floor import COLUMN as FLOOR
from bench.servers.floor import URING

OURS = "hairpin"
SHARED = "shared port"


def newest(records: Sequence[Record]) -> list[tuple[Line, Record]]:
    """Each line with the newest record that compares it with coturn, in three rounds where it is not a long one."""
    shown = []
    for line in lines():
        fit = [record for record in records if _compares(line, record)]
        if fit:
            shown.append((line, fit[-1]))
    return shown


def _compares(line: Line, record: Record) -> bool:
    found = by_column(line, record)
    others = any(name.startswith("coturn") for name in found) or line.who == OURS
    return OURS in found and others and (line.long or record["rounds"] >= 3)


def table(shown: Sequence[tuple[Line, Record]]) -> str:
    """The rows as Markdown, aligned for a terminal too."""
    names = list(dict.fromkeys(name for line, record in shown for name in by_column(line, record)))
    names.sort(key=rank)
    ours = [name for name in names if name.startswith(OURS)]
    ratios = [title for name in ours for title in (f"coturn's / {name}'s", f"{name}'s / floor's")]
    header = ["", "unit", *names, *ratios, "asked", "reached"]
    rows = [[line.name, line.figure.unit, *_cells(line, record, names, ours)] for line, record in shown]
    return aligned([header, *rows])


def rank(name: str) -> int:
    """hairpin first, then coturn, others, the floor."""
    first = (OURS, "coturn", "", FLOOR)
    return next((place for place, word in enumerate(first) if word and name.startswith(word)), 2)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Markdown with columns of one width, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_row(cells, widths) for cells in (rows[0], rule, *rows[1:]))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join([cells[0].ljust(widths[0]), *padded[1:]])} |"


def reference(line: Line, record: Record) -> str | None:
    """The coturn that ratios are to: the build that COTURN named, which stands last, else Debian's."""
    found = [name for name in by_column(line, record) if name.startswith("coturn") and not name.endswith(SHARED)]
    return found[-1] if found else None


def by_column(line: Line, record: Record) -> Mapping[str, Samples]:
    """The samples of a line, by column and variant."""
    columns: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name, found in samples(record, line).items():
        columns.setdefault(record["variants"][name]["column"], {})[name] = found
    return columns


def _cells(line: Line, record: Record, names: Sequence[str], ours: Sequence[str]) -> Iterator[str]:
    columns = by_column(line, record)
    for name in names:
        yield _cell(line, columns.get(name, {}), named=name == FLOOR)
    for name in ours:
        coturn, floor = (_ratio(line, record, against, name) for against in ("coturn", "floor"))
        yield str(coturn) if coturn else ""
        yield f"{1 / floor.whole:.2f}" if floor else ""
    yield "; ".join(wording(ask) for ask in line.asks)
    yield "; ".join(_verdict(line, record, ask) for ask in line.asks)


def _cell(line: Line, variants: Samples, named: bool) -> str:
    """The best median; the name of the floor's variant; what to think of a line that no run counts for."""
    if not variants:
        return ""
    name = best(line.figure, variants)
    if name is None:
        return _why_not(variants)
    value = middle(line.figure, variants[name])
    assert value is not None
    lost = "" if all(counts(sample) for sample in variants[name]) or line.figure.field == "lost" else "*"
    return f"{name.split()[-1] + ' ' if named else ''}{_number(value)}{lost}"


def _why_not(variants: Samples) -> str:
    found = [sample for each in variants.values() for sample in each]
    lost = [sample["lost"] / sample["sent"] for sample in found if sample.get("lost") and sample.get("sent")]
    return f"lost {100 * min(lost):.2g} %" if lost else "failed"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 and value % 1 else f"{value:,.0f}"


def _ratio(line: Line, record: Record, against: str, column: str = OURS) -> Ratio | None:
    """A hairpin's to the reference, the shared port, or the cheapest floor of a mechanism that it uses."""
    columns = by_column(line, record)
    floors = (FLOOR, URING) if "io_uring" in column else (FLOOR,)
    theirs = {
        "coturn": columns.get(reference(line, record) or "", {}),
        "shared port": next((found for name, found in columns.items() if name.endswith(SHARED)), {}),
        "floor": {name: found for floor in floors for name, found in columns.get(floor, {}).items()},
    }.get(against, {})
    ours = columns.get(column, {})
    our, their = best(line.figure, ours), best(line.figure, theirs)
    return ratio(line.figure, ours[our], theirs[their]) if our and their else None


def _verdict(line: Line, record: Record, ask: Ask) -> str:
    ours = by_column(line, record).get(OURS, {})
    name = best(line.figure, ours)
    value = middle(line.figure, ours[name]) if name else None
    found = reached(ask, value, _ratio(line, record, ask.against))
    return {True: "yes", False: "NO", None: "?"}[found]
