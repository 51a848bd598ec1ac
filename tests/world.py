"""A machine of its own for the commands of a page: its network, names and processes, and a folder to write in.

All other files are there to read only: whatever a page tells root to do, it is not done to this machine.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from certificates import loopback
from fences import matches

ROOT = Path(__file__).parents[1]
PATIENCE = 120  # seconds for one command; it is a guard, and nothing is measured by it
MARK = "\x1e"  # the shell itself says it after each command
ADDRESSES = ("10.0.0.5", "10.0.0.6", "192.0.2.5", "198.51.100.5", "203.0.113.5", "203.0.113.6", "2001:db8::5")
HOSTS = "127.0.0.1 localhost\n::1 localhost\n203.0.113.5 turn.example.org\n203.0.113.6 turn2.example.org\n"
SPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
AS_USER = ["--user", "--map-root-user"]
FILES = """mount --bind "$1" "$1" && mount --bind "$1/.hosts" /etc/hosts && mount -o remount,bind,ro / &&
cd "$1" && exec bash --norc"""
READY = """_status=0
until curl -s -o /dev/null "$(sed -n 's/^ *API *//p' {out} | head -n 1)/health"
do kill -0 $! 2>/dev/null || {{ wait $!; _status=$?; break; }}; sleep 0.02; done
(exit $_status)"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command: its exit status, and what it printed on both ways out."""

    status: int
    out: str
    err: str

    @property
    def printed(self) -> str:
        """All of it."""
        return f"{self.out}{self.err}"

    def shows(self, shown: str) -> bool:
        """Whether a reader sees this: one way out, or both, in whatever order."""
        return any(matches(shown, printed) for printed in (self.out, self.err, self.printed, self.err + self.out))


class World:
    """A shell that remembers what earlier commands did, in a folder that stands for a checkout."""

    def __init__(self, shell: subprocess.Popen[str], folder: Path) -> None:
        self.folder = folder
        self._shell = shell
        self._count = 0

    def run(self, command: str) -> Ran:
        """Run a command to its end."""
        out, err = self._outputs()
        return self._ran(f"{{ {self.here(command)}\n}} </dev/null >{out} 2>{err}", out, err)

    def background(self, command: str) -> Ran:
        """A command that goes on: it is not waited for, and nobody reads what it prints."""
        return self.run(f"{command.removesuffix('&')} >/dev/null 2>&1 &")

    def serve(self, command: str) -> Ran:
        """A server: what it announced by the time that it answers; where it ends before, how it ended."""
        out, err = self._outputs()
        return self._ran(f"{command} </dev/null >{out} 2>{err} &\n{READY.format(out=out)}", out, err)

    def _outputs(self) -> tuple[Path, Path]:
        self._count += 1
        return self.folder / f".out{self._count}", self.folder / f".err{self._count}"

    def _ran(self, script: str, out: Path, err: Path) -> Ran:
        """Have the shell read a script; it says the status when it is through, and `$?` is that status again then."""
        assert self._shell.stdin
        assert self._shell.stdout
        with suppress(BrokenPipeError):  # what it said before it ended is told below
            self._shell.stdin.write(f"{script}\n_said=$?; echo {MARK}$_said; (exit $_said)\n")
            self._shell.stdin.flush()
        impatience = threading.Timer(PATIENCE, self._shell.kill)
        impatience.start()
        said = ""
        for line in self._shell.stdout:  # its own complaints, if it has any
            if line.startswith(MARK):
                impatience.cancel()
                return Ran(int(line.removeprefix(MARK)), out.read_text(), err.read_text())
            said += line
        impatience.cancel()
        raise AssertionError(f"the shell ended, or {PATIENCE} s were over:\n{script}\n{said}")

    def write(self, name: str, text: str) -> Path:
        """A file of this world."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(text))
        return path

    def here(self, text: str) -> str:
        """The text with the places of a real machine moved into this one."""
        return text.replace("/etc/hairpin/", f"{self.folder}/etc/").replace("/var/lib/hairpin/", f"{self.folder}/var/")


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Make one in an empty folder; all that runs in it ends with it."""
    _furnish(folder)
    spaces = SPACES if os.geteuid() == 0 else [*SPACES, *AS_USER]
    shell = subprocess.Popen(
        [*spaces, "sh", "-c", FILES, "sh", folder],
        env=_environment() | {"HOME": str(folder), "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    made = World(shell, folder)
    try:
        addresses = (f"ip address add {ip} dev lo{' nodad' if ':' in ip else ''}" for ip in ADDRESSES)
        set_up = " && ".join(["ip link set lo up", *addresses])
        ran = made.run(set_up)
        assert ran.status == 0, f"no network of one's own can be made here: {ran.printed}"
        yield made
    finally:
        shell.kill()
        shell.communicate()


def _furnish(folder: Path) -> None:
    """What a machine has before hairpin comes: names, certificates, and the checkout's programs."""
    folder.joinpath(".hosts").write_text(HOSTS)
    folder.joinpath(".venv").symlink_to(sys.prefix)
    for part in ("docs", "deploy"):
        shutil.copytree(ROOT / part, folder / part)
    folder.joinpath("var").mkdir()
    etc = folder / "etc"
    etc.mkdir()
    etc.joinpath("cert.pem").symlink_to(loopback().cert)
    etc.joinpath("key.pem").symlink_to(loopback().key)


def _environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("HAIRPIN_")}
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    return clean | {"PATH": path, "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
