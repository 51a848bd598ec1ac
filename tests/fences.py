"""The fenced blocks of a page, each with what the comment above it says; CONTRIBUTING.md tells how they are marked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

NOTHING = Token("nothing", "", 0)
NOT_RUN = re.compile(r"<!--\s*not run:\s*(.*?)\s*-->", re.DOTALL)
FIRST = re.compile(r"<!--\s*first:\s*(.*?)\s*-->", re.DOTALL)
EXITS = re.compile(r"<!--\s*exits with (\d+)\s*-->")
TITLE = re.compile(r'title="([^"]+)"')


class MarkingError(ValueError):
    """A block that is marked in no way that CONTRIBUTING.md knows."""


@dataclass(frozen=True, slots=True)
class Command:
    """A line of a console after its `$`, with the lines that were continued, and what it shows."""

    line: int
    text: str
    shown: str


@dataclass(frozen=True, slots=True)
class Fence:
    """A block, the line it begins at, the file that its title names, and what the comment says of it.

    `excuse` is why it is not run, `first` a command that waits for what a reader has by then, `status` its exit status.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str
    excuse: str | None = None
    first: str = ""
    status: int = 0

    @property
    def place(self) -> str:
        """Where a reader finds it."""
        return f"{self.page}:{self.line}"

    def commands(self) -> list[Command]:
        """Those of a console, in their order; MarkingError where it begins with none."""
        return list(_commands(self))


def fences(page: Path) -> list[Fence]:
    """The blocks of a page in their order; MarkingError for one without a fence, or an excuse without a reason."""
    tokens = MarkdownIt().parse(page.read_text())
    if bare := next((token for token in tokens if token.type == "code_block"), None):
        raise MarkingError(f"{page}:{(bare.map or [0])[0] + 1}: fence this, and say what it is: ```text, ```console")
    return [_fence(page, before, token) for before, token in pairwise([NOTHING, *tokens]) if token.type == "fence"]


def _fence(page: Path, before: Token, token: Token) -> Fence:
    said = before.content if before.type == "html_block" else ""
    excuse, first, exits = NOT_RUN.search(said), FIRST.search(said), EXITS.search(said)
    title = TITLE.search(token.info)
    line = (token.map or [0])[0] + 1
    if excuse and len(excuse[1].split()) < 2:
        raise MarkingError(f"{page}:{line}: say why it is not run: <!-- not run: needs a public address -->")
    return Fence(
        page,
        line,
        language=token.info.split(maxsplit=1)[0] if token.info else "",
        title=title[1] if title else "",
        text=token.content,
        excuse=excuse[1] if excuse else None,
        first=first[1] if first else "",
        status=int(exits[1]) if exits else 0,
    )


def _commands(fence: Fence) -> Iterator[Command]:
    lines = fence.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    if not starts or starts[0]:
        raise MarkingError(f"{fence.place}: a console begins with a command: $ COMMAND")
    for start, end in pairwise([*starts, len(lines)]):
        shown = start + 1
        while lines[shown - 1].endswith("\\"):
            shown += 1
        text = "\n".join([lines[start].removeprefix("$ "), *lines[start + 1 : shown]])
        yield Command(fence.line + 1 + start, text, "\n".join(lines[shown:end]).strip("\n"))


def matches(shown: str, printed: str) -> bool:
    """Whether this was printed: `...` is anything within a line, and alone on a line any lines."""
    lines = (line.rstrip() for line in shown.splitlines())
    form = "".join(r"(?:.*\n)*?" if line.strip() == "..." else _within(line) + "\n" for line in lines)
    printed = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(form, printed) is not None


def _within(line: str) -> str:
    return ".*?".join(re.escape(part) for part in line.split("..."))
