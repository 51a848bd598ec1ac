"""Events that wait in a file, so that neither an outage of the hooks nor the end of this process loses one.

An event is committed when `add` returns. What is to be delivered next is in memory, too. Invariant: that is the oldest
of the file, without a gap, so that the order of a session is the file's.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from hairpin.hooks.event import Event
from hairpin.hooks.spool_file import Change, SpoolError, SpoolFile
from hairpin.hooks.store import VITAL, Line, Log
from hairpin.hooks.usage import crashed

WINDOW = 16_384  # events in memory
SLICE = 1024  # at least so many are read from the file at once
LIMIT = 256 << 20  # bytes of JSON in the file
ORDINARY_LIMIT = LIMIT // 4 * 3  # beyond it, only vital events are taken
PATIENCE = 7 * 86_400.0  # seconds until an event is given up that the receiver does not take
CHECKPOINT_SECONDS = 5.0

INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"
DELETE = "DELETE FROM events WHERE place = ?"
LIVES = "INSERT OR REPLACE INTO living VALUES (?, ?)"
ENDED = "DELETE FROM living WHERE session = ?"


class Spool:
    """See `Store`. When full, ordinary events are given up as they come, and in the end all are.

    While the file takes nothing, events wait in memory, as they do without one; that is counted in `unspooled`.
    """

    @classmethod
    def open(cls, path: Path, at: float, log: Log) -> Self:
        """Go on where the last server has stopped: sessions that it left end now, at `at` (Unix seconds).

        SpoolError says what is wrong with the file.
        """
        file = SpoolFile(path)
        try:
            return cls(file, at, log)
        except sqlite3.Error as error:
            file.close()
            raise SpoolError(f"cannot be written: {error}") from None

    def __init__(self, file: SpoolFile, at: float, log: Log) -> None:
        """See `open`."""
        self._file = file
        self._log = log
        self._lines: dict[str, Line] = {}
        self._places: dict[Event, int] = {}  # of those in memory; 0 for one that is not in the file
        self._delivered: list[Change] = []
        self._failing = False
        self.dropped: Counter[str] = Counter()
        self.unspooled = 0
        file.write(_ends(file.living(), at))
        self._last, self._count, self._bytes = file.size()
        self._loaded = 0

    def __len__(self) -> int:
        """How many events wait."""
        return self._count

    def add(self, event: Event) -> Line | None:
        """Commit an event; its line, where nothing of it was to be delivered before."""
        body = event.body()
        limit = LIMIT if event.kind in VITAL else ORDINARY_LIMIT
        if self._bytes + len(body) > limit:
            self.dropped[event.kind] += 1
            self._write(_last_word(event, body))
            return None
        place = self._last + 1
        insert = (INSERT, (place, event.id, event.session, event.kind, event.at, body))
        if not self._write([insert, *_last_word(event, body)]):
            return self._go_without_file(event)
        self._last, self._bytes, self._count = place, self._bytes + len(body), self._count + 1
        if self._loaded < place - 1 or len(self._places) >= WINDOW:
            return None  # `recall` finds it
        self._loaded = place
        return self._take(event, place)

    def note(self, event: Event) -> None:
        """Keep the last figures of a session that lives."""
        self._write(_last_word(event, event.body()))

    def recall(self) -> list[Line]:
        """Read on in the file, where there is room in memory."""
        room = WINDOW - len(self._places)
        if self._loaded >= self._last or room < SLICE:
            return []
        try:
            rows = self._file.read(self._loaded, room)
        except sqlite3.Error as error:
            self._tell(str(error))
            return []
        lines = [
            self._take(Event(name, session, kind, at, body), place) for place, name, session, kind, at, body in rows
        ]
        self._loaded = rows[-1][0] if rows else self._last
        return [line for line in lines if line is not None]

    def is_hopeless(self, event: Event, now: float) -> bool:
        """After a week."""
        return now - event.at > PATIENCE

    def remove(self, line: Line, event: Event) -> None:
        """Forget a delivered event, and its line with the last one."""
        place = self._places.pop(event)
        line.events.remove(event)
        if not line.events:
            del self._lines[line.session]
        self._count -= 1
        if place:
            self._bytes -= len(event.body())
            self._delivered.append((DELETE, (place,)))
            self._write([])

    def give_up(self, line: Line, event: Event) -> None:
        """Forget an event that was not delivered, and count it."""
        self.dropped[event.kind] += 1
        self.remove(line, event)

    def close(self) -> None:
        """What waits is for the next start."""
        self._file.close()

    async def tend(self) -> None:
        """Have checkpoints made, as long as it runs."""
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            await asyncio.to_thread(self._file.checkpoint)

    def _take(self, event: Event, place: int) -> Line | None:
        self._places[event] = place
        fresh = event.session not in self._lines
        line = self._lines.setdefault(event.session, Line(event.session))
        line.events.append(event)
        return line if fresh else None

    def _go_without_file(self, event: Event) -> Line | None:
        """Memory has to do, where nothing in the file is to be delivered before."""
        self.unspooled += 1
        if self._loaded < self._last or len(self._places) >= WINDOW:
            self.dropped[event.kind] += 1
            return None
        self._count += 1
        return self._take(event, 0)

    def _write(self, changes: list[Change]) -> bool:
        """Change the file, and forget in it what was delivered; whether it did."""
        if not (self._delivered or changes):
            return True
        try:
            self._file.write([*self._delivered, *changes])
        except sqlite3.Error as error:
            self._tell(str(error))
            return False
        self._delivered.clear()
        self._tell(None)
        return True

    def _tell(self, failure: str | None) -> None:
        """Log when the file begins to fail and when it works again, not each failure."""
        if failure is not None and not self._failing:
            self._log.warning("events are not spooled", file=str(self._file.path), reason=failure)
        if failure is None and self._failing:
            self._log.info("events are spooled again", without_a_file=self.unspooled)
        self._failing = failure is not None


def _last_word(event: Event, body: bytes) -> list[Change]:
    """What an event changes of what is known about living sessions."""
    if event.kind == "closed":
        return [(ENDED, (event.session,))]
    return [(LIVES, (event.session, body))] if event.kind in VITAL else []


def _ends(living: Iterable[tuple[str, bytes]], at: float) -> Iterable[Change]:
    for session, last in living:
        for kind, body in zip(("usage", "closed"), crashed(last, at), strict=True):
            yield INSERT, (None, f"{session}.crash.{kind}", session, kind, at, body)
        yield ENDED, (session,)
