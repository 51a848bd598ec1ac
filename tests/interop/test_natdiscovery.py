"""coturn's client of NAT behaviour discovery (RFC 5780) finds what is true of this machine: no NAT at all."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Running, discovering

ANSWERED = "RFC 5780 response 2"


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server on two addresses with two ports."""
    with discovering("udp", workers=request.param) as made:
        yield made


MAPPING = [ANSWERED, "No NAT! (Endpoint Independent Mapping)", "NAT with Endpoint Independent Mapping!"]
FILTERING = [ANSWERED, "NAT with Endpoint Independent Filtering!"]
HAIRPINNING = ["RFC 5780 response 1", "maybe a successful hairpinning"]
COLLISION = ["-c", "-A", "127.0.0.3"]


@pytest.mark.parametrize(
    ("test", "found"),
    [
        (["-m"], MAPPING),
        (["-m", "-P"], MAPPING),
        (["-f"], FILTERING),
        (["-f", "-P"], FILTERING),
        (["-t", "-T", "1"], [ANSWERED]),
        (COLLISION, [ANSWERED]),
        ([*COLLISION, "-P"], [ANSWERED]),
        (["-H"], HAIRPINNING),
        (["-H", "-P"], HAIRPINNING),
    ],
    ids=lambda value: " ".join(value) if value[0][0] == "-" else "",
)
def test_it_finds_no_nat(natdiscovery: Path, server: Running, test: list[str], found: list[str]) -> None:
    """Each of its tests is answered, from the address it asked for; no answer is refused, or missed."""
    ip, port = server.address()
    command: list[str | Path] = [natdiscovery, *test, "-L", "127.0.0.1", "-p", str(port), ip]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout
    for line in (
        *found,
        f"Other addr: : {server.address(3)[0]}:{server.address(3)[1]}",
        "No ALG: Mapped == XOR-Mapped",
    ):
        assert line in run.stdout, run.stdout
    for fault in ("timeout", "error", "not well formed", "Not received"):
        assert fault not in run.stdout, run.stdout
