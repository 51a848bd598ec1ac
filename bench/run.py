"""hairpin against coturn on this machine: each on core 0, the load on core 1, interleaved rounds, one table."""

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from servers import BUILD, SERVERS, Server, raise_descriptor_limit, run, started

SOURCE = Path(__file__).with_name("turnload.c")
TURNLOAD = BUILD / "turnload"
RESULTS = BUILD / "bench.json"
PLACES = ["-a", "127.0.0.2", "-p", "127.0.0.3:0"]  # ephemeral ports must not meet relay ports
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One line of the table: what turnload does, and which figure counts."""

    name: str
    options: tuple[str, ...]
    figure: str
    part: str = ""
    less_is_better: bool = True

    def value(self, result: Result) -> float:
        """The figure out of turnload's JSON."""
        found = result[self.figure]
        return float(found[self.part] if self.part else found)


def relaying() -> Iterator[Case]:
    """CPU a packet: to a peer, from a peer, between two clients."""
    for mode in ("peer", "down", "pair"):
        for size in (160, 1200):
            for sessions in (2 if mode == "pair" else 1, 100, 1000):
                options = ("-m", mode, "-l", str(size), "-n", str(sessions))
                yield Case(f"{mode} {size} B {sessions:4} sessions, us/packet", options, "server_cpu_us_per_packet")


def cases() -> list[Case]:
    """All lines but the memory's."""
    paced = ("-m", "echo", "-n", "100", "-r", "20000")
    return [
        *relaying(),
        Case("set-ups/s", ("-m", "alloc"), "setups_per_second", less_is_better=False),
        Case("Bindings/s", ("-m", "bind", "-n", "100"), "pps", less_is_better=False),
        Case("round trip at 20,000/s, p50 us", paced, "latency_us", "p50"),
        Case("round trip at 20,000/s, p99 us", paced, "latency_us", "p99"),
    ]


MEMORY = Case("RSS a session, KiB (1,000 to 10,000)", (), "kib")


def build_turnload() -> None:
    """Compile the load generator where it is missing or old."""
    BUILD.mkdir(exist_ok=True)
    if TURNLOAD.exists() and TURNLOAD.stat().st_mtime >= SOURCE.stat().st_mtime:
        return
    for program in ("cc", "turnserver", "taskset"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt-get install gcc libssl-dev coturn util-linux")
    run(["cc", "-O2", "-Wall", "-o", TURNLOAD, SOURCE, "-lcrypto", "-lpthread"], "apt-get install libssl-dev")


def turnload(server: Server, *options: str) -> Result:
    """One run of the load generator against that server."""
    fixed = ["-s", f"{server.host}:{server.port}", "-P", str(server.pid), "-j"]
    # A lone client that the kernel gives the port of an earlier session gets 437 and gives up: it is tried again.
    output = run(["taskset", "-c", "1", TURNLOAD, *fixed, *PLACES, *options], f"see {server.log}", tries=5)
    found: Result = json.loads(output)
    return found


def kib_a_session(name: str) -> Result:
    """The slope of resident memory between 1,000 and 10,000 held sessions, each in a fresh process."""
    resident = {}
    for sessions in (1_000, 10_000):
        with started(name) as server:
            held = turnload(server, "-m", "hold", "-n", str(sessions), "-d", "1")
            assert held["setup_failures"] == 0, held
            resident[sessions] = held["server_rss_kib"]
    return {"kib": (resident[10_000] - resident[1_000]) / 9_000, "server_rss_kib": resident}


def measure(names: list[str], rounds: int, seconds: str, wanted: str) -> dict[str, dict[str, list[Result]]]:
    """Every case on every server, round by round; a run that serves two lines is made once."""
    chosen = [case for case in cases() if wanted in case.name]
    found: dict[str, dict[str, list[Result]]] = {case.name: {name: [] for name in names} for case in (*chosen, MEMORY)}
    for number in range(1, rounds + 1):
        for name in names:
            print(f"round {number} of {rounds}: {name}", file=sys.stderr)
            made: dict[tuple[str, ...], Result] = {}
            with started(name) as server:
                for case in chosen:
                    if case.options not in made:
                        made[case.options] = turnload(server, *case.options, "-d", seconds)
                    found[case.name][name].append(made[case.options])
            if wanted in MEMORY.name:
                found[MEMORY.name][name].append(kib_a_session(name))
    return found


def line(case: Case, results: dict[str, list[Result]]) -> str:
    """A row: the medians, their ratio where more than 1 is better, and what went wrong."""
    middle = {name: median(case.value(result) for result in found) for name, found in results.items()}
    cells = [f"{middle[name]:12.2f}" if name in middle else " " * 12 for name in SERVERS]
    ratio = ""
    if len(middle) == len(SERVERS):
        pairs = zip(results["coturn"], results["hairpin"], strict=True)
        each = [ratio_of(case, case.value(coturn), case.value(hairpin)) for coturn, hairpin in pairs]
        whole = ratio_of(case, middle["coturn"], middle["hairpin"])
        ratio = f"{whole:6.2f} ({min(each):.2f}-{max(each):.2f})"
    return f"{case.name:44}{''.join(cells)}  {ratio:20}{'; '.join(troubles(results))}".rstrip()


def ratio_of(case: Case, coturn: float, hairpin: float) -> float:
    """More than 1 where hairpin does better."""
    return coturn / hairpin if case.less_is_better else hairpin / coturn


def troubles(results: dict[str, list[Result]]) -> Iterator[str]:
    """Packets lost and set-ups failed, for the reader to doubt the line."""
    for name, found in results.items():
        for figure in ("lost", "setup_failures"):
            if worst := max(result.get(figure, 0) for result in found):
                yield f"{name}: {figure} {worst}"


def machine() -> dict[str, str]:
    """Where this was measured."""
    models = [
        text.split(":")[1].strip() for text in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in text
    ]
    return {"cpu": models[0] if models else platform.machine(), "kernel": platform.release()}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", default="2", help="length of one measurement")
    parser.add_argument("--only", choices=SERVERS, help="measure this server alone")
    parser.add_argument("--cases", default="", help="only the lines whose name contains this")
    chosen = parser.parse_args()
    raise_descriptor_limit(20_000)
    build_turnload()
    names = [chosen.only] if chosen.only else list(SERVERS)
    found = measure(names, chosen.rounds, chosen.seconds, chosen.cases)
    RESULTS.write_text(json.dumps({"machine": machine(), "results": found}, indent=1))
    print(f"{machine()['cpu']}, Linux {machine()['kernel']}; medians of {chosen.rounds}, ratio: more than 1 is better")
    print(f"{'':44}{''.join(f'{name:>12}' for name in SERVERS)}   ratio (least-most)")
    for case in (*cases(), MEMORY):
        if found.get(case.name, {}).get(names[0]):
            print(line(case, found[case.name]))


if __name__ == "__main__":
    main()
