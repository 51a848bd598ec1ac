"""`hairpin top` and `hairpin kill` in a terminal of their own, against a server with clients."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from client import Client
from hairpin.testing import TurnServer

PATIENCE = 60  # seconds: a guard, nothing is measured by it


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        program = [sys.executable, "-c", "from hairpin.cli import main; main()", *arguments]
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        self.process = subprocess.Popen(program, stdin=slave, stdout=slave, stderr=slave, env=environment)

    def wait_for(self, text: str) -> None:
        """Read until it was written."""
        seen, end = b"", time.monotonic() + PATIENCE
        while text.encode() not in seen:
            assert select.select([self.master], [], [], end - time.monotonic())[0], seen
            seen += os.read(self.master, 65536)

    def press(self, keys: str) -> None:
        """As if they were typed."""
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """The exit status; the terminal is as it was before."""
        status = self.process.wait(PATIENCE)
        left = termios.tcgetattr(self.slave)
        assert left == self.before
        return status


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Commands in terminals, which are closed at the end."""
    made: list[Terminal] = []

    def run(*arguments: str) -> Terminal:
        made.append(Terminal(*arguments))
        return made[-1]

    yield run
    for one in made:
        one.process.kill()
        one.process.wait()
        os.close(one.master)
        os.close(one.slave)


@pytest.fixture
def server() -> Iterator[TurnServer]:
    """A server with a client."""
    with TurnServer() as server, client(server):
        yield server


def client(server: TurnServer) -> Client:
    """A client that has allocated."""
    host, port = server.url.removeprefix("turn:").partition("?")[0].split(":")
    made = Client((host, int(port)), server.username, server.password)
    made.allocate()
    return made


def test_top_in_a_terminal(server: TurnServer, terminal: Callable[..., Terminal]) -> None:
    """Is live, sorts by the key that is pressed, shows when the server has gone, and ends with q."""
    top = terminal("top", "--api", server.client.url, "--interval", "0.1")
    top.wait_for("sorted by rate")
    top.wait_for("1 session, 1 of ")
    with client(server):
        top.wait_for("2 sessions, 2 of ")
        top.press("u")
        top.wait_for("sorted by user")
    server.stop()
    top.wait_for("Nothing answers at")
    top.press("q")
    assert top.end() == 0


def test_top_ends_with_ctrl_c(server: TurnServer, terminal: Callable[..., Terminal]) -> None:
    """As with q."""
    top = terminal("top", "--api", server.client.url)
    top.wait_for("sorted by rate")
    top.process.send_signal(signal.SIGINT)
    assert top.end() == 0


def test_kill_asks_in_a_terminal(server: TurnServer, terminal: Callable[..., Terminal]) -> None:
    """No ends nothing, yes ends it, and --yes is not asked."""
    (session,) = server.sessions()
    refused = terminal("kill", session.id, "--api", server.client.url)
    refused.wait_for(f"from {session.address}? [y/N]")
    refused.press("n\n")
    refused.wait_for("nothing was ended")
    assert refused.end() == 1
    assert server.sessions()
    agreed = terminal("kill", session.id, "--api", server.client.url)
    agreed.wait_for("[y/N]")
    agreed.press("y\n")
    agreed.wait_for("Ended session")
    assert agreed.end() == 0
    assert server.sessions() == []
    with client(server):
        assert terminal("kill", "--user", server.username, "--yes", "--api", server.client.url).end() == 0
    assert server.sessions() == []
