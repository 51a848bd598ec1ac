"""Runs of the load generator against a server that is up."""

import sys

from bench.arithmetic import Sample, counts, sample_of
from bench.lines import Line
from bench.servers import Running
from bench.tools import TURNLOAD, Command, FailedError, run_json

TRIES = 3
WINDOW = 256


def command(server: Running, cores: str, *options: str) -> Command:
    """turnload beside a server on `cores`: on core 1 where the server has core 0, else on the same ones."""
    place = server.spot.place
    fixed = ["-s", server.spot.address, "-a", place.clients, "-p", place.peers, "-P", str(server.pid), "-j"]
    pinned = ["-C", "0"] if cores == "0" else []
    return [*place.load_prefix, "taskset", "-c", "1" if cores == "0" else cores, TURNLOAD, *fixed, *pinned, *options]


def run_load(server: Running, line: Line, seconds: float) -> Sample:
    """The line's load; a run that does not count is made again, twice at most, each time with half the window."""
    sample: Sample = {}
    for attempt in range(TRIES):
        window = () if "-r" in line.load or "alloc" in line.load else ("-W", str(WINDOW >> attempt))
        options = ("-d", f"{seconds:g}", *window, *line.load)
        try:
            sample = sample_of(run_json(command(server, line.cores, *options)))
        except FailedError as error:
            print(f"  {line.name}: {error}", file=sys.stderr)
            sample = {"failed": 1.0}
        if counts(sample):
            break
    return sample
