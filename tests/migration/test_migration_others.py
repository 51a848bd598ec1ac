"""eturnal's YAML and turn-rs' TOML; how a file's kind is seen; and the TOML that is written."""

import builtins
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hairpin.cli import app
from hairpin.config import Config
from hairpin.migration import Kind
from hairpin.migration.imported import recognise
from hairpin.migration.toml import write

from .conftest import Import

ETURNAL = """
eturnal:
  secret: "long-and-cryptic"
  listen:
    - {ip: "::", port: 3478, transport: udp}
    - ip: "10.0.0.5"
      transport: auto
  tls_crt_file: crt.pem
  relay_ipv4_addr: "203.0.113.4"
  relay_min_port: 50000
  blacklist_peers:
    - recommended
    - "8.8.8.0/30"
  whitelist_peers: "8.8.8.1"
  credentials:
    alice: l0vesBob
    "b.ob[0]": l0vesAlice
  max_allocations: 5
  log_level: warning
  modules:
    mod_log_stun: {}
    mod_stats_influx:
      host: localhost
"""
TURN_RS = """
[server]
realm = "localhost"
port-range = "50000..50099"
max-threads = 3
[[server.interfaces]]
transport = "udp"
listen = "10.0.0.5:3478"
external = "203.0.113.5:3478"
idle-timeout = 20
[[server.interfaces]]
transport = "tcp"
listen = "10.0.0.5:5349"
external = "10.0.0.5:5349"
[server.interfaces.ssl]
private-key = "/k.pem"
certificate-chain = "/c.pem"
[rpc]
listen = "0.0.0.0:3000"
[hooks]
endpoint = "http://127.0.0.1:9000"
[log]
level = "info"
[auth]
static-auth-secret = "north"
enable-hooks-auth = true
[auth.static-credentials]
user1 = "test"
"""
OLD_TURN_RS = """
[turn]
realm = "localhost"
[[turn.interfaces]]
transport = "udp"
bind = "127.0.0.1:3478"
external = "127.0.0.1:3478"
[api]
bind = "127.0.0.1:3000"
hooks = "http://127.0.0.1:8080"
[auth.static_credentials]
"""


def test_eturnal(imported: Import, tmp_path: Path) -> None:
    """:: is every IPv4 address, auto is TLS and TCP, a certificate may hold its key."""
    settings, _ = imported(ETURNAL, "eturnal.yml")
    file = f"{tmp_path}/crt.pem"
    assert settings["turn"]["interfaces"] == [
        {"transport": "udp", "bind": "0.0.0.0:3478", "external": "203.0.113.4:3478"},
        {
            "transport": "tls",
            "bind": "10.0.0.5:3478",
            "external": "203.0.113.4:3478",
            "cert": file,
            "key": file,
            "plain_tcp": True,
        },
    ]
    assert settings["auth"] == {
        "static_auth_secret": "long-and-cryptic",
        "static_credentials": {"alice": "l0vesBob", "b.ob[0]": "l0vesAlice"},
    }
    assert settings["relay"] == {"ports": "50000-65535"}
    assert settings["peers"] == {"allow": ["8.8.8.1"], "deny": ["8.8.8.0", "8.8.8.2/31"]}
    assert (settings["limits"], settings["log"]) == ({"allocations_per_user": 5}, {"level": "warn"})


def test_eturnals_keys_each_have_a_verdict(imported: Import) -> None:
    """With the line; the items of a list each, and what stands beside `eturnal`, too."""
    _, report = imported(f"{ETURNAL}kernel:\n  inet_default: 1\n", "eturnal.yml")
    assert "12: blacklist_peers: not needed: such peers are refused unless peers.allow names them" in report
    assert (
        "21: modules.mod_log_stun: not supported: answers to strangers are counted (GET /metrics), not logged" in report
    )
    assert "23: modules.mod_stats_influx.host: not supported: have Telegraf read GET /metrics of the API" in report
    assert any(line.startswith("25: kernel.inet_default: unknown") for line in report)
    assert report[-2] == " 15 mapped, 1 not needed, 2 not supported, 1 unknown."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("eturnal:\n  listen: [{ip: x}]", "eturnal.yml:2: listen.ip: 'x' is no IP address"),
        ("eturnal:\n  relay_min_port: true", "eturnal.yml:2: relay_min_port: True is no whole number"),
        ("eturnal:\n  a: [", "eturnal.yml:2: is no YAML: "),
        ("eturnal:\n  a: &a [*a]\n", "eturnal.yml: is no YAML: RecursionError"),
        (f"eturnal: {'[' * 5000}", "eturnal.yml: is no YAML: RecursionError"),
        ("eturnal:\n  secret: !!python/name:os.system ''", "eturnal.yml:2: is no YAML: could not determine"),
        ("eturnal:\n  relay_max_port: 2000\n  relay_min_port: 3000", "eturnal.yml:2: relay_max_port: is lower than"),
        ("eturnal:\n  a: [" + "1," * 10001 + "]", "eturnal.yml: has more than 10000 keys"),
    ],
)
def test_a_wrong_yaml_is_one_line(wrong: Callable[..., str], text: str, line: str) -> None:
    """Whatever it is made of."""
    assert wrong(text, "eturnal.yml", Kind.ETURNAL).startswith(line)


def test_yaml_without_pyyaml(wrong: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says what to install."""
    real = builtins.__import__

    def no_yaml(name: str, *more: Any) -> Any:
        if name == "yaml":
            raise ImportError
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", no_yaml)
    assert wrong(ETURNAL, "eturnal.yml") == 'eturnal.yml: is YAML, and PyYAML reads it: pip install "hairpin[yaml]"'


def test_turn_rs(imported: Import) -> None:
    """Interfaces with a certificate are tls; what of it is gRPC is not supported."""
    settings, report = imported(TURN_RS, "turn-server.toml")
    assert settings["turn"] == {
        "realm": "localhost",
        "workers": 3,
        "interfaces": [
            {"transport": "udp", "bind": "10.0.0.5:3478", "external": "203.0.113.5:3478"},
            {"transport": "tls", "bind": "10.0.0.5:5349", "cert": "/c.pem", "key": "/k.pem"},
        ],
    }
    assert settings["relay"] == {"ports": "50000-50099"}
    assert settings["auth"] == {"static_auth_secret": "north", "static_credentials": {"user1": "test"}}
    assert "api" not in settings
    beyond = "not supported: beyond loopback the API needs a token: set api.token, and api.bind with it"
    assert f"19: rpc.listen: {beyond}" in report
    assert "21: hooks.endpoint: not supported: the hooks are gRPC there; hairpin's are HTTP: write api.hooks" in report
    assert "28: auth.static-credentials.user1: mapped to auth.static_credentials" in report


def test_turn_rs_before_version_4(imported: Import) -> None:
    """Has hairpin's own keys, HTTP hooks among them."""
    settings, report = imported(OLD_TURN_RS, "turn-server.toml")
    assert settings["api"] == {"bind": "127.0.0.1:3000", "hooks": "http://127.0.0.1:8080"}
    assert settings["turn"]["interfaces"] == [{"transport": "udp", "bind": "127.0.0.1:3478"}]
    assert "11: auth.static_credentials: not needed: it is empty" in report


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\nrealm = ", "turn-server.toml:2: is no TOML: Invalid value (at end of document)"),
        ("[server]\nport-range = 'x'", "turn-server.toml:2: server.port-range: 'x' is no range, such as 49152..65535"),
        ("[[server.interfaces]]\nlisten = '1.2.3.4:1'", "turn-server.toml:2: server.interfaces.listen: an interface"),
        ("[[server.interfaces]]\ntransport = 'udp'", "turn-server.toml:2: server.interfaces.transport: an interface"),
        ("[log]\nlevel = 3", "turn-server.toml:2: log.level: 3 is none of"),
    ],
)
def test_a_wrong_toml_is_one_line(wrong: Callable[..., str], text: str, line: str) -> None:
    """That names what is wrong, and where."""
    assert wrong(text, "turn-server.toml", Kind.TURN_RS).startswith(line)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (ETURNAL, Kind.ETURNAL),
        (TURN_RS, Kind.TURN_RS),
        (OLD_TURN_RS, Kind.TURN_RS),
        ("realm=a", Kind.COTURN),
        ("", Kind.COTURN),
    ],
)
def test_the_kind_is_seen(text: str, kind: Kind) -> None:
    """By what stands in the file, whatever its name."""
    assert recognise(text) is kind


@pytest.mark.parametrize(("text", "name"), [(ETURNAL, "a.yml"), (TURN_RS, "b.toml"), ("user=a:b", "c.conf")])
def test_the_command_prints_what_check_takes(tmp_path: Path, text: str, name: str) -> None:
    """Settings on stdout, the report on stderr, exit 0; and Config.load reads the settings."""
    (tmp_path / name).write_text(text)
    result = CliRunner().invoke(app, ["import", str(tmp_path / name)])
    assert (result.exit_code, result.stderr.count(" mapped, ")) == (0, 1)
    (tmp_path / "hairpin.toml").write_text(result.stdout)
    assert Config.load(tmp_path / "hairpin.toml").turn.interfaces
    assert result.stdout.startswith(f"# Made of {name} by `hairpin import`.\n")


def test_the_command_takes_a_kind(tmp_path: Path) -> None:
    """What is no YAML of eturnal's is one line, and exit 2."""
    (tmp_path / "x").write_text("[[[")
    result = CliRunner().invoke(app, ["import", "--from", "turn-rs", str(tmp_path / "x")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"hairpin: {tmp_path}/x:1: is no TOML: ")


VALUES = st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.lists(st.text()))
TABLE = st.dictionaries(st.text(), VALUES)


SECTION = TABLE | st.fixed_dictionaries({"users": TABLE, "list": st.lists(TABLE, min_size=1)})


@given(st.dictionaries(st.sampled_from(["turn", "auth"]), SECTION))
def test_what_is_written_is_read_again(tables: dict[str, dict[str, Any]]) -> None:
    """Whatever is in the strings and the keys; tables that are empty are not written."""

    def full(value: Any) -> Any:
        return {key: full(below) for key, below in value.items()} if isinstance(value, dict) else value

    read = tomllib.loads(write(tables))
    assert json.dumps(read, sort_keys=True) == json.dumps({k: full(v) for k, v in tables.items() if v}, sort_keys=True)
