"""The little Markdown that generated pages are made of."""

from collections.abc import Iterable, Iterator, Sequence

NOTE = "<!-- Written by `python -m manual`: change what it says in {source}. -->"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, an empty one after it; none where it has no rows."""
    rows = list(rows)
    if rows:
        yield from (_row(header), _row(["---"] * len(header)), *map(_row, rows), "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def page(title: str, source: str, lines: Iterable[str]) -> str:
    """A whole page; `source` is where its words are changed."""
    return "\n".join([f"# {title}", "", NOTE.format(source=source), "", *lines]).rstrip("\n") + "\n"


def code(value: object) -> str:
    """As code."""
    return f"`{value}`"
