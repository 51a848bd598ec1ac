"""Paths, programs that are run to their end, and what is built before anything is measured."""

import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
BUILD = ROOT / ".build"
TURNLOAD = BUILD / "turnload"
PLOT = ROOT / "docs/performance.svg"
Command: TypeAlias = Sequence[str | Path]


class FailedError(Exception):
    """A program ended badly; `str` of it is the last line of what it said."""


def run(command: Command, environment: Mapping[str, str] | None = None, folder: Path = ROOT) -> str:
    """What a program prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise FailedError(f"{Path(command[0]).name}: {words[-1]}")
    return done.stdout


def says(command: Command) -> str:
    """All that a program prints, whatever its exit status: some fail at --help."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


def run_json(command: Command) -> dict[str, Any]:
    """The one JSON object that a program prints."""
    found: dict[str, Any] = json.loads(run(command))
    return found


def slug(name: str) -> str:
    """A name that is good for a file."""
    return re.sub(r"[^\w.]+", "-", name)


def is_old(built: Path, sources: Iterable[Path]) -> bool:
    """Whether it must be built again."""
    return not built.exists() or any(source.stat().st_mtime > built.stat().st_mtime for source in sources)


def build_turnload() -> None:
    """Compile the load generator where it is missing or old."""
    BUILD.mkdir(exist_ok=True)
    for program in ("cc", "taskset"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt-get install gcc util-linux")
    source = BENCH / "turnload.c"
    if is_old(TURNLOAD, [source]):
        try:
            run(["cc", "-O2", "-Wall", "-o", TURNLOAD, source, "-lcrypto", "-lpthread"])
        except FailedError as error:
            sys.exit(f"{error}\nturnload needs OpenSSL's headers: apt-get install libssl-dev")


def raise_descriptor_limit(needed: int) -> None:
    """18,000 sessions need as many sockets on each side."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"the limit of open files is {hard}, and {needed} are needed: ulimit -Hn {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
