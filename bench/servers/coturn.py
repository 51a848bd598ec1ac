"""coturn: Debian's, and with COTURN=/path/to/turnserver another build; with one relay thread and with its default."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.lines import Line
from bench.servers.base import Found, Missing, Spot, Variant
from bench.tools import BUILD, says

REFERENCE = "COTURN"
SHARED_PORT = ("-m", "1", "--multiplex-peer", "--udp-gso", "--multiplex-peer-port", "3480")


def variants() -> Iterator[Found]:
    """Debian's columns, then those of the other build."""
    if debian := shutil.which("turnserver"):
        yield from _build(Path(debian))
    else:
        yield Missing("coturn", "apt-get install coturn")
    if other := os.environ.get(REFERENCE):
        yield from _build(Path(other))


def _build(program: Path) -> Iterator[Found]:
    if not os.access(program, os.X_OK):
        yield Missing(f"coturn at {program}", f"{REFERENCE} must name a turnserver that can be run")
        return
    version = _version(program)
    column = f"coturn {version}"
    for name, options, threads in ((column, ("-m", "1"), 1), (f"{column}, default threads", (), 2)):
        yield Variant(name, column, version, partial(_command, program, options), _takes, threads)
    if "--multiplex-peer" in says([program, "--help"]):
        shared = f"{column} shared port"
        yield Variant(shared, shared, version, partial(_command, program, SHARED_PORT), lambda line: line.shared_port)


def _takes(line: Line) -> bool:
    return line.who != "hairpin"


def _version(program: Path) -> str:
    found = re.findall(r"\d+\.\d+\.\d+", says([program, "--version"]))
    return found[-1] if found else "unknown"


def _command(program: Path, options: Sequence[str], spot: Spot) -> list[str | Path]:
    """No file, no session logged; `-m` is the number of relay threads, one for each core where it is not given."""
    ip = spot.place.server
    where = ["-L", ip, "-E", ip, "-p", str(spot.port), "--min-port", "32768", "--max-port", "65535"]
    plain = ["-n", *options, "--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout", "--allow-loopback-peers"]
    who = ["--lt-cred-mech", "--user", "user:secret", "--realm", "example.org"]
    return [program, *plain, *where, *who, "--pidfile", BUILD / "coturn.pid"]
