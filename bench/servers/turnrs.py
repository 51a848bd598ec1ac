"""turn-rs (crates.io: turn-server), which relays from client to client and nowhere else."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.servers.base import Found, Missing, Spot, Variant
from bench.tools import BUILD, FailedError, run

ROOT = BUILD / "turn-rs"
PROGRAM = ROOT / "bin/turn-server"
INSTALL = f"cargo install turn-server --version ^3 --locked --root {ROOT}"


def variants() -> Iterator[Found]:
    """One, built at the first run."""
    try:
        yield Variant("turn-rs", "turn-rs", _version(), _command, lambda line: line.inside)
    except FailedError as error:
        yield Missing("turn-rs", f"{error}; it needs cargo and crates.io, then: {INSTALL}")


def _version() -> str:
    if not PROGRAM.exists():
        if not shutil.which("cargo"):
            raise FailedError("no cargo")
        run(INSTALL.split(), os.environ | {"CARGO_TARGET_DIR": str(ROOT / "target")})
        shutil.rmtree(ROOT / "target")
    return run([PROGRAM, "--version"]).split()[-1]


def _command(spot: Spot) -> list[str | Path]:
    """Its threads are tokio's: one for each core that it may use."""
    bound = f"udp@{spot.address}/{spot.address}"
    who = ["--turn-realm", "example.org", "--auth-static-credentials", "user=secret"]
    rest = ["--log-level", "error", "--api-bind", f"127.0.0.1:{spot.port + 1}"]
    return [PROGRAM, "--turn-interfaces", bound, *who, *rest]
