"""What the long lines decide: how much one core carries."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench import long
from bench.places import LOOPBACK
from bench.servers import Running, Spot
from bench.tools import Command, FailedError

SERVER = Running(Spot(LOOPBACK, 3478), 1, Path("log"))


class Core:
    """A load and a server that carries up to `begins` a second for a few seconds, and up to `holds` for a minute."""

    def __init__(self, begins: int, holds: int) -> None:
        """Nothing was asked of it yet."""
        self.begins, self.holds = begins, holds
        self.seconds = 0

    def __call__(self, words: Command) -> dict[str, Any]:
        """One run: flat out without `-r`."""
        asked = dict(pairwise(words))
        rate, seconds = int(str(asked.get("-r", "100000"))), int(str(asked["-d"]))
        self.seconds += seconds
        carried = self.begins if seconds < 60 else self.holds
        lost = 0 if "-r" not in asked else max(0, rate - carried)
        return {"pps": rate - lost, "sent": rate, "lost": lost, "sessions": 100, "setup_failures": 0}


@pytest.mark.parametrize(("begins", "holds", "capacity"), [(97_000, 86_000, 85_000), (72_000, 72_000, 70_000)])
def test_a_rate_is_carried_where_a_minute_loses_nothing(
    begins: int, holds: int, capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one packet may be lost, neither in a few seconds nor in a minute; the highest such rate counts."""
    monkeypatch.setattr(long, "run_json", Core(begins, holds))
    assert long._capacity(SERVER) == capacity


def test_no_minute_is_spent_on_a_rate_that_loses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few seconds find most rates that are too high."""
    core = Core(begins=82_000, holds=82_000)
    monkeypatch.setattr(long, "run_json", core)
    long._capacity(SERVER)
    assert core.seconds == 3 + 5 * 6 + 60


def test_a_server_that_always_loses_has_no_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the line says so."""
    monkeypatch.setattr(long, "run_json", Core(begins=100, holds=100))
    with pytest.raises(FailedError, match="without loss"):
        long._capacity(SERVER)
