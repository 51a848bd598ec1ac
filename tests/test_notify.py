"""What systemd is told (sd_notify(3)): a stand-in's socket gets it."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hairpin.server.notify import Notifier
from test_process import Process


class Systemd:
    """The socket that services tell things to."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.settimeout(30)

    def told(self) -> list[str]:
        """The lines of the next message."""
        return self.socket.recv(4096).decode().split("\n")

    def until(self, line: str) -> list[str]:
        """The first lines of all messages up to that one, without what keeps the watchdog away."""
        firsts: list[str] = []
        while not firsts or firsts[-1] != line:
            firsts += [first for first in self.told()[:1] if first != "WATCHDOG=1"]
        return firsts


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """A stand-in, at the path `notify`."""
    made = Systemd(str(tmp_path / "notify"))
    with closing(made.socket):
        yield made


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: Systemd) -> Process:
    """A server that is not started yet, as systemd would start it."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    process = Process(tmp_path)
    process.write()
    return process


def test_a_life(server: Process, systemd: Systemd) -> None:
    """Ready once it serves, alive for as long as it does, reloading and ready again, stopping before it ends."""
    with server.running():
        assert systemd.told() == ["READY=1"]
        server.serves()
        assert [systemd.told() for _ in range(3)] == [["WATCHDOG=1"]] * 3
        server.signal(signal.SIGHUP)
        assert systemd.until("READY=1") == ["RELOADING=1", "READY=1"]
        server.signal(signal.SIGTERM)
        assert systemd.until("STOPPING=1") == ["STOPPING=1"]
        code, _ = server.end()
    assert code == 0


def test_a_reload_says_when(systemd: Systemd, tmp_path: Path) -> None:
    """In microseconds of CLOCK_MONOTONIC, as Type=notify-reload wants it."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, 1).reloading()
    first, second = systemd.told()
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdecimal()


def test_a_server_that_cannot_start_is_never_ready(server: Process, systemd: Systemd) -> None:
    """systemd learns of it by the exit status."""
    server.write("[nonsense]\n")
    with server.running():
        code, _ = server.end()
    systemd.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.told()
    assert code == 2


def test_an_abstract_socket() -> None:
    """Its name begins with an @."""
    name = f"@hairpin-test-{os.getpid()}"
    systemd = Systemd(name)
    with closing(systemd.socket):
        Notifier({"NOTIFY_SOCKET": name}, 1).ready()
        assert systemd.told() == ["READY=1"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0),
        ({"NOTIFY_SOCKET": "/n"}, 0),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000"}, 15),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "x"}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 0),
    ],
)
def test_the_watchdog(environ: dict[str, str], seconds: float) -> None:
    """Half of its time, where it watches this process (7)."""
    assert Notifier(environ, 7).beat_seconds == seconds


def test_nobody_listens(tmp_path: Path) -> None:
    """The service goes on."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}, 1).ready()
    Notifier({}, 1).ready()
