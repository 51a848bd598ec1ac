"""The packets of the load: each says whose it is, its number and when it left, so loss, order and time are seen."""

import struct

from hairpin.load.histogram import Histogram

MARKS = struct.Struct("!IIIQ")  # magic, session, sequence number, CLOCK_MONOTONIC in ns
MOST_MISSING = 8192


class Stream:
    """The sequence of one session's packets, as it arrives."""

    __slots__ = ("arrived", "duplicates", "missing", "next", "reordered", "sent")

    def __init__(self) -> None:
        self.sent = self.next = self.arrived = self.reordered = self.duplicates = 0
        self.missing: dict[int, None] = {}

    def note(self, sequence: int) -> bool:
        """Count an arrival; whether it is the first of that number."""
        if sequence == self.next:
            self.next += 1
        elif sequence > self.next:
            self._skip_to(sequence)
        elif sequence in self.missing:
            del self.missing[sequence]
            self.reordered += 1
        else:
            self.duplicates += 1
            return False
        self.arrived += 1
        return True

    def _skip_to(self, sequence: int) -> None:
        """What was passed over may still come; of very many the oldest are given up."""
        self.missing.update(dict.fromkeys(range(max(self.next, sequence - MOST_MISSING), sequence)))
        self.next = sequence + 1
        if len(self.missing) > 2 * MOST_MISSING:
            self.missing = dict.fromkeys(list(self.missing)[-MOST_MISSING:])


class Tally:
    """All streams of a run, and the time that their packets took."""

    def __init__(self, magic: int, sessions: int) -> None:
        """Packets that do not begin with `magic` are of no concern."""
        self.magic = magic
        self._first = magic.to_bytes(4, "big")
        self.streams = [Stream() for _ in range(sessions)]
        self.latency = Histogram()

    def arrived(self, data: bytes, offset: int, now: int) -> bool:
        """Count a packet that begins at `offset`; whether it is one of ours."""
        if len(data) < offset + MARKS.size:
            return False
        magic, session, sequence, left = MARKS.unpack_from(data, offset)
        if magic != self.magic or session >= len(self.streams) or sequence >= self.streams[session].sent:
            return False
        if self.streams[session].note(sequence):
            self.latency.add(max(now - left, 0))
        return True

    def is_ours(self, data: bytes) -> bool:
        """Whether a packet that a peer got is one of this run."""
        return data[:4] == self._first

    def total(self, what: str) -> int:
        """The sum of one counter over all streams."""
        return sum(getattr(stream, what) for stream in self.streams)
