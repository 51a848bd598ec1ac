"""Settings: defaults, the file, the environment, and one line for each thing that can be wrong."""

import os
from base64 import b64encode
from pathlib import Path

import pytest
from pydantic import SecretStr

from hairpin.config import Config, ConfigError, relays_for
from hairpin.stun import Address

UDP = '[[turn.interfaces]]\ntransport = "udp"\nbind = "127.0.0.1:3478"\n'
DISCOVERY = "turn.discovery: needs four udp interfaces: two IP addresses, and on each of them the same two ports"


def four(transport: str) -> str:
    """Interfaces on two IPs with two ports."""
    places = [f"127.0.0.{ip}:{port}" for ip in (1, 2) for port in (3478, 3479)]
    return "".join(UDP.replace("udp", transport).replace("127.0.0.1:3478", place) for place in places)


WHOLE = """
[turn]
realm = "example.org"
alternate = "203.0.113.9:3478"
workers = 2
[[turn.interfaces]]
transport = "udp"
bind = "0.0.0.0:3478"
external = "203.0.113.5:3478"
[api]
bind = "[::1]:0"
hooks = "http://127.0.0.1:8080/turn/"
hooks_timeout = 2
token = "t0ken"
hide_passwords = true
[log]
level = "trace"
format = "json"
[auth]
static_auth_secret = ["new", "old"]
[auth.static_credentials]
alice = "a"
"bob@example.org" = "b"
[relay]
ports = "50000-50099"
bind = ["0.0.0.0", "2001:db8::1"]
external = ["203.0.113.5"]
[limits]
allocations = 100
lifetime = 600
[peers]
allow = ["10.0.0.0/8", "10.1.0.0/16:53"]
deny = ["203.0.113.0/24"]
nat64 = ["2001:db8:64::/96"]
[compat]
rfc5766_channels = true
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
    return Path("hairpin.toml")


def wrong(file: Path, text: str) -> str:
    """The line that says what is wrong with a file."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Config.load(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults(file: Path) -> None:
    """An interface is all that a file must have."""
    file.write_text(UDP)
    config = Config.load(file)
    assert config.turn.realm == "localhost"
    assert config.turn.interfaces[0].external == Address("127.0.0.1", 3478)
    assert config.api.bind == Address("127.0.0.1", 3000)
    assert config.relay.ports == (49152, 65535)
    assert (config.limits.allocations_per_user, config.limits.permissions, config.limits.channels) == (32, 64, 32)
    assert not config.auth.static_credentials
    assert config == Config.load(str(file))


def test_every_key_of_a_whole_file(file: Path) -> None:
    """What stands there is what counts."""
    file.write_text(WHOLE)
    config = Config.load(file)
    assert config.turn.interfaces[0].bind == Address("0.0.0.0", 3478)
    assert config.turn.interfaces[0].external == Address("203.0.113.5", 3478)
    assert config.turn.alternate == (Address("203.0.113.9", 3478),)
    assert config.api.hooks == "http://127.0.0.1:8080/turn"
    assert config.api.token == SecretStr("t0ken")
    assert config.auth.static_auth_secret == (SecretStr("new"), SecretStr("old"))
    assert config.auth.static_credentials == {"alice": SecretStr("a"), "bob@example.org": SecretStr("b")}
    assert config.relay.ports == (50000, 50099)
    assert config.peers.allow == ("10.0.0.0/8", "10.1.0.0/16:53")
    assert config.compat.rfc5766_channels


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "turn: is missing"),
        ("[turn]", "turn.interfaces: is missing"),
        ("turn = 5", "turn: must be a table"),
        ("[turn]\ninterfaces = []", "turn.interfaces: must not be empty"),
        (UDP + "[foo]", "foo: unknown key"),
        (UDP + "exernal = 1", "turn.interfaces[0].exernal: unknown key"),
        (
            UDP.replace("udp", "dtls"),
            "turn.interfaces[0].cert: is missing: dtls needs a file with a certificate chain",
        ),
        (UDP.replace("udp", "sctp"), "turn.interfaces[0].transport: must be 'udp', 'tcp', 'tls' or 'dtls'"),
        (
            UDP.replace("udp", "tls"),
            "turn.interfaces[0].cert: is missing: tls needs a file with a certificate chain",
        ),
        (
            UDP.replace("udp", "tls") + 'cert = ["a", "b"]\nkey = "c"',
            "turn.interfaces[0].key: names 1 files, but cert 2: write a key for each",
        ),
        (UDP + "plain_tcp = true", "turn.interfaces[0].plain_tcp: is for tls, but transport is udp"),
        (UDP + 'proxy_from = "10.0.0.1"', "turn.interfaces[0].proxy_from: is for tcp and tls, but transport is udp"),
        (
            UDP.replace("udp", "tcp") + 'proxy_from = ["10.0.0.1/8"]',
            "turn.interfaces[0].proxy_from[0]: '10.0.0.1/8' is no network, as 10.0.0.0/8: 10.0.0.1/8 has host bits set",
        ),
        (UDP + 'key = "c"', "turn.interfaces[0].key: is for tls, but transport is udp"),
        (
            UDP + 'hostname = "turn.example.org:5349"',
            "turn.interfaces[0].hostname: must be a host name, such as turn.example.org",
        ),
        (
            UDP.replace("udp", "tls") + 'cert = "a"\nkey = "b"\n' + UDP.replace("udp", "tcp"),
            "turn.interfaces[1].bind: turn.interfaces[0] listens there already",
        ),
        (
            UDP.replace("127.0.0.1:3478", "nowhere"),
            "turn.interfaces[0].bind: 'nowhere' is no IP:PORT, such as 192.0.2.1:3478 or [2001:db8::1]:3478",
        ),
        (
            UDP.replace("127.0.0.1", "0.0.0.0"),
            'turn.interfaces[0].external: 0.0.0.0 is every address: add external = "IP:PORT" as clients see it',
        ),
        (
            UDP.replace("127.0.0.1", "[::]"),
            'turn.interfaces[0].external: :: is every address: add external = "IP:PORT" as clients see it',
        ),
        (UDP + 'external = "[::1]:1"', "turn.interfaces[0].external: is IPv6, but bind is IPv4"),
        (UDP + UDP, "turn.interfaces[1].bind: turn.interfaces[0] listens there already"),
        (
            UDP + '[api]\nbind = "0.0.0.0:1"',
            "api.bind: 0.0.0.0:1 is not loopback: set api.token, or api.allow_unauthenticated = true",
        ),
        (
            UDP.replace("udp", "tcp") + '[api]\nbind = "127.0.0.1:3478"',
            "api.bind: turn.interfaces[0] listens there already",
        ),
        (
            UDP.replace("127.0.0.1", "0.0.0.0") + 'external = "192.0.2.1:1"\n' + UDP,
            "turn.interfaces[1].bind: turn.interfaces[0] listens there already",
        ),
        (UDP + '[api]\nhooks = "ftp://x"', "api.hooks: must be a URL such as http://127.0.0.1:8080/turn"),
        (UDP + '[api]\nhooks = "http://[x"', "api.hooks: must be a URL such as http://127.0.0.1:8080/turn"),
        (UDP + '[api]\nhooks = "http://300.1.1.1:80"', "api.hooks: must be a URL such as http://127.0.0.1:8080/turn"),
        (UDP + '[api]\nhooks = "http://h:99999"', "api.hooks: must be a URL such as http://127.0.0.1:8080/turn"),
        (UDP + '[api]\nhooks = "http://u:p@h"', "api.hooks: must be a plain URL, without user, query or fragment"),
        (UDP + '[api]\nhooks_spool = "/s"', "api.hooks_spool: is for events on their way to the hooks: set api.hooks"),
        (UDP + "[api]\nusage_interval = -1", "api.usage_interval: must be greater than or equal to 0"),
        (UDP + "[api]\nhooks_timeout = 0", "api.hooks_timeout: must be greater than 0"),
        (UDP + "[api]\nhooks_timeout = nan", "api.hooks_timeout: must be less than or equal to 60"),
        (
            UDP + '[api]\nhooks_secret = "whsec_AAAA"',
            'api.hooks_secret: must be "whsec_" and the base64 of 24 to 64 random bytes',
        ),
        ("[turn]\ndiscovery = true\n" + UDP, DISCOVERY),
        ("[turn]\ndiscovery = true\n" + four("udp").replace("127.0.0.2:3479", "127.0.0.2:3480"), DISCOVERY),
        ("[turn]\ndiscovery = true\n" + four("udp").replace('"127.0.0.2:3479"', '"127.0.0.2:0"'), DISCOVERY),
        ("[turn]\ndiscovery = true\n" + four("udp").replace("udp", "tcp", 1), DISCOVERY),
        ("[turn]\ndiscovery = true\n" + four("tcp"), DISCOVERY),
        (UDP + '[api]\ntoken = ""', "api.token: must be visible ASCII characters, without a space, at least one"),
        (UDP + '[log]\nlevel = "loud"', "log.level: must be 'error', 'warn', 'info', 'debug' or 'trace'"),
        (UDP + "[auth.static_credentials]\nbob = 1", "auth.static_credentials.bob: must be a valid string"),
        (UDP + '[auth.static_credentials]\n"a b" = 1', 'auth.static_credentials."a b": must be a valid string'),
        (
            UDP + '[auth.static_credentials]\nbob = ""',
            "auth.static_credentials.bob: is no password: it is empty or has characters that RFC 8265 forbids",
        ),
        (UDP + '[auth]\nstatic_auth_secret = ""', "auth.static_auth_secret[0]: must not be empty"),
        (UDP + '[relay]\nports = "1-2"', "relay.ports: 1-2 is no range within 1024-65535, the lower port first"),
        (
            UDP + '[relay]\nports = "6000-5000"',
            "relay.ports: 6000-5000 is no range within 1024-65535, the lower port first",
        ),
        (
            UDP + '[relay]\nports = "60000-65536"',
            "relay.ports: 60000-65536 is no range within 1024-65535, the lower port first",
        ),
        (UDP + '[relay]\nports = "many"', "relay.ports: 'many' is no range, such as \"49152-65535\""),
        (UDP + '[relay]\nbind = ["10.0.0.1", "10.0.0.2"]', "relay.bind: has at most one IPv4 and one IPv6 address"),
        (
            UDP + '[relay]\nbind = "0.0.0.0"',
            'relay.bind: 0.0.0.0 is every address: add external = "IP" as peers see it',
        ),
        (
            UDP + '[relay]\nbind = "10.0.0.1"\nexternal = "0.0.0.0"',
            "relay.external: 0.0.0.0 is every address: name the one that peers see",
        ),
        (UDP + '[relay]\nexternal = "203.0.113.5"', "relay.external: 203.0.113.5 needs an IPv4 address in relay.bind"),
        (
            '[turn]\nalternate = ["192.0.2.1:1", "192.0.2.2:1"]\n' + UDP,
            "turn.alternate: has at most one IPv4 and one IPv6 address",
        ),
        (
            UDP + '[auth.oauth_keys]\nnorth = "MDEyMzQ1Njc4OTAxMjM0NQ=="',
            "auth.oauth_keys: needs turn.server_name, the name that access tokens are made for",
        ),
        (
            UDP + '[auth.oauth_keys]\nnorth = "MDEyMzQ1Njc4OTAxMjM0NQ"',
            "auth.oauth_keys.north: must be the base64 of 16 or 32 random bytes",
        ),
        (
            '[turn]\nalternate_domain = "example.org"\n' + UDP,
            "turn.alternate_domain: is the name of another server: add turn.alternate",
        ),
        (UDP + '[relay]\nbind = "localhost"', "relay.bind[0]: 'localhost' is no IP address"),
        (UDP + '[relay]\nbind = "fe80::1%eth0"', "relay.bind[0]: 'fe80::1%eth0' is no IP address"),
        (UDP + "[limits]\npermissions = 0", "limits.permissions: must be greater than or equal to 1"),
        (UDP + "[limits]\nlifetime = 599", "limits.lifetime: must be greater than or equal to 600"),
        (UDP + "[limits]\ndrain = -1", "limits.drain: must be greater than or equal to 0"),
        (
            UDP + '[compat]\nrfc5766_channels = "maybe"',
            "compat.rfc5766_channels: must be a valid boolean, unable to interpret input",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_with_file_and_key(file: Path, text: str, line: str) -> None:
    """The line says what to do, or what would do."""
    assert wrong(file, text) == f"hairpin.toml: {line}"


@pytest.mark.parametrize("key", ["allow", "deny"])
@pytest.mark.parametrize("entry", ["10.0.0.0/33", "10.0.0.1/8", "everything", "", "10.0.0.0/8:99999", "fe80::%1/64"])
def test_a_malformed_network_stops_the_start(file: Path, key: str, entry: str) -> None:
    """A deny list is never ignored: the line names the entry."""
    assert wrong(file, f'{UDP}[peers]\n{key} = ["192.0.2.0/24", "{entry}"]').startswith(
        f"hairpin.toml: peers.{key}[1]: {entry!r}"
    )


@pytest.mark.parametrize("prefix", ["10.0.0.0/8", "2001:db8::/33", "x", "64:ff9b::%1/96"])
def test_a_malformed_nat64_prefix_stops_the_start(file: Path, prefix: str) -> None:
    """It must be of IPv6, and of a length of RFC 6052."""
    assert wrong(file, f'{UDP}[peers]\nnat64 = ["{prefix}"]').startswith(f"hairpin.toml: peers.nat64[0]: {prefix!r}")


@pytest.mark.parametrize("realm", ["", "a b", "x" * 128, "ü", "a\\n"])
def test_a_realm_is_visible_ascii(file: Path, realm: str) -> None:
    """1 to 127 characters of it: the realm stands in headers and in STUN."""
    line = wrong(file, f'[turn]\nrealm = "{realm}"\n{UDP}')
    assert line == "hairpin.toml: turn.realm: must be 1 to 127 visible ASCII characters, without a space"


@pytest.mark.parametrize(
    "text",
    [
        '[[turn.interfaces]]\ntransport = "udp"\nbind = "127.0.0.1:0"\n' * 2,
        UDP + UDP.replace("udp", "tcp"),
        UDP + UDP.replace("127.0.0.1", "[::1]"),
        UDP + '[api]\nbind = "127.0.0.1:3478"',
        UDP + '[api]\nbind = "0.0.0.0:1"\nallow_unauthenticated = true',
        UDP + '[api]\nbind = "0.0.0.0:1"\ntoken = "t"',
        UDP + '[api]\nbind = "127.9.9.9:1"',
        '[turn]\nrealm = "' + "~" * 127 + '"\n' + UDP,
    ],
)
def test_what_is_allowed(file: Path, text: str) -> None:
    """Port 0 as often as one likes, one port for each transport and family, guarded APIs anywhere."""
    file.write_text(text)
    assert Config.load(file).turn.interfaces


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"turn = ", "is no TOML: Invalid value (at end of document)"), (b"\xff", "is no TOML: it is not UTF-8")],
)
def test_what_is_no_toml(file: Path, content: bytes, line: str) -> None:
    """Syntax errors name their place."""
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Config.load(file)
    assert str(caught.value) == f"hairpin.toml: {line}"


def test_a_file_that_cannot_be_read(file: Path) -> None:
    """None there, or a directory."""
    with pytest.raises(ConfigError) as caught:
        Config.load(file)
    assert str(caught.value) == "hairpin.toml: cannot be read: No such file or directory"
    file.mkdir()
    with pytest.raises(ConfigError) as caught:
        Config.load(file)
    assert str(caught.value) == "hairpin.toml: cannot be read: Is a directory"


def test_no_error_and_no_repr_holds_a_secret(file: Path) -> None:
    """Also where the secret itself is what is wrong."""
    for text in (
        '[api]\nhooks_secret = "hush"',
        '[api]\ntoken = "hush hush"',
        '[auth.static_credentials]\na = "hush\\u0000"',
    ):
        assert "hush" not in wrong(file, UDP + text)
    file.write_text(WHOLE)
    assert "t0ken" not in repr(Config.load(file))


def test_the_environment_beats_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key by key: the file's other keys stay. Lists and tables are JSON."""
    file.write_text(WHOLE)
    monkeypatch.setenv("HAIRPIN_TURN_REALM", "env")
    monkeypatch.setenv("HAIRPIN_AUTH_STATIC_AUTH_SECRET", "123")
    monkeypatch.setenv("HAIRPIN_AUTH_STATIC_CREDENTIALS", '{"Carol": "c"}')
    monkeypatch.setenv("HAIRPIN_PEERS_DENY", '["8.8.8.0/24"]')
    monkeypatch.setenv("HAIRPIN_API_HIDE_PASSWORDS", "false")
    monkeypatch.setenv("HAIRPIN_RELAY_PORTS", "50000-50001")
    config = Config.load(file)
    assert (config.turn.realm, config.turn.workers) == ("env", 2)
    assert config.auth.static_auth_secret == (SecretStr("123"),)
    assert config.auth.static_credentials == {"Carol": SecretStr("c")}
    assert (config.peers.deny, len(config.peers.allow)) == (("8.8.8.0/24",), 2)
    assert not config.api.hide_passwords
    assert config.relay.ports == (50000, 50001)


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file at all; a list of secrets for rotation."""
    monkeypatch.setenv("HAIRPIN_TURN_INTERFACES", '[{"transport": "tcp", "bind": "127.0.0.1:0"}]')
    monkeypatch.setenv("HAIRPIN_AUTH_STATIC_AUTH_SECRET", '["a", "b"]')
    config = Config.load()
    assert config.turn.interfaces[0].transport == "tcp"
    assert len(config.auth.static_auth_secret) == 2


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("HAIRPIN_TURN_REALM", "", "HAIRPIN_TURN_REALM: must be 1 to 127 visible ASCII characters, without a space"),
        ("HAIRPIN_TURN_RELM", "x", "HAIRPIN_TURN_RELM: unknown key"),
        ("HAIRPIN_PEERS_DENY", '["x"', "HAIRPIN_PEERS_DENY: must be a list"),
        (
            "HAIRPIN_LIMIT_LIFETIME",
            "900",
            "HAIRPIN_LIMIT_LIFETIME: is no setting; HAIRPIN_LIMITS_LIFETIME may be meant",
        ),
        (
            "HAIRPIN_AUHT_STATIC_AUTH_SECRET",
            "s",
            "HAIRPIN_AUHT_STATIC_AUTH_SECRET: is no setting; HAIRPIN_AUTH_STATIC_AUTH_SECRET may be meant",
        ),
        ("HAIRPIN_PEER", "", "HAIRPIN_PEER: is no setting; HAIRPIN_PEERS may be meant"),
        ("HAIRPIN_AUTH", "{}", "HAIRPIN_AUTH: is a whole section: write HAIRPIN_AUTH_KEY for each of its keys"),
    ],
)
def test_an_error_names_the_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    """Not the file, which has nothing to do with it."""
    monkeypatch.setenv(name, value)
    assert wrong(file, UDP) == line


def test_other_variables_are_not_ours(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets such ones for a service called `hairpin`."""
    monkeypatch.setenv("HAIRPIN_PORT_3478_UDP_ADDR", "10.0.0.1")
    monkeypatch.setenv("HAIRPIN_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("HAIRPIN_PORT", "udp://10.0.0.1:3478")
    file.write_text(UDP)
    assert Config.load(file)


def test_a_config_of_a_program_ignores_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who embeds the server says all that it has to know; errors have the same words."""
    monkeypatch.setenv("HAIRPIN_TURN_REALM", "env")
    assert Config(turn={"interfaces": [{"transport": "udp", "bind": "127.0.0.1:0"}]}).turn.realm == "localhost"
    with pytest.raises(ConfigError, match=r"^turn\.interfaces: is missing$"):
        Config(turn={})


def test_a_first_run_makes_up_a_user() -> None:
    """With another password each time; UDP and TCP on loopback."""
    one, other = Config.first_run(), Config.first_run()
    assert [(i.transport, str(i.bind)) for i in one.turn.interfaces] == [
        ("udp", "127.0.0.1:3478"),
        ("tcp", "127.0.0.1:3478"),
    ]
    (password,) = one.auth.static_credentials.values()
    assert len(password.get_secret_value()) >= 12
    assert one.auth != other.auth


def test_a_first_run_makes_up_nobody_where_the_environment_has_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asked for that account."""
    monkeypatch.setenv("HAIRPIN_AUTH_STATIC_AUTH_SECRET", "s")
    assert not Config.first_run().auth.static_credentials


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("here", "--address: 'here' is no IP address"),
        ("0.0.0.0", "--address: 0.0.0.0 is every address: name the one that clients reach"),
    ],
)
def test_a_first_run_needs_one_address(address: str, line: str) -> None:
    """The one that goes into a browser."""
    with pytest.raises(ConfigError) as caught:
        Config.first_run(address)
    assert str(caught.value) == line


def test_an_address_on_the_command_line_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was said later, and on purpose."""
    monkeypatch.setenv("HAIRPIN_TURN_INTERFACES", '[{"transport": "tcp", "bind": "127.0.0.1:0"}]')
    assert str(Config.first_run().turn.interfaces[0].bind) == "127.0.0.1:0"
    assert str(Config.first_run("::1").turn.interfaces[0].bind) == "[::1]:3478"


def test_external_port_0_is_the_bound_one() -> None:
    """Another external port is what a NAT in front maps."""
    config = Config(
        turn={
            "interfaces": [
                {"transport": "udp", "bind": "10.0.0.1:0", "external": "203.0.113.5:0"},
                {"transport": "udp", "bind": "10.0.0.1:0", "external": "203.0.113.5:9"},
            ]
        }
    )
    bound = Address("10.0.0.1", 4444)
    assert [str(i.announced(bound)) for i in config.turn.interfaces] == ["203.0.113.5:4444", "203.0.113.5:9"]


def interfaces(*pairs: tuple[str, str]) -> dict[str, object]:
    """Interfaces with these bind and external IPs."""
    return {"interfaces": [{"transport": "udp", "bind": f"{bind}:0", "external": f"{seen}:0"} for bind, seen in pairs]}


def test_discovery_is_between_what_clients_see() -> None:
    """Squares are of the announced addresses, of one transport and family; an interface is in one of them at most."""
    places = [("udp", f"10.0.0.{ip}:{port}") for port in (1, 2) for ip in (1, 2, 3)]
    places += [("tcp", "10.0.0.1:1"), ("udp", "[2001:db8::1]:1"), ("udp", "[2001:db8::1]:2"), ("udp", "0.0.0.0:9")]
    interfaces = [
        {"transport": kind, "bind": bind, "external": bind.replace("0.0.0", "1.1.1")} for kind, bind in places
    ]
    assert Config(turn={"interfaces": interfaces}).turn.squares == []
    assert Config(turn={"interfaces": interfaces, "discovery": True}).turn.squares == [(0, 3, 1, 4)]
    interfaces[4]["external"] = "11.1.1.2:3"
    assert Config(turn={"interfaces": interfaces, "discovery": True}).turn.squares == [(0, 3, 2, 5)]


def test_relays_use_the_interface_of_the_client() -> None:
    """For an IP version that it lacks, the first interface of that version serves."""
    turn = interfaces(("10.0.0.1", "203.0.113.1"), ("10.0.0.2", "203.0.113.2"), ("[2001:db8::1]", "[2001:db8::1]"))
    relays = relays_for(Config(turn=turn))
    one, two, six = ("10.0.0.1", "203.0.113.1"), ("10.0.0.2", "203.0.113.2"), ("2001:db8::1", "2001:db8::1")
    assert relays.interfaces == ({4: one, 6: six}, {4: two, 6: six}, {4: one, 6: six})
    assert set(relays.pairs) == {one, two, six}
    assert len(relays.pairs) == 3


def test_relays_of_the_settings_serve_all_interfaces() -> None:
    """And no IP version that they do not name."""
    turn = interfaces(("10.0.0.1", "203.0.113.1"), ("[2001:db8::1]", "[2001:db8::1]"))
    config = Config(turn=turn, relay={"bind": "10.0.0.9", "external": "203.0.113.9"})
    pair = ("10.0.0.9", "203.0.113.9")
    assert relays_for(config).interfaces == ({4: pair}, {4: pair})
    assert relays_for(config).pairs == (pair,)


def test_the_key_of_a_webhook_secret_is_its_base64() -> None:
    """Without the prefix."""
    secret = "whsec_" + b64encode(bytes(range(24))).decode()
    config = Config(turn=interfaces(("127.0.0.1", "127.0.0.1")), api={"hooks_secret": secret})
    assert config.api.hooks_key == bytes(range(24))
