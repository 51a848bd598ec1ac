"""The samples of a run as they are made, so that a run that was stopped can go on; and the history of finished runs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from bench.arithmetic import Sample, middle
from bench.lines import Line, lines
from bench.machine import machine
from bench.servers import Found, Missing, Variant
from bench.tools import BENCH, BUILD

CURRENT = BUILD / "bench.json"
HISTORY = BENCH / "history"
KEPT = ("own", "sent", "lost", "late", "wrong", "failures", "failed", "window", "capacity", "listings", "listed", "end")
Record: TypeAlias = dict[str, Any]
Samples: TypeAlias = Mapping[str, list[Sample]]


@dataclass(frozen=True, slots=True)
class Journal:
    """What was asked for, and the samples by line and variant, one for each round."""

    rounds: int
    seconds: float
    cases: list[str]
    only: list[str]
    long: bool
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)

    def has(self, number: int, line: Line, variant: str) -> bool:
        """Whether that round (from 0) of it was made."""
        return len(self.samples.get(line.name, {}).get(variant, ())) > number

    def add(self, line: Line, variant: str, sample: Sample) -> None:
        """One more round of it, kept at once."""
        self.samples.setdefault(line.name, {}).setdefault(variant, []).append(sample)
        CURRENT.write_text(json.dumps(asdict(self)))

    def wants(self, line: Line) -> bool:
        """Whether that line was asked for."""
        return (self.long or not line.long) and (not self.cases or any(case in line.name for case in self.cases))


def resumed() -> Journal | None:
    """The run that was stopped, if there is one."""
    return Journal(**json.loads(CURRENT.read_text())) if CURRENT.exists() else None


def record_of(journal: Journal, found: list[Found]) -> Record:
    """A run, as it is kept."""
    variants = [variant for variant in found if isinstance(variant, Variant)]
    measured = {name for samples in journal.samples.values() for name in samples}
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine(),
        "rounds": journal.rounds,
        "seconds": journal.seconds,
        "variants": {
            one.name: {"column": one.column, "version": one.version, "configuration": one.configuration()}
            for one in variants
            if one.name in measured
        },
        "missing": {one.column: one.how for one in found if isinstance(one, Missing)},
        "lines": {
            line.name: _kept(line, journal.samples[line.name]) for line in lines() if line.name in journal.samples
        },
    }


def keep(record: Record) -> Path:
    """Write it into the history, a line for each variant; the run is over."""
    HISTORY.mkdir(exist_ok=True)
    file = HISTORY / f"{record['date'][:-4].replace(' ', 'T').replace(':', '')}.json"
    file.write_text("\n".join(_written(record)) + "\n")
    CURRENT.unlink(missing_ok=True)
    return file


def records() -> list[Record]:
    """The history, oldest first."""
    return [json.loads(file.read_text()) for file in sorted(HISTORY.glob("*.json"))]


def samples(record: Record, line: Line) -> Samples:
    """The samples of a line by variant."""
    return {name: kept["rounds"] for name, kept in record["lines"].get(line.name, {}).items()}


def _kept(line: Line, variants: Samples) -> dict[str, Any]:
    return {
        name: {"median": _short(middle(line.figure, found)), "rounds": [_only(line, sample) for sample in found]}
        for name, found in variants.items()
    }


def _only(line: Line, sample: Sample) -> Sample:
    """The figure, and what says whether it counts; what is 0 is left out."""
    names = [name for name in (line.figure.field, *KEPT) if name in sample]
    return {name: _short(sample[name]) or 0 for name in names if sample[name] or name == line.figure.field}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}") if value % 1 else int(value)


def _written(record: Record) -> Iterator[str]:
    """JSON that a diff can show: a line for each field, machine, variant and measurement."""
    yield "{"
    for key in record:
        if key in ("variants", "lines"):
            continue
        yield f' "{key}": {json.dumps(record[key])},'
    yield f' "variants": {{\n{_rows(record["variants"], 2)}\n }},'
    body = ",\n".join(f"  {json.dumps(name)}: {{\n{_rows(kept, 3)}\n  }}" for name, kept in record["lines"].items())
    yield f' "lines": {{\n{body}\n }}'
    yield "}"


def _rows(table: Mapping[str, Any], depth: int) -> str:
    return ",\n".join(f"{' ' * depth}{json.dumps(name)}: {json.dumps(value)}" for name, value in table.items())
