"""docs/conformance.md: all of it is written here, from the results."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.clauses import CHECKS, Check, Level, Outcome, Result, in_order, lines
from conformance.deviations import DEVIATIONS

PAGE = Path(__file__).parent.parent / "docs/conformance.md"
CHECKLIST = range(1, 67)

INTRODUCTION = """\
# Conformance

`make conformance` writes this page; nobody edits it. It is a suite of its own (`conformance/`): it speaks raw sockets,
has its own codec, and knows no server from within. Each row is a clause with the check that tries it; the check's text
quotes the section that settles a doubtful reading. A plain statement of what a server does counts as MUST.

- *pass*: the server does what the clause asks.
- *fail*: it does not; what happened stands below the tables.
- *deviates*: it does not, on purpose, and the reason stands below the tables.
- *not offered*: it does not have this optional thing, and says so in the way that the RFC gives.
- *skipped*: the check could not be made in this run; why stands below the tables.
"""

TITLES = {
    8489: "STUN",
    5389: "STUN, first edition: what the second one left out",
    3489: "classic STUN",
    8656: "TURN",
    6156: "TURN for IPv6",
    6062: "TURN with TCP allocations",
    5780: "NAT behaviour discovery",
    8016: "mobility with TURN",
    7635: "third-party authorization",
    7443: "ALPN for STUN",
    7350: "STUN and TURN over DTLS",
}


@dataclass(frozen=True)
class Run:
    """The results of one server."""

    name: str
    version: str
    results: Mapping[str, Result]
    limit: int

    def shown(self, name: str) -> str:
        """The word for a cell."""
        result = self.results.get(name, Result(Outcome.SKIPPED, "not tried"))
        return "deviates" if self._deviates(name, result) else str(result.outcome)

    def why(self, name: str) -> str:
        """What stands below the tables."""
        result = self.results.get(name, Result(Outcome.SKIPPED, "not tried"))
        if self._deviates(name, result):
            return f"{result.why}. {DEVIATIONS[name]}"
        return result.why

    def broken(self) -> list[str]:
        """MUSTs that fail without a reason."""
        return [
            name
            for name, result in sorted(self.results.items())
            if result.outcome is Outcome.FAIL
            and CHECKS[name].clause.level is Level.MUST
            and not self._deviates(name, result)
        ]

    def _deviates(self, name: str, result: Result) -> bool:
        return self.name == "hairpin" and result.outcome is Outcome.FAIL and name in DEVIATIONS


def commit() -> str:
    """The commit of this tree, with a mark where something is not committed."""
    root = PAGE.parent.parent
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"], cwd=root, capture_output=True, text=True
    )
    return said.stdout.strip() or "no git here"


def page(runs: Sequence[Run], when: str, tree: str | None = None) -> str:
    """The page of these runs."""
    return "\n".join(_page(runs, when, commit() if tree is None else tree)) + "\n"


def _page(runs: Sequence[Run], when: str, tree: str) -> Iterator[str]:
    yield INTRODUCTION
    yield from _made(runs, when, tree)
    checks = list(in_order())
    yield from _totals(runs, checks)
    for rfc in dict.fromkeys(one.clause.rfc for one in checks):
        yield f"\n## RFC {rfc}: {TITLES[rfc]}\n"
        yield from _table(runs, [one for one in checks if one.clause.rfc == rfc])
    yield from _reasons(runs, checks)
    yield from _lines()


def _made(runs: Sequence[Run], when: str, tree: str) -> Iterator[str]:
    tested = ", ".join(f"{one.name} {one.version}" for one in runs)
    yield f"Made on {when} from commit {tree}: {tested}."
    limit = min(one.limit for one in runs)
    yield f"Checks that take up to {limit} s were run. To repeat it: `make conformance LIMIT={limit}` (else it is 60)."
    yield "For another server: `make conformance SERVER=host:port USER=name PASSWORD=word`."


def _totals(runs: Sequence[Run], checks: Sequence[Check]) -> Iterator[str]:
    words = ("pass", "fail", "deviates", "not offered", "skipped")
    yield "\n| | asked | " + " | ".join(words) + " |\n| --- | ---: |" + " ---: |" * len(words)
    for run in runs:
        for level in Level:
            shown = [run.shown(one.name) for one in checks if one.clause.level is level]
            counts = " | ".join(str(shown.count(word)) for word in words)
            yield f"| {run.name}, {level} | {len(shown)} | {counts} |"


def _table(runs: Sequence[Run], checks: Sequence[Check]) -> Iterator[str]:
    yield "| section | | what is asked | check | " + " | ".join(one.name for one in runs) + " |"
    yield "| --- | --- | --- | --- |" + " --- |" * len(runs)
    for one in checks:
        cells = " | ".join(run.shown(one.name) for run in runs)
        clause = one.clause
        yield f"| {clause.section} | {clause.level} | {clause.asked} | `{one.name}` | {cells} |"


def _reasons(runs: Sequence[Run], checks: Sequence[Check]) -> Iterator[str]:
    for run in runs:
        told = [(one.name, run.shown(one.name), run.why(one.name)) for one in checks if run.why(one.name)]
        if told:
            yield f"\n## What {run.name} does otherwise, and what was not tried\n"
            yield from (f"- `{name}`: {word}: {why}" for name, word, why in told)


def _lines() -> Iterator[str]:
    yield "\n## The checklist\n\nEach of its 66 lines has at least one check:\n"
    found = lines()
    for line in CHECKLIST:
        yield f"{line}. " + ", ".join(f"`{name}`" for name in found.get(line, []))
