"""The two servers under load, alike in all that can be chosen: core 0, one worker, loopback, one user, no limits."""

import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
HAIRPIN = ROOT / ".venv/bin/hairpin"
HOST = "127.0.0.1"
BINDING = struct.pack("!HHI", 1, 0, 0x2112A442) + b"are you up? "

SETTINGS = """
[turn]
realm = "example.org"
workers = 1
[[turn.interfaces]]
transport = "udp"
bind = "{host}:{port}"
[api]
bind = "{host}:{api}"
[log]
level = "warn"
[auth.static_credentials]
user = "secret"
[limits]
allocations_per_user = 100000
source_rate = 0
session_rate = 0
user_rate = 0
[peers]
allow = ["127.0.0.0/8"]
"""


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    host: str
    port: int
    pid: int
    log: Path


def coturn(port: int) -> Sequence[str | Path]:
    """Debian's coturn with one relay thread, which logs no session."""
    places = ["-L", HOST, "-E", HOST, "-p", str(port), "--allow-loopback-peers", "--pidfile", str(BUILD / "coturn.pid")]
    plain = ["-n", "-m", "1", "--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout"]
    return ["turnserver", *plain, *places, "--lt-cred-mech", "--user", "user:secret", "--realm", "example.org"]


def hairpin(port: int) -> Sequence[str | Path]:
    """hairpin with one worker, which logs no session."""
    settings = BUILD / "bench.toml"
    settings.write_text(SETTINGS.format(host=HOST, port=port, api=port + 1))
    return [HAIRPIN, "serve", "--config", settings]


SERVERS: dict[str, Callable[[int], Sequence[str | Path]]] = {"coturn": coturn, "hairpin": hairpin}


@contextmanager
def started(name: str) -> Iterator[Server]:
    """That server on core 0, from its first answer to a Binding until the block ends."""
    port, log = free_port(), BUILD / f"{name}.log"
    with log.open("wb") as output:
        command = ["taskset", "-c", "0", *SERVERS[name](port)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for_answer(process, port, log)
        yield Server(HOST, port, process.pid, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port below the ephemeral ones that is free, and so is the next."""
    for port in range(23478, 32000, 2):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
                udp.bind((HOST, port))
                tcp.bind((HOST, port + 1))
        except OSError:
            continue
        return port
    sys.exit("no free port between 23478 and 32000")


def wait_for_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Ask for a Binding until it is answered, 10 s at most."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((HOST, port))
        asking.settimeout(0.1)
        for _ in range(100):
            if process.poll() is not None:
                break
            try:
                asking.send(BINDING)
                asking.recv(1500)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                time.sleep(0.1)  # not bound yet
                continue
            return
    sys.exit(f"the server did not come up: see {log}")


def run(command: Sequence[str | Path], hint: str, tries: int = 1) -> str:
    """What a program prints; its failure, after so many tries, ends the benchmark with its own words and a hint."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and tries > 1:
        print(f"again: {done.stderr.strip()}", file=sys.stderr)
        return run(command, hint, tries - 1)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()}\n{hint}")
    return done.stdout


def raise_descriptor_limit(needed: int) -> None:
    """10,000 sessions need as many sockets on each side."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"the limit of open files is {hard}, and {needed} are needed: ulimit -Hn {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
