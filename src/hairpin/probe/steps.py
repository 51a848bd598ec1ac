"""What came of a step: a verdict, a sentence for people, facts for programs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Fact: TypeAlias = str | int | float | bool | list[str] | None


class Verdict(StrEnum):
    """How it went."""

    OK = "ok"
    WARNING = "warning"  # it works, and somebody should look at it
    FAILED = "failed"
    SKIPPED = "skipped"  # what it needs was not there


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `passable` where the steps that need it can be taken."""

    verdict: Verdict
    says: str
    facts: dict[str, Fact] = field(default_factory=dict)
    passable: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a probe by its `key`, which stays the same; `because` is the step for which it was skipped."""

    key: str
    title: str
    verdict: Verdict
    says: str
    facts: dict[str, Fact] = field(default_factory=dict)
    because: str | None = None


def ok(says: str, **facts: Fact) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, says, facts)


def warning(says: str, **facts: Fact) -> Finding:
    """It works, but."""
    return Finding(Verdict.WARNING, says, facts)


def failed(says: str, **facts: Fact) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAILED, says, facts, passable=False)


def failed_alone(says: str, **facts: Fact) -> Finding:
    """It does not work, and the steps behind it are taken all the same."""
    return Finding(Verdict.FAILED, says, facts)


def skipped(says: str, **facts: Fact) -> Finding:
    """There was nothing to try it with."""
    return Finding(Verdict.SKIPPED, says, facts, passable=False)


def well(steps: Iterable[Step]) -> bool:
    """Whether none of them failed."""
    return all(step.verdict is not Verdict.FAILED for step in steps)
