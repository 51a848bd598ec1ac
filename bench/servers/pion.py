"""pion/turn, the Go library, in a small server of our own (bench/pion)."""

import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.servers.base import Found, Missing, Spot, Variant
from bench.tools import BENCH, BUILD, FailedError, is_old, run

SOURCES = BENCH / "pion"
PROGRAM = BUILD / "pion"


def variants() -> Iterator[Found]:
    """With one socket for one core, with two for two."""
    try:
        version = _version()
        for name, sockets in (("pion", 1), ("pion, 2 sockets", 2)):
            yield Variant(name, "pion", version, partial(_command, sockets), lambda line: line.who == "all", sockets)
    except FailedError as error:
        yield Missing(
            "pion", f"{error}; it needs Go and its module proxy: apt-get install golang, or https://go.dev/dl"
        )


def _version() -> str:
    if not shutil.which("go"):
        raise FailedError("no go")
    if is_old(PROGRAM, SOURCES.iterdir()):
        run(["go", "build", "-o", PROGRAM, "."], folder=SOURCES)
    found = re.search(r"pion/turn/v4 v(\S+)", (SOURCES / "go.mod").read_text())
    return found[1] if found else "unknown"


def _command(sockets: int, spot: Spot) -> list[str | Path]:
    return [PROGRAM, "-listen", spot.address, "-sockets", str(sockets)]
