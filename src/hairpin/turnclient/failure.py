"""Why a session came to nothing."""

import os
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 200


class Cause(StrEnum):
    """What happened, seen from the client."""

    ANSWER = "answer"  # the server said no
    SILENCE = "silence"  # it said nothing
    UNPROVED = "unproved"  # it said something, not signed with our key
    REFUSED = "refused"  # nobody listens
    CLOSED = "closed"  # the connection ended
    NETWORK = "network"  # this machine could not send


@dataclass(frozen=True, slots=True)
class Failure:
    """At which step, why, and what the server or the system said about it."""

    step: str
    cause: Cause
    code: int = 0
    reason: str = ""

    def __str__(self) -> str:
        return " ".join(str(part) for part in (f"{self.step}:", self.code or self.cause.value, self.reason) if part)


class LinkError(Exception):
    """What carries the messages can carry no more; None for the end of a stream."""

    def __init__(self, error: OSError | None = None) -> None:
        self.cause = _cause(error)
        super().__init__(os.strerror(error.errno) if error and error.errno else "")


def _cause(error: OSError | None) -> Cause:
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED
    if error is None or isinstance(error, ConnectionResetError | BrokenPipeError):
        return Cause.CLOSED
    return Cause.NETWORK


def plain(text: str) -> str:
    """What a server says, fit for a terminal: without control characters, and no longer than a line or two."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:LONGEST]
    )
