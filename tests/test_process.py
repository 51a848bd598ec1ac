"""`hairpin serve` as a process: what signals do, and what stops it at its start. Log lines are what tests wait for."""

import json
import re
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from client import Client, TurnError
from hairpin.hooks.spool_file import SpoolFile
from serving import HAIRPIN

SETTINGS = """
[turn]
realm = "hairpin.test"
workers = 1
[[turn.interfaces]]
transport = "{transport}"
bind = "127.0.0.1:{port}"
[api]
bind = "127.0.0.1:{api}"
[auth.static_credentials]
{user} = "secret"
[limits]
drain = {drain}
"""
DEFAULTS = {"transport": "udp", "port": 0, "api": 0, "user": "alice", "drain": 0}


class Process:
    """A server that was started, and the lines it has said."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "hairpin.toml"
        self.said: list[str] = []

    def write(self, more: str = "", **changes: object) -> None:
        """The file of settings."""
        self.file.write_text(SETTINGS.format(**DEFAULTS | changes) + more)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it; end it with the test, whatever has happened."""
        command = [HAIRPIN, "serve", "--config", self.file]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        killer = threading.Timer(60, self.process.kill)  # ends a wait for a line that does not come
        killer.start()
        try:
            yield
        finally:
            killer.cancel()
            self.process.kill()
            self.process.communicate()

    def wait(self, event: str) -> dict[str, Any]:
        """Read on until the log says it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("{") and json.loads(line)["event"] == event:
                found: dict[str, Any] = json.loads(line)
                return found
        raise AssertionError(f"it never said {event!r}:\n{''.join(self.said)}")

    def serves(self) -> tuple[str, int]:
        """Wait until it does; its address."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if match := re.match(r"  turn  127\.0\.0\.1:(\d+) ", line):
                return "127.0.0.1", int(match[1])
        raise AssertionError(f"it does not serve:\n{''.join(self.said)}")

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> tuple[int, list[str]]:
        """The exit status, and what it said last."""
        rest, _ = self.process.communicate(timeout=50)
        return self.process.returncode, rest.splitlines()


@pytest.fixture
def server(tmp_path: Path) -> Process:
    """A server whose file is written and that is not started yet."""
    process = Process(tmp_path)
    process.write()
    return process


def allocated(address: tuple[str, int], user: str) -> bool:
    """Whether a user is let in."""
    with Client(address, user) as client:
        try:
            client.allocate()
        except TurnError as error:
            if error.code != 401:
                raise
            return False
        return True


def test_sighup_reads_the_users_again(server: Process) -> None:
    """Who is in the changed file is let in from then on, and who is not is not."""
    with server.running():
        address = server.serves()
        assert [allocated(address, user) for user in ("alice", "bob")] == [True, False]
        server.write(user="bob")
        server.signal(signal.SIGHUP)
        server.wait("settings were read again")
        assert [allocated(address, user) for user in ("alice", "bob")] == [False, True]


@pytest.mark.parametrize("broken", ["[limits]", "[peers]\nallow = ['everyone']", "[auth]\nstatic_auth_secret = 5"])
def test_a_broken_file_changes_nothing(server: Process, broken: str) -> None:
    """Not the part of it that is right either; one line says what is wrong."""
    with server.running():
        address = server.serves()
        server.write(broken, user="bob")
        server.signal(signal.SIGHUP)
        said = server.wait("settings were not read again")
        assert str(server.file) in said["problem"]
        assert [allocated(address, user) for user in ("alice", "bob")] == [True, False]
        server.signal(signal.SIGTERM)
        code, last = server.end()
    assert code == 0
    assert [json.loads(line)["event"] for line in last if "settings" in line] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_ends_the_sessions(server: Process, number: int) -> None:
    """Exit 0, and the log says how many there were."""
    with server.running():
        address = server.serves()
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(Client(address, "alice")).allocate()
            server.signal(number)
            assert server.wait("stopped")["sessions_ended"] == 3
            assert server.end() == (0, [])


def test_the_policy_of_the_settings(server: Process, tmp_path: Path) -> None:
    """The documentation's ledger, beside the settings file, has a line of a session that SIGTERM ended."""
    example = Path(__file__).parents[1] / "docs" / "examples" / "ledger.py"
    tmp_path.joinpath("ledger.py").write_text(example.read_text())
    server.write('[policy]\nmodule = "ledger:Ledger"')
    with server.running():
        address = server.serves()
        with Client(address, "alice") as client:
            client.allocate()
            server.signal(signal.SIGTERM)
            assert server.wait("stopped")["sessions_ended"] == 1
            assert server.end() == (0, [])
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        assert ledger.execute("SELECT user, bytes > 0, why FROM sessions").fetchall() == [("alice", 1, "shutdown")]


def test_a_second_sigterm_ends_a_drain(server: Process) -> None:
    """The first one waits for the session that lives; the second one does not."""
    server.write(drain=3600)
    with server.running():
        address = server.serves()
        with Client(address, "alice") as client:
            client.allocate()
            server.signal(signal.SIGTERM)
            assert server.wait("draining")["sessions"] == 1
            with pytest.raises(TurnError, match="508"):
                allocated(address, "alice")
            server.signal(signal.SIGTERM)
            assert server.wait("stopped")["sessions_ended"] == 1
            assert server.end() == (0, [])


@pytest.mark.parametrize(
    ("key", "transport", "setting"),
    [
        ("api.bind", "udp", "api"),
        ("turn.interfaces[0].bind", "udp", "port"),
        ("turn.interfaces[0].bind", "tcp", "port"),
    ],
)
def test_an_address_in_use(server: Process, key: str, transport: str, setting: str) -> None:
    """One line that names file, key and address, exit 2, and nothing is served."""
    kind = socket.SOCK_DGRAM if (transport, setting) == ("udp", "port") else socket.SOCK_STREAM
    with closing(socket.socket(socket.AF_INET, kind)) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        server.write(**{"transport": transport, setting: port})
        with server.running():
            code, said = server.end()
    line = f"hairpin: {server.file}: {key}: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert (code, said) == (2, [line])


@pytest.mark.parametrize(
    ("ip", "external"), [("203.0.113.77", ""), ("2001:db8::77", ""), ("203.0.113.77", "192.0.2.1")]
)
def test_relays_on_an_address_that_is_not_here(server: Process, ip: str, external: str) -> None:
    """Said at the start, not by the first client's 508."""
    server.write(f'[relay]\nbind = "{ip}"\n' + (f'external = "{external}"\n' if external else ""))
    with server.running():
        code, said = server.end()
    line = f"hairpin: {server.file}: relay.bind: cannot relay from {ip}: Cannot assign requested address"
    assert (code, said) == (2, [line])


@pytest.mark.parametrize(
    ("spool", "says"),
    [
        ("taken", "is in use by another server"),
        ("hairpin.toml", "will not do: file is not a database"),
        ("missing/spool", "cannot be opened: No such file or directory"),
    ],
)
def test_a_spool_that_will_not_do(server: Process, monkeypatch: pytest.MonkeyPatch, spool: str, says: str) -> None:
    """One line that names the setting and the file, exit 2, and nothing is served."""
    path = server.file.parent / spool
    monkeypatch.setenv("HAIRPIN_API_HOOKS", "http://127.0.0.1:9")
    monkeypatch.setenv("HAIRPIN_API_HOOKS_SPOOL", str(path))
    with closing(SpoolFile(server.file.with_name("taken"))), server.running():
        code, said = server.end()
    assert (code, said) == (2, [f"hairpin: {server.file}: api.hooks_spool: {path} {says}"])


def test_relays_on_every_address(server: Process) -> None:
    """0.0.0.0 is here, and clients are told the external one."""
    server.write('[relay]\nbind = "0.0.0.0"\nexternal = "127.0.0.1"\n')
    with server.running():
        assert allocated(server.serves(), "alice")
