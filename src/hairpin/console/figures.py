"""What looks at a server tell one after the other: figures, and how fast they grow. No I/O; moments are in seconds."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from hairpin.client import Info, Session, Statistics

ASKED = 200  # statistics at a look: each is a request, and a question to a worker
DROPPED = "hairpin_dropped_packets_total"
BYTES = {"in": "hairpin_received_bytes_total", "out": "hairpin_sent_bytes_total"}
PACKETS = {"in": "hairpin_received_packets_total", "out": "hairpin_sent_packets_total"}
ERRORS = "hairpin_error_packets_total"


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of all sessions, living and ended, by their names in /metrics; drops by reason."""

    at: float
    sums: Mapping[str, float] = field(default_factory=dict)
    drops: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, now: float) -> "Totals":
        """Out of Prometheus' text format."""
        sums, drops = defaultdict[str, float](float), defaultdict[str, float](float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == DROPPED:
                    drops[sample.labels["reason"]] += sample.value
                elif sample.labels.get("client") == "session":
                    sums[sample.name] += sample.value
        return cls(now, sums, drops)


@dataclass(frozen=True, slots=True)
class Row:
    """A session; `received` and `sent` in bytes a second between the last two answers about it."""

    session: Session
    statistics: Statistics
    received: float
    sent: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A server as it was at one look; `before` is the look before, of the same run of the server."""

    info: Info
    sessions: int
    rows: Sequence[Row]
    totals: Totals
    before: Totals | None
    problem: str = ""

    def rate(self, name: str) -> float:
        """How much a sum grew in a second."""
        return _growth(self.totals.sums, self.before.sums if self.before else {}, name) / self._seconds

    def drop_rate(self, reason: str) -> float:
        """How many more packets were dropped in a second."""
        return _growth(self.totals.drops, self.before.drops if self.before else {}, reason) / self._seconds

    @property
    def _seconds(self) -> float:
        return self.totals.at - self.before.at if self.before else float("inf")


class Watch:
    """Remembers the last figures of each session that lives."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: dict[str, tuple[float, Row]] = {}

    def due(self, sessions: Iterable[Session]) -> list[Session]:
        """Whose statistics to ask for now: those that were asked for longest ago, or never."""
        return heapq.nsmallest(ASKED, sessions, key=self._asked)

    def saw(self, session: Session, statistics: Statistics, now: float) -> None:
        """An answer about a session."""
        then, last = self._seen.get(session.id, (now, None))
        seconds = (now - then) or float("inf")
        received = (statistics.received_bytes - last.statistics.received_bytes) / seconds if last else 0.0
        sent = (statistics.send_bytes - last.statistics.send_bytes) / seconds if last else 0.0
        self._seen[session.id] = (now, Row(session, statistics, received, sent))

    def rows(self, sessions: Iterable[Session]) -> list[Row]:
        """What is known of these; of all others nothing is kept."""
        self._seen = {one.id: self._seen[one.id] for one in sessions if one.id in self._seen}
        return [row for _, row in self._seen.values()]

    def _asked(self, session: Session) -> float:
        seen = self._seen.get(session.id)
        return seen[0] if seen else float("-inf")


def _growth(now: Mapping[str, float], before: Mapping[str, float], name: str) -> float:
    return now.get(name, 0.0) - before.get(name, 0.0)
