"""The recipes in docs/how-to/recipes: settings are taken, and credentials made as each program makes them let in."""

import ast
import base64
import hashlib
import hmac
import re
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from certificates import loopback
from client import Client
from hairpin import Config
from running import running

RECIPES = Path(__file__).parents[2] / "docs/how-to/recipes"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = ("synapse", "nextcloud-talk", "jitsi", "livekit", "aiortc")


def blocks(name: str, language: str) -> list[str]:
    """The pieces of a recipe in that language."""
    return [text for found, text in BLOCK.findall((RECIPES / f"{name}.md").read_text()) if found == language]


def signed(secret: str, username: str) -> tuple[str, str]:
    """What all of them do with the user name (draft-uberti-behave-turn-rest-00)."""
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


def synapse() -> tuple[str, str]:
    """synapse/rest/client/voip.py: the end, a colon, the Matrix id."""
    (settings,) = map(yaml.safe_load, blocks("synapse", "yaml"))
    expiry = int((time.time() * 1000 + settings["turn_user_lifetime"]) / 1000)
    return signed(settings["turn_shared_secret"], f"{expiry}:@alice:example.org")


def nextcloud() -> tuple[str, str]:
    """spreed's Config::getTurnSettings: the end in a day, a colon, 16 random characters."""
    secret = re.search(r'--secret "([^"]+)"', blocks("nextcloud-talk", "sh")[0])
    assert secret
    return signed(secret[1], f"{int(time.time()) + 86400}:aB3dEfGh1jKlMn0p")


def jitsi() -> tuple[str, str]:
    """Prosody's mod_external_services, algorithm "turn": the end alone."""
    (lua,) = blocks("jitsi", "lua")
    secret, ttl = re.search(r'external_service_secret = "([^"]+)"', lua), re.search(r"ttl = (\d+)", lua)
    assert secret
    assert ttl
    return signed(secret[1], str(int(time.time()) + int(ttl[1])))


def livekit() -> tuple[str, str]:
    """pkg/service/roommanager.go: the end, a colon, the participant's id."""
    (settings,) = map(yaml.safe_load, blocks("livekit", "yaml"))
    server = settings["rtc"]["turn_servers"][0]
    return signed(server["secret"], f"{int(time.time()) + server['ttl']}:PA_mFpYvN3fVqKZ")


def aiortc() -> tuple[str, str]:
    """What stands in the program."""
    (program,) = blocks("aiortc", "python")
    said = {
        keyword.arg: keyword.value.value
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if isinstance(keyword.value, ast.Constant)
    }
    return str(said["username"]), str(said["credential"])


def test_there_is_a_test_for_each() -> None:
    """None is added that nobody tries."""
    assert {path.stem for path in RECIPES.glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_are_taken(name: str, tmp_path: Path) -> None:
    """As a file."""
    (text,) = blocks(name, "toml")
    (tmp_path / "hairpin.toml").write_text(text)
    config = Config.load(tmp_path / "hairpin.toml")
    assert {interface.external_ip for interface in config.turn.interfaces} == {"auto"}


@pytest.mark.parametrize(
    ("name", "make"),
    [("synapse", synapse), ("nextcloud-talk", nextcloud), ("jitsi", jitsi), ("livekit", livekit), ("aiortc", aiortc)],
)
def test_credentials_made_by_the_program_are_let_in(name: str, make: Callable[[], tuple[str, str]]) -> None:
    """By a server with the recipe's settings, but for the addresses, which are loopback's."""
    (text,) = blocks(name, "toml")
    tables = tomllib.loads(text)
    tables["api"] = {"bind": "127.0.0.1:0"}
    tables["log"] = {"level": "error"}
    for interface in tables["turn"]["interfaces"]:
        interface |= {"bind": "127.0.0.1:0", "external": "127.0.0.1:0"}
        if "cert" in interface:
            interface |= {"cert": str(loopback().cert), "key": str(loopback().key)}
    username, password = make()
    with running(Config(**tables)) as server:
        ports = [address.port for _, address in server.server.listeners]
        with Client(("127.0.0.1", ports[0]), username, password) as client:
            assert client.allocate()[0] == "127.0.0.1"
