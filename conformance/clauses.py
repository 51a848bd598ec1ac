"""A clause, what became of it, and the register of checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance.scene import Scene


class Level(StrEnum):
    """How strongly a clause asks; a plain statement of what the server does counts as MUST."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY


class Outcome(StrEnum):
    """What a check found."""

    PASS = "pass"
    FAIL = "fail"
    NOT_OFFERED = "not offered"
    SKIPPED = "skipped"


class BrokenError(Exception):
    """The server does not do what the clause asks."""


class NotOfferedError(Exception):
    """The server does not have this, and refuses it in the way that the RFC gives."""


class SkippedError(Exception):
    """The check could not be made here; the text says why."""


def expect(condition: object, otherwise: str) -> None:
    """Fail the check with this sentence unless the condition holds."""
    if not condition:
        raise BrokenError(otherwise)


@dataclass(frozen=True)
class Clause:
    """Where it stands, what it asks in a sentence of ours, and the line of the project's checklist it belongs to."""

    rfc: int
    section: str
    level: Level
    asked: str
    line: int | None = None


@dataclass(frozen=True)
class Check:
    """A clause with the function that tries it; `lasts` is how many seconds it takes at least."""

    name: str
    clause: Clause
    run: "Callable[[Scene], None]"
    lasts: int = 0


@dataclass(frozen=True)
class Result:
    """What a check found on one server, and why where that is not a pass."""

    outcome: Outcome
    why: str = ""


CHECKS: dict[str, Check] = {}


def check(
    rfc: int, section: str, level: Level, asked: str, *, line: int | None = None, lasts: int = 0
) -> "Callable[[Callable[[Scene], None]], Callable[[Scene], None]]":
    """Register a function as the check of a clause."""

    def register(function: "Callable[[Scene], None]") -> "Callable[[Scene], None]":
        add(function.__name__, Clause(rfc, section, level, asked, line), function, lasts)
        return function

    return register


def add(name: str, clause: Clause, run: "Callable[[Scene], None]", lasts: int = 0) -> None:
    """Register a row of a table of checks."""
    if name in CHECKS:
        raise ValueError(f"two checks are called {name}")
    CHECKS[name] = Check(name, clause, run, lasts)


def lines() -> dict[int, list[str]]:
    """The checks of each line of the checklist."""
    found: dict[int, list[str]] = {}
    for one in CHECKS.values():
        if one.clause.line is not None:
            found.setdefault(one.clause.line, []).append(one.name)
    return dict(sorted(found.items()))


def in_order() -> Iterator[Check]:
    """By RFC as a reader expects them, and within one as registered."""
    order = (8489, 5389, 3489, 8656, 6156, 6062, 5780, 8016, 7635, 7443, 7350)
    yield from sorted(CHECKS.values(), key=lambda one: (order.index(one.clause.rfc), _section(one.clause.section)))


def _section(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
