"""A network of its own for a test, so that it may use any address, and files of its own under any name."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = os.geteuid() == 0


class Namespace:
    """Commands run in it see its addresses and its files, and nothing of it is left when it ends."""

    def __init__(self, pid: int) -> None:
        self._enter: list[str | Path] = ["nsenter", "--target", str(pid), "--net", "--mount"]
        self._enter += [] if ROOT else ["--user", "--preserve-credentials"]

    def run(self, *command: str | Path) -> str:
        """Run it to its end, which must be a good one: what it says."""
        ended = subprocess.run([*self._enter, *command], capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def start(self, *command: str | Path, **more: Any) -> subprocess.Popen[str]:
        """Start it; both outputs are one."""
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen([*self._enter, *command], text=True, **output, **more)

    def address(self, *ips: str) -> None:
        """Give it addresses."""
        for ip in ips:
            self.run("ip", "address", "add", ip, "dev", "lo")

    def folder(self, path: str) -> None:
        """An empty folder at a path that other programs see as it was."""
        self.run("mount", "-t", "tmpfs", "tmpfs", path)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A new one, in which only loopback is up."""
    command = ["unshare", "--net", "--mount", *([] if ROOT else ["--map-root-user"]), "sh", "-c", "echo; exec cat"]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n", "unshare has no namespace for us"
        made = Namespace(holder.pid)
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        holder.kill()
        holder.communicate()
