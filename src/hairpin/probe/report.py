"""What a probe found, as lines for people and as one JSON object for programs."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from hairpin.probe.steps import Step, Verdict, well
from hairpin.turnclient import Target

COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red", Verdict.SKIPPED: "dim"}


def line(step: Step) -> Text:
    """A step; coloured where it is printed on a terminal."""
    return Text.assemble((f"{step.verdict:8}", COLOURS[step.verdict]), f" {step.title:15} ", step.says)


def verdict(steps: Iterable[Step]) -> str:
    """The last line."""
    steps = list(steps)
    bad = [step.title for step in steps if step.verdict is Verdict.FAILED]
    doubtful = [step.title for step in steps if step.verdict is Verdict.WARNING]
    if bad:
        return f"Failed: {', '.join(bad)}."
    untried = [step.title for step in steps if step.because]
    found = f"It works, but look at: {', '.join(doubtful)}." if doubtful else "All is well."
    return f"{found} Not tried: {', '.join(untried)}." if untried else found


def report(target: Target, steps: Sequence[Step]) -> dict[str, Any]:
    """All of it, under keys that stay the same."""
    return {"server": str(target), "well": well(steps), "verdict": verdict(steps), "steps": list(map(_entry, steps))}


def _entry(step: Step) -> dict[str, Any]:
    return {
        "step": step.key,
        "verdict": step.verdict.value,
        "says": step.says,
        "because": step.because,
        "facts": step.facts,
    }
