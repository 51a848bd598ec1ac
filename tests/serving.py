"""The real server as a process of its own: started from a settings file, asked over its API, stopped with SIGTERM."""

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from certificates import loopback

HAIRPIN = Path(sys.executable).with_name("hairpin")
USER, PASSWORD, REALM = "user", "secret", "hairpin.test"
# Below the ephemeral ports and far from the relay's, so that nobody is given one between the look and the bind.
# Of two that share a run (pytest-xdist) each has 5,000 to itself.
PORTS = count(20000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 2 * 6000 + os.getpid() % 10 * 100)

SETTINGS = """
[turn]
realm = "{realm}"
workers = {workers}
probe = 0
mobility = true
{interfaces}
[api]
bind = "127.0.0.1:{api}"
[auth.static_credentials]
{user} = "{password}"
[limits]
allocations_per_user = 1000
source_rate = 0
session_rate = 0
user_rate = 0
[relay]
tcp = true
[peers]
allow = ["127.0.0.0/8", "::1/128"]
[compat]
rfc5766_channels = true
"""
INTERFACE = """
[[turn.interfaces]]
transport = "{transport}"
bind = "{bind}"
"""
CERTIFIED = (
    INTERFACE
    + """cert = "{files.cert}"
key = "{files.key}"
"""
)


def free_port() -> int:
    """A port that is free for UDP and TCP on loopback."""
    for port in PORTS:
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise AssertionError("unreachable: ports are counted without end")


@dataclass(frozen=True)
class Serving:
    """A server that runs, and how to reach it."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int
    secure: int
    api: int
    workers: int

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens for UDP and TCP."""
        return "127.0.0.1", self.port

    @property
    def address6(self) -> tuple[str, int]:
        """The same on IPv6."""
        return "::1", self.port

    def ask(self, method: str, path: str, **query: object) -> tuple[int, Any]:
        """A request to the REST API: the status, and the body out of its JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api, timeout=10)
        try:
            connection.request(method, f"{path}?{urlencode(query)}" if query else path)
            response = connection.getresponse()
            body = response.read()
            return response.status, json.loads(body) if body else None
        finally:
            connection.close()

    def sessions(self, **query: object) -> list[dict[str, Any]]:
        """The answer to GET /session."""
        status, found = self.ask("GET", "/session", **query)
        assert status == 200, found
        assert isinstance(found, list)
        return found

    def resident(self) -> int:
        """Bytes of resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024


@contextmanager
def serving(folder: Path, workers: int) -> Iterator[Serving]:
    """Start hairpin with so many workers, yield when /health answers, and see that SIGTERM ends it well."""
    server = start(folder, workers)
    process, log = server.process, server.log
    try:
        wait_until_healthy(server)
        yield server
        assert process.poll() is None, f"the server stopped by itself:\n{log.read_text()}"
    finally:
        stop(process)
    assert process.returncode == 0, f"exit {process.returncode}:\n{log.read_text()}"
    tells_no_secret(log.read_bytes())


def start(folder: Path, workers: int) -> Serving:
    """Start hairpin with so many workers; it may not serve yet."""
    port, secure, api = free_port(), free_port(), free_port()
    binds = [(transport, bind) for transport in ("udp", "tcp") for bind in (f"127.0.0.1:{port}", f"[::1]:{port}")]
    interfaces = "".join(INTERFACE.format(transport=transport, bind=bind) for transport, bind in binds)
    for transport, bind in product(("dtls", "tls"), (f"127.0.0.1:{secure}", f"[::1]:{secure}")):
        interfaces += CERTIFIED.format(transport=transport, bind=bind, files=loopback())
    settings, log = folder / "hairpin.toml", folder / "hairpin.log"
    made = SETTINGS.format(realm=REALM, workers=workers, interfaces=interfaces, api=api, user=USER, password=PASSWORD)
    settings.write_text(made)
    with log.open("ab") as output:
        process = subprocess.Popen([HAIRPIN, "serve", "--config", settings], stdout=output, stderr=subprocess.STDOUT)
    return Serving(process, log, port, secure, api, workers)


def tells_no_secret(log: bytes) -> None:
    """Whatever was done to the server, its log has neither the password nor the key that is made of it."""
    key = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode()).digest()
    for secret in (key, key.hex().encode(), b64encode(key), repr(key).encode()):
        assert secret not in log
    assert not re.search(rf"\b{PASSWORD}\b".encode(), log)  # the names of settings that end so are no secret


def wait_until_healthy(server: Serving, patience: float = 30) -> None:
    """Ask /health until it answers 200; an early exit or the end of patience fails with the log."""
    end = time.monotonic() + patience
    while server.process.poll() is None and time.monotonic() < end:
        try:
            if server.ask("GET", "/health")[0] == 200:
                return
        except OSError:
            time.sleep(0.02)  # nothing listens yet, and a refused connection is the only sign of that
    raise AssertionError(f"the server did not come up (exit {server.process.poll()}):\n{server.log.read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for one that does not listen."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
