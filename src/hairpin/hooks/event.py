"""What happened to a session as others are told it: the same JSON object wherever it goes."""

import json
from dataclasses import dataclass

from hairpin.stun import Transport
from hairpin.turn.effects import Notify


@dataclass(slots=True, eq=False)
class Event:
    """One thing that happened to a session at `at` (Unix seconds), and how often its delivery was tried.

    `content` is what happened, and the JSON of it once that was made.
    """

    id: str
    session: str
    kind: str
    at: float
    content: Notify | bytes
    attempts: int = 0

    def body(self) -> bytes:
        """Its JSON."""
        if not isinstance(self.content, bytes):
            self.content = body(self.content, self.at)
        return self.content


def body(notify: Notify, at: float) -> bytes:
    """The JSON of what happened at `at` (Unix seconds)."""
    session = notify.session
    content: dict[str, object] = {
        "kind": notify.kind,
        "id": session.id,
        "at": round(at, 3),
        "session": {
            "address": str(session.client),
            "interface": str(session.interface),
            "transport": Transport(session.transport).name.lower(),
        },
        "username": session.username,
        **dict(notify.data),
    }
    return written(content)


def written(content: dict[str, object]) -> bytes:
    """JSON without spaces, as all events are sent and kept."""
    return json.dumps(content, separators=(",", ":")).encode()
