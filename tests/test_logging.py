"""Logs: what they never hold, and that two servers in one process do not share them."""

import io
import json
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from hairpin.config import Log
from hairpin.logging import CUT, LEVELS, REDACTED, Logger, escape, make_logger


def logger(level: str = "info", form: str = "json") -> tuple[Logger, io.StringIO]:
    """A logger, and what it writes to."""
    stream = io.StringIO()
    return make_logger(Log.model_validate({"level": level, "format": form}), stream), stream


def entry(**values: object) -> dict[str, Any]:
    """What a JSON log holds of these values."""
    log, stream = logger()
    log.info("event", **values)
    (line,) = stream.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_entry_has_its_level_its_time_and_its_values() -> None:
    """Numbers stay numbers."""
    found = entry(count=3, share=0.5, on=True, none=None, name="bob")
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "event",
        "level": "info",
        "count": 3,
        "share": 0.5,
        "on": True,
        "none": None,
        "name": "bob",
    }


@pytest.mark.parametrize(
    "key", ["password", "key", "token", "secret", "api_token", "Static_Auth_Secret", "private_key"]
)
def test_values_with_secret_names_are_redacted(key: str) -> None:
    """Also deep inside, and bytes."""
    assert entry(**{key: "hush"})[key] == REDACTED
    assert entry(settings={"api": [{key: b"hush"}]})["settings"] == {"api": [{key: REDACTED}]}


def test_secrets_are_redacted_under_any_name() -> None:
    """By their type."""
    assert entry(value=SecretStr("hush"), values=[SecretStr("hush")]) | {"timestamp": ""} == {
        "event": "event",
        "level": "info",
        "timestamp": "",
        "value": REDACTED,
        "values": [REDACTED],
    }


@given(st.text(max_size=400))
def test_whatever_came_off_the_wire_prints_on_one_short_line(text: str) -> None:
    """In JSON and on the console: no control characters, no colours, no newlines, at most 128 characters."""
    safe = escape(text)
    assert safe.isprintable()
    assert len(safe) <= CUT
    for form in ("json", "console"):
        log, stream = logger(form=form)
        log.bind(username=text).info("event", others=[text], more={"text": text, text: 1})
        assert stream.getvalue().endswith("\n")
        assert stream.getvalue()[:-1].isprintable()


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_values_look_different(one: str, other: str) -> None:
    """Nobody can pass for another user by escape codes spelled out."""
    if one != other and max(len(escape(one)), len(escape(other))) < CUT:
        assert escape(one) != escape(other)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("bob@example.org", "bob@example.org"),
        ("jürgen 日本", "jürgen 日本"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb", r"a\nb"),
        ("\u202egnp", r"\u202egnp"),
        ("\\n", r"\\n"),
        ("x" * CUT, "x" * CUT),
        ("x" * 10_000, "x" * (CUT - 1) + "…"),
    ],
)
def test_escaping(text: str, safe: str) -> None:
    """What prints stays as it is."""
    assert escape(text) == safe


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_says_itself_and_what_is_more_important(level: str) -> None:
    """From trace to error; it can change while the server runs, for loggers bound before too."""
    log, stream = logger("error")
    bound = log.bind(session="s")
    log.set_level(level)
    for say in (bound.trace, bound.debug, bound.info, bound.warning, bound.error):
        say("event")
    said = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert said == [name for name in LEVELS if LEVELS[name] >= LEVELS[level]]


def test_an_exception_has_its_traceback() -> None:
    """Where it happened; control characters in it are escaped."""
    log, stream = logger()
    try:
        raise ValueError("\x1b[31m")
    except ValueError:
        log.exception("event")
    found = json.loads(stream.getvalue())
    assert "test_logging.py" in found["exception"]
    assert found["exception"].endswith(r"ValueError: \x1b[31m")


def test_two_loggers_share_nothing() -> None:
    """Nor does making one configure structlog for the rest of the program."""
    one, first = logger("trace")
    other, second = logger("error")
    one.trace("event")
    other.trace("event")
    assert first.getvalue()
    assert not second.getvalue()
    assert not structlog.is_configured()
