"""The command line: what it prints, and that what is wrong is one line and exit 2."""

import asyncio
import json
import os
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hairpin import server
from hairpin.auth import mint
from hairpin.cli import app
from hairpin.config import Config, ConfigError
from hairpin.stun import Address
from hairpin.version import __version__

SETTINGS = """
[[turn.interfaces]]
transport = "udp"
bind = "10.0.0.1:3478"
external = "203.0.113.5:3478"
[[turn.interfaces]]
transport = "tcp"
bind = "[2001:db8::1]:3478"
[auth]
static_auth_secret = "north"
[auth.static_credentials]
alice = "hush"
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HAIRPIN_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """hairpin.toml in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = Path("hairpin.toml")
    path.write_text(SETTINGS)
    return path


class Running:
    """What `serve` hands to whoever waits for the start."""

    api_address = Address("127.0.0.1", 3000)

    def __init__(self, config: Config) -> None:
        self.listeners = [(interface.carrier, interface.bind) for interface in config.turn.interfaces]
        self.entrances = [way for interface in config.turn.interfaces for way in interface.entrances(interface.bind)]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, Path | None]]:
    """Serve nothing, but say that the server runs; what `serve` was called with."""
    calls: list[tuple[Config, Path | None]] = []

    async def serve(config: Config, path: Path | None, on_ready: Callable[[Running], None]) -> int:
        calls.append((config, path))
        on_ready(Running(config))
        return 0

    monkeypatch.setattr(server, "serve", serve)
    return calls


def hairpin(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, arguments)


def test_version() -> None:
    """One line."""
    result = hairpin("--version")
    assert (result.exit_code, result.stdout) == (0, f"hairpin {__version__}\n")


def test_the_version_is_the_packages() -> None:
    """It stands in two places, which agree."""
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    assert tomllib.loads(pyproject.read_text())["project"]["version"] == __version__


@pytest.mark.parametrize("command", [["check"], ["serve", "--config"], ["credentials", "--user", "bob", "--config"]])
def test_a_wrong_file_is_one_line_and_exit_2(file: Path, command: list[str]) -> None:
    """On stderr, naming file and key, for every command that reads one."""
    file.write_text(SETTINGS.replace("10.0.0.1:3478", "here"))
    result = hairpin(*command, str(file))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("hairpin: hairpin.toml: turn.interfaces[0].bind: 'here' is no IP:PORT")
    assert result.stderr.count("\n") == 1


def test_check_says_what_the_file_will_do(file: Path) -> None:
    """In sentences, without secrets."""
    result = hairpin("check", str(file))
    assert result.exit_code == 0
    for sentence in (
        "hairpin.toml is fine.",
        "Listens on udp 10.0.0.1:3478, which clients see as 203.0.113.5:3478.",
        "Listens on tcp [2001:db8::1]:3478.",
        "Relays from 10.0.0.1, announced as 203.0.113.5, ports 49152 to 65535.",
        "Lets in 1 named user.",
        "Lets in credentials made from 1 shared secret.",
        "Serves the API on http://127.0.0.1:3000, to this machine only.",
    ):
        assert sentence in result.stdout
    assert "hush" not in result.stdout
    assert "north" not in result.stdout


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ('[api]\nhooks = "http://h"', "Asks http://h/password about other users."),
        ('[api]\nhooks = "http://h"', "Tells http://h/events what happens, unsigned."),
        ('[api]\nhooks = "http://h"', "Keeps events in memory until they are delivered."),
        ('[api]\nhooks = "http://h"\nhooks_spool = "/s"', "Keeps events in /s until they are delivered."),
        ("[api]\nusage_interval = 300", "Tells what each session has used about every 300 s, and at its end."),
        ('[api]\nbind = "0.0.0.0:1"\ntoken = "t"', "Serves the API on http://0.0.0.0:1, with a token."),
        ('[api]\nbind = "0.0.0.0:1"\nallow_unauthenticated = true', "TO EVERYONE"),
        ('[peers]\nallow = ["10.0.0.0/8"]', "Refuses peers in private and special networks, but for 10.0.0.0/8."),
        ('[peers]\ndeny = ["192.0.2.0/24"]', "Refuses peers in 192.0.2.0/24."),
    ],
)
def test_check_says_what_else_is_set(file: Path, more: str, sentence: str) -> None:
    """Each thing that an operator should see once more."""
    file.write_text(f"{SETTINGS}\n{more}")
    assert sentence in hairpin("check", str(file)).stdout


def test_check_says_what_the_environment_sets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For it beats the file; and that nobody is let in."""
    file.write_text(SETTINGS.partition("[auth]")[0])
    monkeypatch.setenv("HAIRPIN_TURN_REALM", "env")
    result = hairpin("check", str(file))
    assert "The environment sets turn.realm" in result.stdout
    assert "Lets in nobody" in result.stdout


def test_credentials_are_ice_servers(file: Path) -> None:
    """Good from now on for as long as was asked; the addresses are those that clients see."""
    before = int(time.time())
    result = hairpin("credentials", "--user", "bob", "--ttl", "60", "--config", str(file))
    assert result.exit_code == 0
    (entry,) = json.loads(result.stdout)["iceServers"]
    expiry = int(entry["username"].partition(":")[0])
    assert before + 60 <= expiry <= int(time.time()) + 60
    assert (entry["username"], entry["credential"]) == mint("north", "bob", 0, expiry)
    assert entry["urls"] == ["turn:203.0.113.5:3478?transport=udp", "turn:[2001:db8::1]:3478?transport=tcp"]


def test_credentials_of_the_environment_need_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the server without a file."""
    monkeypatch.setenv("HAIRPIN_AUTH_STATIC_AUTH_SECRET", "north")
    (entry,) = json.loads(hairpin("credentials", "--user", "bob").stdout)["iceServers"]
    assert entry["urls"][0] == "turn:127.0.0.1:3478?transport=udp"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"north"', "[]", "auth.static_auth_secret: is missing: credentials are made from it"),
        ("203.0.113.5:3478", "203.0.113.5:0", "turn.interfaces[0].bind: has port 0, which is known only to the server"),
    ],
)
def test_credentials_that_cannot_be_made(file: Path, old: str, new: str, line: str) -> None:
    """The line says what is missing."""
    file.write_text(SETTINGS.replace(old, new))
    result = hairpin("credentials", "--user", "bob", "--config", str(file))
    assert (result.exit_code, result.stderr) == (2, f"hairpin: hairpin.toml: {line}\n")


def test_a_first_run_says_what_to_paste(served: list[tuple[Config, Path | None]]) -> None:
    """A configuration for RTCPeerConnection with the made-up user, and where the API is."""
    result = hairpin("serve")
    assert result.exit_code == 0
    ((config, path),) = served
    assert path is None
    pasted = result.stdout.partition("new RTCPeerConnection(")[2].partition(")\n")[0]
    (entry,) = json.loads(pasted)["iceServers"]
    assert entry["urls"] == ["turn:127.0.0.1:3478?transport=udp", "turn:127.0.0.1:3478?transport=tcp"]
    assert config.auth.static_credentials[entry["username"]].get_secret_value() == entry["credential"]
    assert "API   http://127.0.0.1:3000\n" in result.stdout
    assert "Try it in a browser: http://127.0.0.1:3000/#/test\n" in result.stdout
    assert "Firefox" in result.stdout


def test_another_address_is_announced(served: list[tuple[Config, Path | None]]) -> None:
    """And Firefox takes it."""
    result = hairpin("serve", "--address", "192.0.2.1")
    assert "turn:192.0.2.1:3478?transport=udp" in result.stdout
    assert "Firefox" not in result.stdout


def test_serve_with_a_file_shows_no_password(file: Path, served: list[tuple[Config, Path | None]]) -> None:
    """Only the addresses, as clients see them."""
    result = hairpin("serve", "--config", str(file))
    assert served[0][1] == file
    assert "turn  203.0.113.5:3478 (udp)\n" in result.stdout
    assert "hush" not in result.stdout


def test_address_and_config_exclude_each_other(file: Path) -> None:
    """One of them would be ignored."""
    result = hairpin("serve", "--config", str(file), "--address", "192.0.2.1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "hairpin: --address: goes without --config; write turn.interfaces in the file\n"


def test_what_the_server_finds_wrong_is_one_line_too(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port in use, for example."""

    async def serve(config: Config, path: Path | None, on_ready: Callable[[Running], None]) -> int:
        await asyncio.sleep(0)
        raise ConfigError("10.0.0.1:3478 is in use", "turn.interfaces[0].bind", path)

    monkeypatch.setattr(server, "serve", serve)
    result = hairpin("serve", "--config", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "hairpin: hairpin.toml: turn.interfaces[0].bind: 10.0.0.1:3478 is in use\n"


def test_the_exit_code_is_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says."""

    async def serve(config: Config, path: Path | None, on_ready: Callable[[Running], None]) -> int:
        return 3

    monkeypatch.setattr(server, "serve", serve)
    assert hairpin("serve").exit_code == 3
