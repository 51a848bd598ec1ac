"""The servers that `make conformance` starts by itself, each with what is optional turned on."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from conformance.client import Client, Credentials
from conformance.links import UdpLink
from conformance.scene import Target
from conformance.stun import Endpoint, Method

REALM = "conformance.example"
USER, OTHER = Credentials("user", "secret"), Credentials("other", "word")
BEYOND_ASCII = Credentials("jörg", "Straße der 17. Größe")
USERS = (USER, OTHER, BEYOND_ASCII)
QUOTA = 300
OAUTH_KEY = b64encode(os.urandom(32)).decode()
RSA = ("rsa:2048",)
ECDSA = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
HAIRPIN = Path(sys.executable).with_name("hairpin")
# Below the ephemeral ports and the relays': nobody is given one of these between the look and the bind.
PORTS = count(22000 + os.getpid() % 89 * 100, 2)


class StartError(Exception):
    """A server did not come up; the text says what it said."""


@dataclass
class Started:
    """A process that serves."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """SIGTERM twice, for a first one may only drain; then SIGKILL."""
        for sign in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(sign)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(3)
        self.process.wait()


@dataclass
class Place:
    """Where one server's files are, and what is started there."""

    folder: Path
    stack: ExitStack
    numbers: Iterator[int] = field(default_factory=count)

    def start(self, command: Sequence[str | Path], ready: Endpoint) -> Started:
        """Start it, and wait until it answers a Binding."""
        log = self.folder / f"{next(self.numbers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT)
        started = Started(process, log)
        self.stack.callback(started.stop)
        if not answers(ready, lambda: process.poll() is None):
            raise StartError(f"{command[0]} did not come up:\n{log.read_text(errors='replace')[-2000:]}")
        return started

    def certificate(self, *kind: str) -> tuple[Path, Path]:
        """A certificate for localhost that nobody signed, and its key, of a kind that openssl knows."""
        number = next(self.numbers)
        certificate, key = self.folder / f"certificate{number}.pem", self.folder / f"key{number}.pem"
        command = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey", *kind]
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        return certificate, key


def answers(server: Endpoint, alive: Callable[[], bool], patience: float = 30) -> bool:
    """Whether a server answers a Binding before patience ends or its process does."""
    end = time.monotonic() + patience
    while time.monotonic() < end and alive():
        client = Client(UdpLink(server), USER)
        try:
            if client.attempt(client.unsigned(Method.BINDING), 0.3) is not None:
                return True
            time.sleep(0.05)  # a refused datagram comes back at once, and is the only sign that nobody listens yet
        finally:
            client.close()
    return False


def free_ports() -> int:
    """A port that is free together with the next, for UDP and TCP, on the loopback addresses used here."""
    for port in PORTS:
        wanted = [(host, at) for host in ("127.0.0.1", "127.0.0.2") for at in (port, port + 1)]
        with ExitStack() as stack, suppress(OSError):
            for endpoint in wanted:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(endpoint)
            return port
    raise AssertionError("unreachable: ports are counted without end")


# hairpin

SETTINGS = """\
[turn]
realm = "{realm}"
{turn}
{interfaces}
[api]
bind = "127.0.0.1:{api}"
[log]
level = "warn"
[relay]
bind = ["127.0.0.1", "::1"]
ports = "{ports}"
tcp = true
[limits]
allocations_per_user = {quota}
source_rate = 0
session_rate = 0
user_rate = 0
{limits}
[peers]
allow = ["127.0.0.0/8", "::1/128"]
[compat]
{compat}
[auth.static_credentials]
{users}
[auth.oauth_keys]
{keys}
"""


def _interface(transport: str, bind: str, more: str = "") -> str:
    return f'[[turn.interfaces]]\ntransport = "{transport}"\nbind = "{bind}"\n{more}'


@contextmanager
def hairpin(folder: Path) -> Iterator[Target]:
    """hairpin from this tree: one with all, one with a single relay port, one that redirects, one that takes tokens."""
    with ExitStack() as stack:
        place = Place(folder, stack)
        port, tls = free_ports(), free_ports()
        _hairpin(
            place,
            port,
            _interfaces(place, port, tls),
            turn="discovery = true\nmobility = true",
            compat="rfc3489 = true",
        )
        cramped = _small_hairpin(place, ports="49151-49151")
        redirecting = _small_hairpin(place, turn='alternate = "127.0.0.1:9"', limits="drain = 3600", drains=True)
        tokens = _small_hairpin(place, turn=f'server_name = "{REALM}"', keys=f'north = "{OAUTH_KEY}"')
        yield Target(
            name="hairpin",
            address=("127.0.0.1", port),
            user=USER,
            other=OTHER,
            beyond_ascii=BEYOND_ASCII,
            address6=("::1", port),
            tls=("127.0.0.1", tls),
            dtls=("127.0.0.1", tls),
            cramped=cramped,
            redirecting=redirecting,
            tokens=tokens,
            quota=QUOTA,
        )


def _interfaces(place: Place, port: int, tls: int) -> str:
    """UDP and TCP on both families, a second address and port for discovery, TLS and DTLS."""
    plain = [(kind, f"{host}:{port}") for host in ("127.0.0.1", "[::1]") for kind in ("udp", "tcp")]
    others = [("udp", f"127.0.0.1:{port + 1}"), ("udp", f"127.0.0.2:{port}"), ("udp", f"127.0.0.2:{port + 1}")]
    secure = [("tls", place.certificate(*RSA)), ("dtls", place.certificate(*ECDSA))]
    shown = [_interface(kind, f"127.0.0.1:{tls}", f'cert = "{cert}"\nkey = "{key}"\n') for kind, (cert, key) in secure]
    return "".join([*(_interface(*one) for one in [*plain, *others]), *shown])


def _small_hairpin(place: Place, *, drains: bool = False, **tables: str) -> Endpoint:
    port = free_ports()
    started = _hairpin(place, port, _interface("udp", f"127.0.0.1:{port}"), **tables)
    if drains:
        held = Client(UdpLink(("127.0.0.1", port)), USER)
        place.stack.callback(held.link.close)
        held.allocate()  # a drain waits for this one
        started.process.send_signal(signal.SIGTERM)
    return "127.0.0.1", port


def _hairpin(place: Place, port: int, interfaces: str, *, ports: str = "49152-65535", **tables: str) -> Started:
    """Start one with these interfaces; `tables` has lines for [turn], [limits], [compat] and the keys of tokens."""
    users = "\n".join(f'"{one.user}" = "{one.password}"' for one in USERS)
    file = place.folder / f"{port}.toml"
    file.write_text(
        SETTINGS.format(
            realm=REALM,
            turn=tables.get("turn", ""),
            limits=tables.get("limits", ""),
            compat=tables.get("compat", ""),
            interfaces=interfaces,
            api=free_ports(),
            ports=ports,
            quota=QUOTA,
            users=users,
            keys=tables.get("keys", ""),
        )
    )
    return place.start([HAIRPIN, "serve", "--config", file], ("127.0.0.1", port))


def hairpin_version() -> str:
    """As the program says it."""
    return subprocess.run([HAIRPIN, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]


# coturn


@contextmanager
def coturn(folder: Path) -> Iterator[Target]:
    """Debian's coturn with the same users: one server with all, one with a single relay port, one that redirects."""
    with ExitStack() as stack:
        place = Place(folder, stack)
        port, tls = free_ports(), free_ports()
        certificate, key = place.certificate(*RSA)
        wide = [
            "-L",
            "127.0.0.1",
            "-L",
            "127.0.0.2",
            "-L",
            "::1",
            "-E",
            "127.0.0.1",
            "-E",
            "::1",
            "--mobility",
            "--no-multicast-peers",
        ]
        secure = ["--tls-listening-port", str(tls), "--cert", str(certificate), "--pkey", str(key), "--oauth"]
        _coturn(place, port, [*wide, *secure, "--user-quota", str(QUOTA), "--server-name", REALM])
        narrow = ["-L", "127.0.0.1", "-E", "127.0.0.1", "-E", "::1", "--no-tls", "--no-dtls"]
        cramped, redirecting = free_ports(), free_ports()
        _coturn(place, cramped, [*narrow, "--min-port", "49151", "--max-port", "49151"])
        _coturn(place, redirecting, [*narrow, "--alternate-server", "127.0.0.1:9"])
        yield Target(
            name="coturn",
            address=("127.0.0.1", port),
            user=USER,
            other=OTHER,
            beyond_ascii=BEYOND_ASCII,
            address6=("::1", port),
            tls=("127.0.0.1", tls),
            dtls=("127.0.0.1", tls),
            cramped=("127.0.0.1", cramped),
            redirecting=("127.0.0.1", redirecting),
            quota=QUOTA,
        )


def _coturn(place: Place, port: int, options: Sequence[str]) -> None:
    plain = ["-n", "-p", str(port), "-m", "1", "--no-cli", "--log-file", "stdout", "--allow-loopback-peers"]
    users = [part for one in USERS for part in ("--user", f"{one.user}:{one.password}")]
    who = ["--lt-cred-mech", "--realm", REALM, *users, "--pidfile", str(place.folder / f"{port}.pid")]
    place.start([coturn_program(), *plain, *who, *options, "-b", str(place.folder / "none.db")], ("127.0.0.1", port))


def coturn_program() -> str:
    """Where it is installed."""
    found = shutil.which("turnserver")
    if found is None:
        raise StartError("coturn is missing: apt-get install coturn")
    return found


def coturn_version() -> str:
    """As the program says it."""
    said = subprocess.run([coturn_program(), "--version"], check=False, capture_output=True, text=True).stdout
    found: list[str] = re.findall(r"\d+\.\d+\.\d+", said)
    return found[-1]
