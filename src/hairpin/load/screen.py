"""Shows how far a run is: a bar on a terminal, a line for each phase elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from hairpin.load.crew import Progress as Step
from hairpin.load.crew import Show

SELDOM = 0.4  # seconds: drawing takes a millisecond or two, in which no packet is read


@contextmanager
def screen(*, quiet: bool) -> Iterator[Show]:
    """What shows progress on stderr, as long as it is open; `quiet` shows nothing."""
    console = Console(stderr=True)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        with _bar(console) as show:
            yield show
    else:
        yield _lines()


def _lines() -> Show:
    told: list[str] = []

    def show(step: Step) -> None:
        if step.phase not in told:
            told.append(step.phase)
            typer.echo(f"{step.phase} ...", err=True)

    return show


@contextmanager
def _bar(console: Console) -> Iterator[Show]:
    columns = (
        TextColumn("{task.description:<11}"),
        BarColumn(24),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=1.0, note="")
        drawn, phase = 0.0, ""

        def show(step: Step) -> None:
            nonlocal drawn, phase
            if step.phase != phase or time.monotonic() - drawn > SELDOM:
                bar.update(task, description=step.phase, completed=step.share, note=step.note)
                bar.refresh()
                drawn, phase = time.monotonic(), step.phase

        yield show
