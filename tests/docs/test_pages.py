"""Everything that the documentation tells its readers to do is done here, page by page."""

from pathlib import Path

import pytest

from fences import fences
from reading import follow
from world import world

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_the_page_says_holds(page: Path, tmp_path: Path) -> None:
    """Its commands print what it shows, its settings are fine, its programs run; the rest says why it is not run."""
    blocks = fences(page)
    if any(block.excuse is None for block in blocks):
        with world(tmp_path) as here:
            follow(blocks, here)
