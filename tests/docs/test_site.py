"""The documentation as a site: every page is led to, and no link is broken."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt

from manual import site


def test_the_site_is_built() -> None:
    """In strict mode, in which a link to a page or a heading that is not there is an error."""
    assert site.build() == 0
    for page in ("index.html", "docs/tutorial/first-call/index.html", "docs/reference/settings/index.html"):
        assert "hairpin" in (site.BUILD / "site" / page).read_text()


def test_every_link_leads_to_a_file() -> None:
    """Also to pictures and programs, which strict mode does not look at; a folder is nothing that a site could show."""
    pages = [site.ROOT / file for file in site.BESIDE] + list(site.ROOT.glob("docs/**/*.md"))
    for page in pages:
        for link in _links(page):
            assert (page.parent / link).is_file(), f"{page}: {link}"


def _links(page: Path) -> Iterator[str]:
    """The paths that a page names, without those of other hosts and of headings within it."""
    for block in MarkdownIt().parse(page.read_text()):
        for token in block.children or []:
            url = urlsplit(str(token.attrs.get("href") or token.attrs.get("src") or ""))
            if url.path and not url.scheme:
                yield url.path


def test_a_page_that_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, as is a page that is named and not there."""
    stray = tmp_path / "docs/elsewhere/page.md"
    stray.parent.mkdir(parents=True)
    stray.write_text("# A page\n")
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "NAVIGATION", {"How-to guides": ["docs/how-to"]})
    with pytest.raises(site.OmittedError, match=r"no section .* has docs/elsewhere/page\.md"):
        site.navigation()
    monkeypatch.setattr(site, "NAVIGATION", {"How-to guides": ["docs/how-to/none.md"]})
    with pytest.raises(site.OmittedError, match=r"names docs/how-to/none\.md"):
        site.navigation()
