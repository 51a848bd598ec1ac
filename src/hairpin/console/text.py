"""Values off the wire in a table: as text, whatever they hold. No password is ever shown."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hairpin.logging import escape

WIDE = 1000  # columns where the output is no terminal: nothing is cut for the next program


def console() -> Console:
    """What writes to stdout; without colours, markup or cuts where that is no terminal."""
    shown = Console(highlight=False, markup=False, emoji=False)
    return shown if shown.is_terminal else Console(highlight=False, markup=False, emoji=False, width=WIDE)


def cell(value: object) -> Text:
    """A value as text: what is markup or a control character to others is shown here as it stands."""
    return Text(escape(str(value)))


def counted(count: int, noun: str) -> str:
    """So many of them, in words."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def table(headings: Iterable[str], numbers: Iterable[str] = ()) -> Table:
    """An empty table with these headings; columns of `numbers` are aligned right."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    right = set(numbers)
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return made
