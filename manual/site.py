"""Builds .build/site with Zensical: pages lie there as they do in the repository, so that a link is good in both."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from hairpin.version import __version__

ROOT = Path(__file__).parents[1]
BUILD = ROOT / ".build"
PAGES = BUILD / "pages"
BESIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bench/README.md", "conformance/README.md")

# A folder takes in whatever lies there, the pages named here first.
NAVIGATION = {
    "Tutorial": ["docs/tutorial/first-call.md"],
    "How-to guides": ["docs/how-to/serve-for-real.md", "docs/how-to/credentials.md", "docs/how-to"],
    "Recipes": ["docs/how-to/recipes"],
    "Reference": ["docs/reference/settings.md", "docs/reference/commands.md", "docs/reference", "docs/bench.md"],
    "Explanation": ["docs/explanation/how-it-works.md", "docs/explanation", "docs/security.md"],
    "Measured": ["docs/performance.md", "bench/README.md", "docs/conformance.md", "conformance/README.md"],
    "Decisions": ["docs/decisions"],
    "Project": ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"],
}

CONFIGURATION = """\
[project]
site_name = "hairpin"
site_description = "A STUN/TURN server for WebRTC that other programs can look into and steer over HTTP"
copyright = "hairpin {version}, MIT licence"
docs_dir = "pages"
site_dir = "site"
strict = true
nav = {nav}

[project.theme]
font = false
features = ["content.code.copy", "navigation.sections", "navigation.top", "search.highlight"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Dark"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Light"
"""


class OmittedError(ValueError):
    """A page that the navigation does not lead to, or leads to in vain."""


def build() -> int:
    """Build the site; the exit status is that of Zensical, which takes a broken link as an error."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for folder in ("docs", "deploy"):
        shutil.copytree(ROOT / folder, PAGES / folder)
    for file in BESIDE:
        PAGES.joinpath(file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, PAGES / file)
    settings = BUILD / "zensical.toml"
    settings.write_text(CONFIGURATION.format(version=__version__, nav=_toml(navigation())))
    program = Path(sys.executable).with_name("zensical")
    return subprocess.run([program, "build", "--clean", "--strict", "--config-file", settings], check=False).returncode


def navigation() -> dict[str, list[str]]:
    """The pages of each section, in their order; OmittedError where one is missing or left out."""
    sections: dict[str, list[str]] = {}
    placed: set[str] = set()
    for title, places in NAVIGATION.items():
        found = dict.fromkeys(page for place in places for page in _pages(place) if page not in placed)
        sections[title] = list(found)
        placed.update(found)
    if lost := {str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md")} - placed:
        raise OmittedError(f"no section of manual/site.py has {', '.join(sorted(lost))}")
    return {title: pages for title, pages in sections.items() if pages}


def _pages(place: str) -> Iterator[str]:
    path = ROOT / place
    if path.suffix == ".md" and not path.exists():
        raise OmittedError(f"manual/site.py names {place}, which is not there")
    for page in [path] if path.suffix == ".md" else sorted(path.glob("*.md")):
        yield str(page.relative_to(ROOT))


def _toml(sections: dict[str, list[str]]) -> str:
    """An array of inline tables; JSON's strings and arrays are TOML's, too."""
    entries = [f"{{ {json.dumps(title)} = {json.dumps(pages)} }}" for title, pages in sections.items()]
    return "[\n  " + ",\n  ".join([json.dumps("README.md"), *entries]) + ",\n]"
