"""`hairpin kill`: end one session, or all of a user's."""

from collections.abc import Callable
from dataclasses import dataclass

from hairpin.client import Client, Session
from hairpin.config import ConfigError
from hairpin.console.text import counted
from hairpin.logging import escape

SHOWN = 5  # ids of sessions that a word means, where it should mean one


class NothingDoneError(Exception):
    """No session is meant, or several; `str` is one line."""


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to end: one session, by its id or its client's IP:PORT or IP; or all of a user, who is refused `block` s."""

    session: str | None = None
    user: str | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        if bool(self.session) == bool(self.user):
            raise ConfigError("name a session, or --user: one of them, and not both")
        if self.block is not None and not self.user:
            raise ConfigError("goes with --user: it is users who are refused", key="--block")


def kill(client: Client, order: Order, agrees: Callable[[str], bool]) -> str:
    """Carry the order out if `agrees` says yes to a question; returns what was done, in a sentence.

    NothingDoneError where no session is meant, several are, or the answer is no; ClientError as the API has it.
    """
    return _user(client, order.user, order.block, agrees) if order.user else _one(client, order.session or "", agrees)


def _one(client: Client, word: str, agrees: Callable[[str], bool]) -> str:
    session = _meant(client, word)
    told = f"session {session.id} of {escape(session.username)} from {session.address}"
    if not agrees(f"End {told}?"):
        raise NothingDoneError("nothing was ended")
    client.delete(**session.which)
    return f"Ended {told}."


def _meant(client: Client, word: str) -> Session:
    found = list(client.sessions(address=word) if ":" in word or "." in word else client.sessions(id=word))
    if len(found) == 1:
        return found[0]
    if not found:
        raise NothingDoneError(f"no session has the id or address {escape(word)}")
    ids = ", ".join(session.id for session in found[:SHOWN])
    raise NothingDoneError(f"{len(found)} sessions match {escape(word)}; name one by its id: {ids}")


def _user(client: Client, user: str, block: int | None, agrees: Callable[[str], bool]) -> str:
    count = sum(1 for _ in client.sessions(username=user))
    refused = "" if block is None else f" and refuse new ones for {block} s"
    if not count and block is None:
        raise NothingDoneError(f"{escape(user)} has no session")
    if not agrees(f"End {counted(count, 'session')} of {escape(user)}{refused}?"):
        raise NothingDoneError("nothing was ended")
    ended = client.throw_out(user, block).deleted
    return f"Ended {counted(ended, 'session')} of {escape(user)}{refused.replace(' and refuse', '; refusing')}."
