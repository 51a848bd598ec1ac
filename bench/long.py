"""The long lines that are more than one run of the load; each starts its own servers."""

import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

from bench.arithmetic import Sample, counts, sample_of
from bench.load import command
from bench.places import LOOPBACK
from bench.servers import Running, Variant, started
from bench.tools import FailedError, run_json

HELD = 5_000
GLANCE, MINUTE, FIVE_MINUTES = "6", "60", "300"
LOAD = ("-m", "peer", "-n", "100")
SHARES = [share / 100 for share in range(100, 25, -5)]


def memory(variant: Variant) -> Sample:
    """Resident memory between 1,000 and 10,000 sessions with a channel each, that all relayed; each afresh."""
    resident: list[float] = []
    failures = 0.0
    for sessions in (1_000, 10_000):
        with started(variant, LOOPBACK, "0") as server:
            load = ("-m", "peer", "-n", str(sessions), "-r", "10000", "-d", "2")
            found = sample_of(run_json(command(server, "0", *load)))
            resident.append(found["rss"])
            failures += found["failures"]
    slope = (resident[1] - resident[0]) / 9_000
    return {"kib": slope, "small": resident[0], "large": resident[1], "failures": failures}


def loss(variant: Variant) -> Sample:
    """A minute at 90 % of what one core carries."""
    return _at_share(variant, 0.9, MINUTE)


def steady(variant: Variant) -> Sample:
    """Five minutes at 80 %, the resident memory sampled each second: its growth after the first minute."""
    resident: list[int] = []
    with started(variant, LOOPBACK, "0") as server:
        capacity = _capacity(server)
        with _meanwhile(lambda: resident.append(_resident(server.pid))):
            found = sample_of(run_json(command(server, "0", *LOAD, "-r", f"{0.8 * capacity:.0f}", "-d", FIVE_MINUTES)))
    minute = resident[len(resident) // 5]
    return found | {"growth": 100 * (resident[-1] - minute) / minute, "minute": minute, "end": resident[-1]}


def busy(variant: Variant) -> Sample:
    """The paced round trip on two cores, while 5,000 sessions are held, listed each second, and 500 set up a second."""
    with started(variant, LOOPBACK, "0,1") as server, ExitStack() as stack:
        stack.enter_context(_background(server, "-m", "hold", "-n", str(HELD), "-d", "120", ready=True))
        stack.enter_context(_background(server, "-m", "alloc", "-r", "500", "-d", "120"))
        listed: list[int] = []
        if variant.column.startswith("hairpin"):
            stack.enter_context(_meanwhile(lambda: listed.append(_listing(server.spot.port + 1))))
        paced = ("-m", "echo", "-n", "100", "-r", "20000", "-d", MINUTE)
        found = sample_of(run_json(command(server, "0,1", *paced)))
    return found | {"listings": len(listed), "listed": max(listed, default=0)}


PROCEDURES: Mapping[str, Callable[[Variant], Sample]] = {
    "memory": memory,
    "loss": loss,
    "steady": steady,
    "busy": busy,
}


def _at_share(variant: Variant, share: float, seconds: str) -> Sample:
    with started(variant, LOOPBACK, "0") as server:
        capacity = _capacity(server)
        found = run_json(command(server, "0", *LOAD, "-r", f"{share * capacity:.0f}", "-d", seconds))
    return sample_of(found) | {"capacity": capacity}


def _capacity(server: Running) -> float:
    """The packets a second that one core carries in an open loop: none is lost in a few seconds, nor in a minute."""
    flat = sample_of(run_json(command(server, "0", *LOAD, "-d", "3")))["rate"]
    for share in SHARES:
        for seconds in (GLANCE, MINUTE):
            found = sample_of(run_json(command(server, "0", *LOAD, "-r", f"{share * flat:.0f}", "-d", seconds)))
            if found["lost"] or not counts(found):
                break
        else:
            return found["rate"]  # what came, should the load have been too slow for more
    raise FailedError("no rate is carried without loss")


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _listing(port: int) -> int:
    """How many sessions one listing has."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/session", timeout=30) as answer:
        body: bytes = answer.read()
    return body.count(b'"interface"')


@contextmanager
def _meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do it each second until the block ends."""
    done = Event()

    def repeat() -> None:
        while not done.wait(1):
            act()

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _background(server: Running, *options: str, ready: bool = False) -> Iterator[None]:
    """Another load beside the measured one; with `ready` it is waited for until it holds its sessions."""
    process = subprocess.Popen(
        command(server, "0,1", *options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        while ready and "holding" not in process.stderr.readline():
            if process.poll() is not None:
                raise FailedError(f"turnload {options[1]} ended early")
        yield
    finally:
        process.terminate()
        process.communicate()
