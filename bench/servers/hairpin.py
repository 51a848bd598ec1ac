"""hairpin, as this tree has it: a row for each set of settings that is published."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.places import LOOPBACK
from bench.servers.base import Spot, Variant
from bench.tools import BUILD, ROOT, FailedError, run, slug

HAIRPIN = ROOT / ".venv/bin/hairpin"

SETTINGS = """\
[turn]
realm = "example.org"
{turn}
[[turn.interfaces]]
transport = "udp"
bind = "{address}"
[relay]
ports = "32768-65535"
[api]
bind = "127.0.0.1:{api}"
[log]
level = "warn"
[auth.static_credentials]
user = "secret"
[limits]
allocations_per_user = 100000
source_rate = 0
session_rate = 0
user_rate = 0
[peers]
allow = ["{network}"]
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A variant: the settings of [turn] that make it, and the threads that move its packets."""

    name: str
    column: str
    turn: Mapping[str, str]
    threads: int


ROWS = (
    Row("hairpin", "hairpin", {"workers": "1"}, 1),
    Row("hairpin, 2 workers", "hairpin", {"workers": "2"}, 2),
)


def variants() -> Iterator[Variant]:
    """All rows."""
    version = f"{run([HAIRPIN, '--version']).split()[-1]}, commit {_commit()}"
    for row in ROWS:
        shown = "; ".join(settings(row, Spot(LOOPBACK, 3478)).splitlines())
        yield Variant(row.name, row.column, version, partial(_command, row), lambda _: True, row.threads, shown)


def settings(row: Row, spot: Spot) -> str:
    """The file; the rate limits are off and no session is logged, as in the other servers."""
    turn = "\n".join(f"{key} = {value}" for key, value in row.turn.items())
    return SETTINGS.format(turn=turn, address=spot.address, api=spot.port + 1, network=spot.place.network)


def _command(row: Row, spot: Spot) -> list[str | Path]:
    file = BUILD / f"{slug(row.name)}.toml"
    file.write_text(settings(row, spot))
    return [HAIRPIN, "serve", "--config", file]


def _commit() -> str:
    try:
        changed = "+changes" if run(["git", "status", "--porcelain", "src", "rust"]).strip() else ""
        return run(["git", "rev-parse", "--short", "HEAD"]).strip() + changed
    except (FailedError, FileNotFoundError):
        return "unknown"
