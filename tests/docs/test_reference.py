"""The generated pages say what the program says now."""

from manual import reference
from manual.settings import missing


def test_the_pages_are_those_that_the_program_writes() -> None:
    """After a change of a setting, a command, a route or a metric: `.venv/bin/python -m manual`."""
    for name, text in reference.pages().items():
        assert (reference.FOLDER / name).read_text() == text, f"docs/reference/{name} is stale: run python -m manual"


def test_every_setting_says_what_it_means() -> None:
    """`Field(description=...)` in the tree of settings is where its meaning is written."""
    assert missing() == []
