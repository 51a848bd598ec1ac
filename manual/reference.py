"""The generated pages of the documentation. They are committed, so that they can be read where the source is read."""

import asyncio
from pathlib import Path

from manual.commands import commands
from manual.served import served
from manual.settings import settings

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/reference"


def pages() -> dict[str, str]:
    """The text of each page, by its file's name."""
    return {"settings.md": settings(), "commands.md": commands(), **asyncio.run(served())}


def write() -> None:
    """Write the pages that have changed."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"{path.relative_to(ROOT)} is written")
