"""The file of a spool: SQLite in WAL mode, for one process alone.

A commit is a write that the kernel has taken: it outlives this process, and nobody waits for the disk. A checkpoint
does wait, so that a power failure loses the last seconds and damages nothing; it is made in a thread.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TypeAlias

Change: TypeAlias = tuple[str, tuple[object, ...]]
"""A statement, and its values."""
Row: TypeAlias = tuple[int, str, str, str, float, bytes]
"""An event: place, id, session, kind, when, JSON."""

APPLICATION, VERSION = 0x48505350, 1  # "HPSP"
MOST_PAGES = 16_384  # 64 MiB in the WAL: then the thread has not kept up, and a commit makes the checkpoint
SCHEMA = (
    "CREATE TABLE events (place INTEGER PRIMARY KEY, id TEXT NOT NULL, session TEXT NOT NULL, kind TEXT NOT NULL,"
    " at REAL NOT NULL, body BLOB NOT NULL)",
    # The sessions that were told of and have not ended, with the last that is known of each.
    "CREATE TABLE living (session TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION}",
)


class SpoolError(Exception):
    """A file that will not do as a spool; `str` of it says why."""


class SpoolFile:
    """An open file. What goes wrong after that is a sqlite3.Error, and has changed nothing."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it for this user alone (mode 0600); SpoolError where it cannot be read and written."""
        self.path = path
        with ExitStack() as undone:
            undone.callback(os.close, _lock(path))
            try:
                self._connection = undone.enter_context(closing(_connect(path)))
                self._prepare()
            except sqlite3.Error as error:
                raise SpoolError(f"will not do: {error}") from None
            self._open = undone.pop_all()

    def write(self, changes: Iterable[Change]) -> None:
        """Carry out all changes, or none of them."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            for statement, values in changes:
                run(statement, values)
            run("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise

    def size(self) -> tuple[int, int, int]:
        """The last place, how many events there are, and the bytes of their JSON."""
        found = "SELECT coalesce(max(place), 0), count(*), coalesce(sum(length(body)), 0) FROM events"
        last, count, size = self._connection.execute(found).fetchone()
        return last, count, size

    def read(self, after: int, limit: int) -> list[Row]:
        """Events behind that place, in order."""
        found = "SELECT place, id, session, kind, at, body FROM events WHERE place > ? ORDER BY place LIMIT ?"
        return self._connection.execute(found, (after, limit)).fetchall()

    def living(self) -> list[tuple[str, bytes]]:
        """Sessions without an end, and the last that is known of each."""
        return self._connection.execute("SELECT session, body FROM living").fetchall()

    def checkpoint(self) -> None:
        """Move what was committed from the WAL to its place; it waits for the disk, and is for any thread."""
        with suppress(sqlite3.Error), closing(_connect(self.path)) as another:
            another.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Let another process have it."""
        self._open.close()

    def _prepare(self) -> None:
        run = self._connection.execute
        (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and run("PRAGMA application_id").fetchone() != (APPLICATION,):
            raise SpoolError("is the database of another program")
        if tables and run("PRAGMA user_version").fetchone() != (VERSION,):
            raise SpoolError("was written by another version of hairpin")
        if (damage := run("PRAGMA quick_check(1)").fetchone()) != ("ok",):
            raise SpoolError(f"is damaged: {' '.join(damage[0].split())}")
        if run("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise SpoolError("is on a file system where SQLite has no WAL")
        run("PRAGMA synchronous = NORMAL")
        run(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}")
        # The version is written each time: a file that takes nothing is to be found out now.
        self.write((statement, ()) for statement in (*(() if tables else SCHEMA), f"PRAGMA user_version = {VERSION}"))


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0, isolation_level=None)


def _lock(path: Path) -> int:
    """A descriptor that holds the file for this process; it is closed last, for SQLite's own locks go with it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpoolError(f"cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        taken = isinstance(error, BlockingIOError)
        raise SpoolError("is in use by another server" if taken else f"cannot be locked: {error.strerror}") from None
    return descriptor
