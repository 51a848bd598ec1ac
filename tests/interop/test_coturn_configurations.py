"""Configurations of coturn's own repository (4.17.1): imported, started at their own addresses, called through.

Each server has a network namespace; what a configuration does not say (the shell variables of an AWS machine,
the passwords in a database, the certificate's files) is there as it would be on its machine.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from certificates import ELLIPTIC, certify
from namespaces import Namespace, namespace
from serving import HAIRPIN

# scripts/install_coturn_on_aws_ec2.sh, the variables as the machine's metadata would fill them
AWS = """
listening-port=3478
tls-listening-port=5349
userdb=/usr/local/var/db/turndb
min-port=45000
max-port=65535
log-file=/var/log/turnserver/turnserver.log
verbose
fingerprint
realm=5f1d7a84db00d2fce00b31a7fc73224f
lt-cred-mech
user=username:password
external-ip=52.18.7.9/172.31.5.10
new-log-timestamp
new-log-timestamp-format "%FT%T%z"
log-binding
prometheus
"""
# docker/coturn/turnserver.conf
DOCKER = """
listening-port=3478
tls-listening-port=5349
min-port=49152
max-port=65535
fingerprint
lt-cred-mech
mysql-userdb="host=mysql dbname=coturn user=coturn password=CHANGE_ME port=3306 connect_timeout=10 read_timeout=10"
realm=example.org
cert=/etc/ssl/certs/cert.pem
pkey=/etc/ssl/private/privkey.pem
cli-ip=127.0.0.1
cli-port=5766
cli-password=CHANGE_ME
"""
# examples/run_tests_conf.sh
TESTS = """
use-auth-secret
static-auth-secret=secret
realm=north.gov
allow-loopback-peers
sock-buf-size=1048576
dtls
cert=../examples/ca/turn_server_cert.pem
pkey=../examples/ca/turn_server_pkey.pem
log-file=stdout
udp-recvmmsg
"""
HOOK = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Passwords(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if "username=alice" in self.path else 404)
        self.end_headers()
        self.wfile.write(b"wonderland")
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()
server = HTTPServer(("127.0.0.1", 8080), Passwords)
print("listening", flush=True)
server.serve_forever()
"""
MESSAGES = 20
TRANSPORTS = {"udp": [], "tcp": ["-t"], "tls": ["-t", "-S"], "dtls": ["-S"]}


@pytest.fixture
def place() -> Iterator[Namespace]:
    """A network and files for one test."""
    with namespace() as made:
        yield made


def imported(folder: Path, text: str, report: dict[str, int]) -> Path:
    """The settings that `hairpin import` makes of it, which `hairpin check` takes; the report counts these verdicts."""
    (folder / "turnserver.conf").write_text(text)
    made = subprocess.run([HAIRPIN, "import", folder / "turnserver.conf"], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    verdicts = re.findall(r":\d+: [\w-]+: (mapped|not needed|not supported|unknown)", made.stderr)
    assert {verdict: verdicts.count(verdict) for verdict in verdicts} == report
    settings = folder / "hairpin.toml"
    settings.write_text(made.stdout)
    return settings


@contextmanager
def started(place: Namespace, *command: str | Path, until: str, **more: object) -> Iterator[list[str]]:
    """Run a program until the block ends; it has said `until` by then. What it has said up to that line."""
    process = place.start(*command, **more)
    try:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if until in line:
                break
        assert until in said[-1], "".join(said)
        yield said
    finally:
        process.kill()
        process.communicate()


@contextmanager
def served(place: Namespace, settings: Path) -> Iterator[list[dict[str, object]]]:
    """Check the settings, and serve them: what the log says at the start."""
    place.run(HAIRPIN, "check", settings)
    with started(place, HAIRPIN, "serve", "--config", settings, until='"serving"') as said:
        yield [json.loads(line) for line in said if line.startswith("{")]


def call(place: Namespace, uclient: Path, server: str, *options: str) -> None:
    """Clients of coturn's send each other messages through relays, by Send and Data indications: none is lost."""
    fixed = ["-s", "-c", "-n", str(MESSAGES), "-z", "20"]
    output = place.run(uclient, *fixed, *options, server)
    ((sent, received),) = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$", output, re.MULTILINE)[-1:]
    assert int(sent) == int(received) >= MESSAGES, output
    assert "Total lost packets 0 (0.000000%)" in output, output


def test_the_aws_machine(place: Namespace, uclient: Path, tmp_path: Path) -> None:
    """Bound to the private address, announced by the public one: two clients call each other over UDP and TCP."""
    settings = imported(tmp_path, AWS, {"mapped": 7, "not needed": 7, "not supported": 2})
    place.address("172.31.5.10")
    with served(place, settings):
        for options in TRANSPORTS["udp"], TRANSPORTS["tcp"]:
            call(place, uclient, "172.31.5.10", "-y", "-u", "username", "-w", "password", *options)


def test_the_docker_image(place: Namespace, uclient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users of its database come over hooks, as the report says; the public address is found; TLS at its own files."""
    settings = imported(tmp_path, DOCKER, {"mapped": 7, "not needed": 5, "not supported": 1})
    files = certify("docker", "DNS:turn.example.org", kind=ELLIPTIC)
    for folder, file, name in (("certs", files.cert, "cert.pem"), ("private", files.key, "privkey.pem")):
        place.folder(f"/etc/ssl/{folder}")
        place.run("cp", file, f"/etc/ssl/{folder}/{name}")
    place.address("52.18.7.9")
    monkeypatch.setenv("HAIRPIN_API_HOOKS", "http://127.0.0.1:8080")
    with ExitStack() as stack:
        stack.enter_context(started(place, sys.executable, "-c", HOOK, until="listening"))
        said = stack.enter_context(served(place, settings))
        told = [line for line in said if line["event"] == "clients are told"]
        assert {(line["bind"], line["external"]) for line in told} == {
            ("0.0.0.0:3478", "52.18.7.9:3478"),
            ("0.0.0.0:5349", "52.18.7.9:5349"),
        }
        assert {line["found_by"] for line in told} == {"an address of this machine"}
        for transport in ("udp", "tcp", "tls"):
            port = ["-p", "5349"] if transport == "tls" else []
            call(place, uclient, "52.18.7.9", "-y", "-u", "alice", "-w", "wonderland", *port, *TRANSPORTS[transport])


def test_coturns_own_test(place: Namespace, uclient: Path, echo_peer_program: Path, tmp_path: Path) -> None:
    """A shared secret, a peer on loopback, and all four transports, as coturn tries itself."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "examples/ca").mkdir(parents=True)
    files = certify("coturn", "DNS:north.gov", kind=ELLIPTIC)
    (tmp_path / "examples/ca/turn_server_cert.pem").write_bytes(files.cert.read_bytes())
    (tmp_path / "examples/ca/turn_server_pkey.pem").write_bytes(files.key.read_bytes())
    settings = imported(tmp_path / "bin", TESTS, {"mapped": 6, "not needed": 4})
    place.address("52.18.7.9")
    peer = place.start(echo_peer_program, "-L", "127.0.0.1", "-p", "3480", "-v")
    try:
        with served(place, settings):
            for transport, options in TRANSPORTS.items():
                port = ["-p", "5349"] if transport in ("tls", "dtls") else []
                call(
                    place, uclient, "127.0.0.1", "-u", "ninefingers", "-W", "secret", "-e", "127.0.0.1", *port, *options
                )
    finally:
        peer.kill()
        peer.communicate()
