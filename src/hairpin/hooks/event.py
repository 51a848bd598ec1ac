"""What happened to a session as others are told it: the same JSON object wherever it goes."""

import json

from hairpin.stun import Transport
from hairpin.turn.effects import Notify


def body(notify: Notify, at: float) -> bytes:
    """The JSON of what happened at `at` (Unix seconds)."""
    session = notify.session
    content = {
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
    return json.dumps(content, separators=(",", ":")).encode()
