"""Structured logs on stderr: one logger a server, nothing global, no secret, and nothing off the wire unescaped."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from hairpin.config import Log

CUT = 128
LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "error": 40}
REDACTED = "[redacted]"
_SECRET_WORDS = frozenset({"password", "passwords", "key", "token", "secret", "secrets", "credential"})


class Logger(structlog.BoundLoggerBase):
    """A logger with the levels of hairpin's settings; `bind` adds values to all that it says."""

    def error(self, event: str, **values: object) -> None:
        """Something failed that an operator must mend."""
        self._say("error", event, values)

    def exception(self, event: str, **values: object) -> None:
        """An error, with the traceback of the exception that is being handled."""
        self._say("error", event, {"exc_info": True, **values})

    def warning(self, event: str, **values: object) -> None:
        """Something that an operator should know."""
        self._say("warn", event, values)

    def info(self, event: str, **values: object) -> None:
        """What the server does, seldom: starts, stops, ends of sessions."""
        self._say("info", event, values)

    def debug(self, event: str, **values: object) -> None:
        """Why a request was refused, and the like."""
        self._say("debug", event, values)

    def trace(self, event: str, **values: object) -> None:
        """Every request."""
        self._say("trace", event, values)

    def speaks(self, level: str) -> bool:
        """Whether a line of this level goes anywhere: to be asked before many are put together."""
        return LEVELS[level] >= self._logger.least  # type: ignore[no-any-return]

    def set_level(self, level: str) -> None:
        """Say less or more from now on, here and in all loggers bound from the same one."""
        self._logger.least = LEVELS[level]

    def _say(self, level: str, event: str, values: dict[str, Any]) -> None:
        if not self.speaks(level):
            return
        # A log that nobody takes must not stop the service.
        with suppress(OSError, ValueError):
            self._proxy_to_logger("msg", event, level=level, **values)


def make_logger(settings: Log, stream: TextIO | None = None) -> Logger:
    """A logger of its own for one server, on stderr."""
    stream = stream or sys.stderr
    console = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    processors: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _clean,
        structlog.dev.ConsoleRenderer(colors=stream.isatty()) if console else structlog.processors.JSONRenderer(),
    ]
    return Logger(_Sink(stream, LEVELS[settings.level]), processors, {})


class _Sink(structlog.PrintLogger):
    """Where lines go, and the least important one that does; all loggers bound from one share it."""

    def __init__(self, stream: TextIO, least: int) -> None:
        super().__init__(stream)
        self.least = least


def _clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _lines(value) if key == "exception" else _safe(key, value) for key, value in event.items()}


def _safe(key: str, value: object) -> object:
    """The value as a log may hold it: no secrets, no control characters, not long."""
    if isinstance(value, SecretStr) or not _SECRET_WORDS.isdisjoint(key.lower().split("_")):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {escape(str(inner)): _safe(str(inner), item) for inner, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes | bytearray):
        return [_safe(key, item) for item in value]
    return escape(str(value))


def escape(text: str) -> str:
    """At most 128 characters that all print; a backslash stands before what did not."""
    # Cut first: the work must not grow with what a stranger sends.
    safe = printable(text[: CUT + 1])
    return safe if len(safe) <= CUT else safe[: CUT - 1] + "…"


def printable(text: str) -> str:
    """The text in characters that all print; a backslash stands before what did not."""
    return "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in text)


def _lines(traceback: str) -> str:
    return "\n".join(printable(line) for line in traceback.split("\n"))
