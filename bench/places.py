"""Where server and load meet: over loopback, or over a veth pair between two namespaces of our own."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.tools import BENCH, Command, FailedError, run

SERVER_SPACE, LOAD_SPACE = "hairpin-bench-server", "hairpin-bench-load"
SERVER_LINK, LOAD_LINK = "hpserver", "hpload"

# Once it is refused, a packet has gone to the server's side and another has come back.
PROBE = """
import contextlib, socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(2)
asking.connect((sys.argv[1], 9))
asking.send(b"")
with contextlib.suppress(ConnectionRefusedError):
    asking.recv(1)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Addresses (the clients' and peers' must not be the relays': ephemeral ports would meet), and what runs there."""

    name: str
    server: str
    clients: str
    peers: str
    network: str
    server_prefix: Command = ()
    load_prefix: Command = ()


LOOPBACK = Place("loopback", "127.0.0.1", "127.0.0.2", "127.0.0.3:0", "127.0.0.0/8")
VETH = Place(
    "veth",
    "10.77.0.1",
    "10.77.0.2",
    "10.77.0.3:0",
    "10.77.0.0/24",
    ("ip", "netns", "exec", SERVER_SPACE),
    ("ip", "netns", "exec", LOAD_SPACE),
)
PLACES = {place.name: place for place in (LOOPBACK, VETH)}


def why_no_veth() -> str:
    """Why namespaces cannot be made here; nothing where they can."""
    if os.geteuid() != 0:
        return "not root: sudo make bench"
    if not shutil.which("ip"):
        return "no ip: apt-get install iproute2"
    try:
        with veth():
            run([*VETH.load_prefix, sys.executable, "-c", PROBE, VETH.server])
            return "" if _napi_time(SERVER_LINK) else "the kernel does not receive by NAPI there"
    except FailedError as error:
        return str(error)


@contextmanager
def veth() -> Iterator[None]:
    """Both namespaces, joined; the server's receive path runs on core 0, the load's on core 1."""
    _remove()
    try:
        _join()
        for space, link, core in ((SERVER_SPACE, SERVER_LINK, 0), (LOAD_SPACE, LOAD_LINK, 1)):
            _thread_receiving(space, link, core)
        yield
    finally:
        _remove()


def _remove() -> None:
    for space in (SERVER_SPACE, LOAD_SPACE):
        if Path("/run/netns", space).exists():
            run(["ip", "netns", "delete", space])


def _join() -> None:
    for space in (SERVER_SPACE, LOAD_SPACE):
        run(["ip", "netns", "add", space])
    run(f"ip link add {LOAD_LINK} netns {LOAD_SPACE} type veth peer name {SERVER_LINK} netns {SERVER_SPACE}".split())
    for space, link, addresses in (
        (SERVER_SPACE, SERVER_LINK, (VETH.server,)),
        (LOAD_SPACE, LOAD_LINK, (VETH.clients, VETH.peers.partition(":")[0])),
    ):
        for address in addresses:
            run(["ip", "-n", space, "address", "add", f"{address}/24", "dev", link])
        for device in ("lo", link):
            run(["ip", "-n", space, "link", "set", device, "up"])


def _thread_receiving(space: str, link: str, core: int) -> None:
    """Let the link receive by NAPI, in a thread that is kept on its core: there a NIC would be served too."""
    inside = ["ip", "netns", "exec", space]
    run([*inside, sys.executable, BENCH / "offloads.py", link])
    run([*inside, "sh", "-c", f"echo 1 > /sys/class/net/{link}/threaded"])
    found = _napi_threads(link)
    if not found:
        raise FailedError(f"the kernel made no NAPI thread for {link}")
    for thread in found:
        os.sched_setaffinity(int(thread.name), {core})


def _napi_time(link: str) -> int:
    """Nanoseconds of CPU time that its threads have used."""
    return sum(int(thread.joinpath("schedstat").read_text().split()[0]) for thread in _napi_threads(link))


def _napi_threads(link: str) -> list[Path]:
    return [comm.parent for comm in Path("/proc").glob("[0-9]*/comm") if _is_napi(comm, link)]


def _is_napi(comm: Path, link: str) -> bool:
    try:
        return comm.read_text().startswith(f"napi/{link}-")
    except OSError:  # it has ended
        return False
