"""A ledger of sessions in SQLite: who had the server for how long, and how much went through it."""

import sqlite3
from pathlib import Path

import hairpin

LEDGER = Path(__file__).with_name("ledger.db")
PREPARE = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, user TEXT, began REAL, seconds REAL, bytes INTEGER, why TEXT);
"""


class Ledger(hairpin.Policy):
    """Writes a line for each session that ended."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(LEDGER, isolation_level=None)  # each line is written at once
        self.database.executescript(PREPARE)

    def session_ended(self, session: hairpin.EndedSession) -> None:
        """A line, which takes less than a millisecond: so it may be no `async def`."""
        client, moved = session.client, session.received_bytes + session.send_bytes
        line = (client.session, client.user, session.began, session.duration, moved, session.reason)
        self.database.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?)", line)
