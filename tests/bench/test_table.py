"""The table, the page and the history, out of plain values."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import journal
from bench.lines import CORE, Ask, Line, lines
from bench.page import page
from bench.table import aligned, newest, table

LINE = next(line for line in lines() if line.name == "peer 160 B, 100 sessions")


def rounds(*costs: float, lost: float = 0) -> dict[str, Any]:
    """A variant's runs."""
    return {"median": 0, "rounds": [{"core": cost, "sent": 1000, "lost": lost} for cost in costs]}


def record(date: str = "2026-11-23 01:00 UTC", number: int = 3, **more: dict[str, Any]) -> journal.Record:
    """A run of one line on hairpin and two builds of coturn."""
    variants = {
        "hairpin": rounds(2, 2, 2),
        "coturn 4.6.1": rounds(9, 9, 9),
        "coturn 4.17.1": rounds(4, 5, 3),
        "floor plain": rounds(1.6, 1.6, 1.6),
    } | more
    about = {name: {"column": name.replace(" plain", ""), "version": "1", "configuration": name} for name in variants}
    return {
        "date": date,
        "machine": {"cpu": "2 cores", "system": "Linux"},
        "rounds": number,
        "seconds": 2,
        "variants": about,
        "missing": {"pion": "get Go"},
        "lines": {LINE.name: variants},
    }


def cells(record: journal.Record) -> dict[str, str]:
    """The one row by the header's names."""
    header, _, row = table([(LINE, record)]).splitlines()
    names, values = ([cell.strip() for cell in line.strip("|").split("|")] for line in (header, row))
    return dict(zip(names, values, strict=True))


def test_a_row_compares_with_the_last_coturn_and_the_floor() -> None:
    """Medians, the ratio with its spread, what is asked and whether it is reached."""
    found = cells(record())
    assert (found["hairpin"], found["coturn 4.17.1"], found["floor"]) == ("2", "4", "plain 1.60")
    assert found["coturn's / hairpin's"] == "2.00 (1.50-2.50)"
    assert found["hairpin's / floor's"] == "1.25"
    assert found["asked"] == "coturn 1.03; floor x 1.15 at most"
    assert found["reached"] == "yes; NO"


def test_a_column_that_lost_too_much_says_so() -> None:
    """No figure without a run that counts, and no ratio to it."""
    found = cells(record(**{"coturn 4.17.1": rounds(4, 4, 4, lost=16)}))
    assert found["coturn 4.17.1"] == "lost 1.6 %"
    assert found["coturn's / hairpin's"] == ""
    assert found["reached"] == "?; NO"


def test_columns_are_aligned() -> None:
    """Every line of the table is as wide as the others."""
    assert (
        len({len(line) for line in aligned([["", "unit"], ["a long name", "us"], ["b", "packets"]]).splitlines()}) == 1
    )


def test_a_line_is_shown_from_the_newest_run_that_compares_it() -> None:
    """Runs without coturn, and of less than three rounds, are no comparison."""
    alone = record("2026-11-23 03:00 UTC")
    alone["lines"] = {LINE.name: {"hairpin": rounds(1, 1, 1)}}
    found = newest([record("2026-11-23 01:00 UTC"), record("2026-11-23 02:00 UTC"), alone, record("x", number=1)])
    assert [(line.name, one["date"]) for line, one in found] == [(LINE.name, "2026-11-23 02:00 UTC")]


def test_the_page_names_configurations_and_what_is_missing() -> None:
    """Everything that a reader needs to repeat it."""
    text = "\n".join(page([(LINE, record())]))
    assert "2026-11-23 01:00 UTC, 3 rounds of 2 s; 2 cores; Linux." in text
    assert "- coturn 4.17.1, 1: `coturn 4.17.1`" in text
    assert "- pion was not measured: get Go" in text


def test_the_history_reads_back_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is JSON with a line for each variant."""
    monkeypatch.setattr(journal, "HISTORY", tmp_path)
    monkeypatch.setattr(journal, "CURRENT", tmp_path / "current")
    kept = journal.keep(record())
    assert kept.name == "2026-11-23T0100.json"
    assert journal.records() == [record()]
    assert sum("rounds" in line for line in kept.read_text().splitlines()) == 1 + 4


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for and every sample come back."""
    monkeypatch.setattr(journal, "CURRENT", tmp_path / "current")
    begun = journal.Journal(3, 2.0, ["peer"], [], long=False)
    begun.add(LINE, "hairpin", {"core": 2.0})
    again = journal.resumed()
    assert again == begun
    assert again.has(0, LINE, "hairpin")
    assert not again.has(1, LINE, "hairpin")
    assert json.loads((tmp_path / "current").read_text())["rounds"] == 3


def test_long_lines_are_measured_when_asked_for() -> None:
    """And named ones alone, where names are given."""
    long = Line("memory", "memory", (), CORE, (Ask("itself", 6, most=True),), long=True)
    assert not journal.Journal(5, 2.0, [], [], long=False).wants(long)
    assert journal.Journal(5, 2.0, [], [], long=True).wants(long)
    assert not journal.Journal(5, 2.0, ["pair"], [], long=True).wants(long)


def test_names_of_lines_are_their_own() -> None:
    """The history is kept by name."""
    names = [line.name for line in lines()]
    assert len(set(names)) == len(names)
