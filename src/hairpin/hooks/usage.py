"""Usage: what a session has exchanged with its client and with peers since it began, for whoever bills.

Figures only grow, so the last record of a session says all; the one with a `reason` is the last.
"""

import json
from typing import Any

from hairpin.hooks.event import written
from hairpin.stun import Counters
from hairpin.turn.effects import Notify, SessionView


def usage(session: SessionView, counters: Counters, began: float, until: float, reason: str | None = None) -> Notify:
    """The usage of a session from when it began until then (Unix seconds); with a reason where that was its end."""
    client = (counters.received_bytes, counters.received_pkts, counters.send_bytes, counters.send_pkts)
    peers = (
        counters.peers_received_bytes,
        counters.peers_received_pkts,
        counters.peers_send_bytes,
        counters.peers_send_pkts,
    )
    figures = _figures(began, until, client, peers, counters.error_pkts)
    return Notify("usage", session, (*figures.items(), *([("reason", reason)] if reason else [])))


def crashed(last: bytes, at: float) -> tuple[bytes, bytes]:
    """The usage and the end of a session that a former server left behind, of which `last` was the last word.

    Where that says why the session ended, only the end was left to be told. `at` is now, in Unix seconds.
    """
    word: dict[str, Any] = json.loads(last)
    nothing = _figures(word["at"], word["at"], (0, 0, 0, 0), (0, 0, 0, 0), 0)
    figures = {name: word.get(name, value) for name, value in nothing.items()}
    head = {"id": word["id"], "at": round(at, 3), "session": word["session"], "username": word["username"]}
    reason = {"reason": word.get("reason", "crash")}
    return written({"kind": "usage", **head, **figures, **reason}), written({"kind": "closed", **head, **reason})


def _figures(
    began: float, until: float, client: tuple[int, ...], peers: tuple[int, ...], errors: int
) -> dict[str, object]:
    return {
        "began": round(began, 3),
        "until": round(until, 3),
        "client": _leg(*client),
        "peers": _leg(*peers),
        "error_pkts": errors,
    }


def _leg(received_bytes: int, received_pkts: int, send_bytes: int, send_pkts: int) -> dict[str, int]:
    """One side of the server: what came from there, and what went there."""
    return {
        "received_bytes": received_bytes,
        "received_pkts": received_pkts,
        "send_bytes": send_bytes,
        "send_pkts": send_pkts,
    }
