"""`hairpin sessions`: who is on a server."""

import json
from collections.abc import Iterable

import typer

from hairpin.client import Session
from hairpin.console.text import cell, console, table

TRANSPORTS = ("udp", "tcp")
HEADINGS = ("ID", "USER", "CLIENT", "VIA", "INTERFACE", "RELAY", "PEERS", "CHANNELS", "ENDS IN")


def show_sessions(sessions: Iterable[Session], *, as_json: bool) -> None:
    """Print a table, or an array of objects with the API's fields; neither has passwords."""
    if as_json:
        typer.echo(json.dumps([one.model_dump(exclude={"password"}, exclude_none=True) for one in sessions], indent=1))
    else:
        rows = table(HEADINGS, numbers=("PEERS", "CHANNELS", "ENDS IN"))
        for session in sessions:
            rows.add_row(*map(cell, _row(session)))
        console().print(rows)


def _row(session: Session) -> tuple[object, ...]:
    return (
        session.id,
        session.username,
        session.address,
        TRANSPORTS[session.transport],
        session.interface,
        " ".join(session.relays) or "-",
        len(session.peers),
        len(session.channels),
        f"{session.expires} s",
    )
