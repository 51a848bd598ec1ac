"""The floor: a forwarder in C that does the least a relay must, one variant for each way of moving packets."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.lines import FLOORS, Line
from bench.servers.base import Found, Missing, Spot, Variant
from bench.tools import BENCH, BUILD, FailedError, is_old, run

PROGRAM = BUILD / "floor"
COLUMN = "floor"
URING = "floor with io_uring"


def variants() -> Iterator[Found]:
    """All, each on the lines that name it."""
    sources = sorted((BENCH / "floor").glob("*.[ch]"))
    try:
        if is_old(PROGRAM, sources):
            files = [source for source in sources if source.suffix == ".c"]
            run(["cc", "-O2", "-Wall", "-flto", "-o", PROGRAM, *files, "-luring"])
    except FailedError as error:
        yield Missing(COLUMN, f"{error}; it needs apt-get install liburing-dev")
        return
    for way in FLOORS:
        column = URING if way == "uring" else COLUMN
        yield Variant(f"floor {way}", column, "this tree", partial(_command, way), partial(_names, way))


def _names(way: str, line: Line) -> bool:
    return way in line.floors


def _command(way: str, spot: Spot) -> list[str | Path]:
    return [PROGRAM, way, spot.place.server, str(spot.port)]
