"""The flaws of other servers, each with the tests that would have caught it here: docs/security.md says which."""

import re
from pathlib import Path

import pytest

from hairpin.server import assembly

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (.+) \| (`.+`) \|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
SOURCES = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("rust/*/src/**/*.rs"), *ROOT.glob("rust/fuzz/tests/*.rs")]
DEFINED = set(re.findall(r"\b(?:def|fn) (\w+)\(", "".join(source.read_text() for source in SOURCES)))


def test_the_page_has_every_flaw() -> None:
    """Each row names at least one test."""
    assert len(ROWS) == 28


@pytest.mark.parametrize(("flaw", "tests"), ROWS)
def test_a_test_stands_beside_each_flaw(flaw: str, tests: str) -> None:
    """What the page names exists."""
    assert set(re.findall(r"`(\w+)`", tests)) <= DEFINED, flaw


def test_chance_comes_from_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relay ports, ids and tickets are drawn from what `secrets` gives, and from nothing else."""
    monkeypatch.setattr("secrets.token_bytes", lambda size: bytes(range(8)) * (size // 8))
    chance = assembly.chance()
    assert [chance(2**64) for _ in range(600)] == [int.from_bytes(bytes(range(8)), "little")] * 600


def test_nothing_compares_a_secret_by_equality() -> None:
    """What proves somebody is held against what is right in constant time, by the libraries that do so."""
    sources = [*ROOT.glob("src/**/*.py"), *ROOT.glob("rust/*/src/**/*.rs")]
    secret = r"\b(?:mac|tag|digest|signature|password|credential)\b"
    compared = re.compile(rf"{secret} *(?:==|!=)|(?:==|!=) *\S*{secret}")
    lines = [(source.name, line.strip()) for source in sources for line in source.read_text().splitlines()]
    assert [line for line in lines if compared.search(line[1])] == []
