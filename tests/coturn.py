"""Debian's coturn on loopback."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client import BINDING, build
from conftest import tool
from serving import PASSWORD, USER, free_port


@contextmanager
def coturn(folder: Path, *options: str) -> Iterator[int]:
    """Its port; peers on loopback are refused unless an option says otherwise."""
    port = free_port()
    places = ["-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port)]
    plain = ["-n", "-m", "1", "--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout"]
    files = ["--pidfile", str(folder / "pid"), "--userdb", str(folder / "db")]
    who = ["--lt-cred-mech", "--user", f"{USER}:{PASSWORD}", "--realm", "example.org"]
    command = [tool("turnserver", "coturn"), *plain, *places, *files, *who, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_binding(port)
        yield port
    finally:
        process.kill()
        process.wait()


def await_binding(port: int) -> None:
    """Ask until there is an answer."""
    waiting = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", port))
        probe.settimeout(0.1)
        for _ in range(200):
            try:
                probe.send(build(BINDING, b"are you up? ", []))
                probe.recv(1500)
            except OSError:
                waiting.wait(0.05)  # not bound yet, and silence or a refusal is the only sign of that
                continue
            return
    raise AssertionError("turnserver does not answer")
