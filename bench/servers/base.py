"""What every server under load has in common, and how one is run."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.lines import Line
from bench.places import LOOPBACK, Place
from bench.tools import BENCH, BUILD, ROOT, Command, FailedError, run, slug


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a server is to listen; the port above is free too."""

    place: Place
    port: int

    @property
    def address(self) -> str:
        """The clients' side."""
        return f"{self.place.server}:{self.port}"


@dataclass(frozen=True, slots=True)
class Variant:
    """A server in one configuration; of several in one column the best counts. `takes` says which lines it can do."""

    name: str
    column: str
    version: str
    command: Callable[[Spot], Command]
    takes: Callable[[Line], bool]
    threads: int = 1
    settings: str = ""

    def measures(self, line: Line) -> bool:
        """Whether it has a place in that line."""
        return self.threads in line.threads and self.takes(line)

    def configuration(self) -> str:
        """The command line as it is on loopback, without this machine's paths; and the settings of a file."""
        words = [_plain(str(word)) for word in self.command(Spot(LOOPBACK, 3478))]
        return " ".join([*words, *(["#", self.settings] if self.settings else [])])


def _plain(word: str) -> str:
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


@dataclass(frozen=True, slots=True)
class Missing:
    """A column that cannot be had here, and how to get it."""

    column: str
    how: str


Found: TypeAlias = Variant | Missing


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    spot: Spot
    pid: int
    log: Path


@contextmanager
def started(variant: Variant, place: Place, cores: str) -> Iterator[Running]:
    """That server on those cores, from its first answer to a Binding until the block ends."""
    spot = Spot(place, free_port())
    log = BUILD / f"{slug(variant.name)}.log"
    command = [*place.server_prefix, "taskset", "-c", cores, *variant.command(spot)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for_answer(spot, log)
        yield Running(spot, process.pid, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port below the relays' that is free, and so is the next."""
    for port in range(23478, 32000, 2):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
        return port
    sys.exit("no free port between 23478 and 32000")


def _wait_for_answer(spot: Spot, log: Path) -> None:
    try:
        run([*spot.place.server_prefix, sys.executable, BENCH / "ask.py", spot.place.server, str(spot.port)])
    except FailedError:
        raise FailedError(f"it did not come up, see {log}") from None
