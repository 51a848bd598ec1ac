"""turnserver.conf: what each key becomes, that none is passed over, and which line is wrong."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from hairpin.migration import coturn
from hairpin.migration.networks import networks, texts, without

from .conftest import Import

UDP = {"transport": "udp", "bind": "10.0.0.5:3478"}
TCP = {"transport": "tcp", "bind": "10.0.0.5:3478"}
HERE = "listening-ip=10.0.0.5\n"
CERTIFIED = "cert=/etc/c.pem\npkey=/etc/k.pem\n"
FILES = {"cert": "/etc/c.pem", "key": "/etc/k.pem"}
# The long options of coturn 4.17.1 (src/apps/relay/mainrelay.c), and those that only older versions have.
OPTIONS = """
    listening-device listening-port tls-listening-port alt-listening-port alt-tls-listening-port tcp-proxy-port
    listening-ip relay-device relay-ip external-ip relay-threads min-port max-port sock-buf-size lt-cred-mech
    no-auth user userdb db psql-userdb sql-userdb mysql-userdb mongo-userdb redis-userdb redis-statsdb prometheus
    prometheus-port prometheus-address prometheus-path prometheus-username-labels prometheus-tls prometheus-cert
    prometheus-key use-auth-secret static-auth-secret no-auth-pings no-dynamic-ip-list no-dynamic-realms realm
    server-name oauth user-quota total-quota max-bps bps-capacity verbose Verbose daemon no-software-attribute
    software-attribute fingerprint check-origin-consistency no-udp no-tcp no-tls dtls no-dtls no-udp-relay
    no-tcp-relay stale-nonce max-allocate-lifetime channel-lifetime permission-lifetime stun-only no-stun cert
    raw-public-keys pkey pkey-pwd log-file no-stdout-log syslog simple-log log-min-level new-log-timestamp
    new-log-timestamp-format aux-server udp-self-balance alternate-server tls-alternate-server tcp-alternate-server
    udp-alternate-server rest-api-separator max-allocate-timeout drain-min-allocations no-multicast-peers
    allow-loopback-peers allowed-peer-ip denied-peer-ip cipher-list pidfile secure-stun CA-file dh-file proc-user
    proc-group mobility no-cli cli cli-ip cli-port cli-password web-admin web-admin-ip web-admin-port
    web-admin-listen-on-workers server-relay cli-max-output-sessions ec-curve-name dh566 dh1066 tlsv1 tlsv1_1
    no-tlsv1_2 secret-key-file keep-address-family allocation-default-address-family acme-redirect log-binding
    no-rfc5780 rfc5780 stun-backward-compatibility rfc5766-channel-numbers rfc3489-compatibility
    response-origin-only-with-rfc5780 respond-http-unsupported drop-invalid-packets drop-invalid-packets-log
    udp-recvmmsg udp-recvmmsg-log udp-sendmmsg-log udp-gso include-reason-string multiplex-peer multiplex-peer-port
    multiplex-peer-max-peers version syslog-facility cpus unauthorized-ratelimit unauthorized-ratelimit-rps
    stateless-nonce stateless-nonce-secret no-loopback-peers no-sslv2 no-sslv3 no-tlsv1 no-tlsv1_1 dh2066
    no-stun-backward-compatibility ne
""".split()  # noqa: SIM905


def test_the_table_has_every_option() -> None:
    """Those of the newest version and of older ones, and no other."""
    assert set(OPTIONS) == coturn.keys(Path()).keys()


def test_debians_own_file_holds_no_key_that_is_unknown(imported: Import) -> None:
    """coturn's commented example, as its package installs it, with every example line taken in turn."""
    lines = Path("/etc/turnserver.conf").read_text().splitlines()
    examples = [line.lstrip("# ") for line in lines if re.match(r"# ?[a-zA-Z0-9-]+(=\S|$)", line)]
    assert len(examples) > 100
    keys = {next(coturn.parse(example)).key for example in examples}
    assert keys - {"or", "OR", "Examples", "Example"} <= coturn.keys(Path()).keys()


@pytest.mark.parametrize(
    ("text", "interfaces"),
    [
        ("", [{"transport": kind, "bind": "0.0.0.0:3478", "external": "auto"} for kind in ("udp", "tcp")]),
        (HERE, [UDP, TCP]),
        (HERE + "no-tcp", [UDP]),
        (HERE + "no-udp=yes", [TCP]),
        (HERE + "no-udp=no", [UDP, TCP]),
        (HERE + "listening-port 443\nno-tcp", [{"transport": "udp", "bind": "10.0.0.5:443"}]),
        ("listening-ip=2001:db8::5\nno-tcp", [{"transport": "udp", "bind": "[2001:db8::5]:3478"}]),
        (HERE + "no-tcp\nexternal-ip=203.0.113.5", [UDP | {"external": "203.0.113.5:3478"}]),
        (HERE + "no-tcp\nexternal-ip=203.0.113.5/10.0.0.5", [UDP | {"external": "203.0.113.5:3478"}]),
        ("no-tcp\nexternal-ip=203.0.113.5/10.0.0.5", [UDP | {"external": "203.0.113.5:3478"}]),
        (HERE + "no-tcp\nexternal-ip=203.0.113.5/10.0.0.6", [UDP]),
        (HERE + "no-tcp\naux-server=10.0.0.6:33478", [UDP, {"transport": "udp", "bind": "10.0.0.6:33478"}]),
        (HERE + HERE + "no-tcp\naux-server=10.0.0.5:3478", [UDP]),
        (HERE + "no-udp\ncert=/etc/c.pem", [TCP]),
        (
            HERE + "no-udp\n" + CERTIFIED,
            [TCP, {"transport": "tls", "bind": "10.0.0.5:5349", **FILES, "plain_tcp": True}],
        ),
        (HERE + "no-udp\nno-tls\n" + CERTIFIED, [TCP]),
        (HERE + "no-tcp\n" + CERTIFIED, [UDP, {"transport": "tls", "bind": "10.0.0.5:5349", **FILES}]),
        (
            HERE + "no-tcp\nno-tls\ndtls\ntls-listening-port=443\n" + CERTIFIED,
            [UDP, {"transport": "dtls", "bind": "10.0.0.5:443", **FILES}],
        ),
        (
            HERE + "no-udp\nlistening-port=443\ntls-listening-port=443\n" + CERTIFIED,
            [{"transport": "tls", "bind": "10.0.0.5:443", **FILES, "plain_tcp": True}],
        ),
    ],
)
def test_listeners(imported: Import, text: str, interfaces: list[dict[str, Any]]) -> None:
    """Where coturn listens, hairpin does."""
    settings, _ = imported(text)
    assert settings["turn"]["interfaces"] == interfaces


def test_discovery(imported: Import) -> None:
    """Two addresses and their second ports answer for each other; with one address coturn has none either."""
    settings, _ = imported("listening-ip=10.0.0.5\nlistening-ip=10.0.0.6\nrfc5780\nno-tcp\n")
    binds = [interface["bind"] for interface in settings["turn"]["interfaces"]]
    assert settings["turn"]["discovery"]
    assert binds == [f"10.0.0.{ip}:{port}" for port in (3478, 3479) for ip in (5, 6)]
    settings, report = imported(HERE + "rfc5780")
    assert "discovery" not in settings["turn"]
    assert "2: rfc5780: not supported: it needs udp and two listening-ip of one family in the file" in report


@pytest.mark.parametrize(
    ("text", "section", "values"),
    [
        ("realm=example.org", "turn", {"realm": "example.org"}),
        ('realm="example.org"', "turn", {"realm": "example.org"}),
        ("relay-threads=4", "turn", {"workers": 4}),
        ("relay-threads=0", "turn", {"workers": 1}),
        ("mobility", "turn", {"mobility": True}),
        ("server-name=turn.example.org", "turn", {"server_name": "turn.example.org"}),
        ("min-port=50000\nmax-port=50099", "relay", {"ports": "50000-50099"}),
        ("min-port=1", "relay", {"ports": "1024-65535"}),
        ("relay-ip=10.0.0.7\nrelay-ip=2001:db8::7", "relay", {"bind": ["10.0.0.7", "2001:db8::7"]}),
        (
            "relay-ip=10.0.0.7\nexternal-ip=203.0.113.7/10.0.0.7",
            "relay",
            {"bind": ["10.0.0.7"], "external": ["203.0.113.7"]},
        ),
        ("user-quota=12\ntotal-quota=1200", "limits", {"allocations_per_user": 12, "allocations": 1200}),
        ("max-bps=64000", "limits", {"allocations_per_user": 0, "bytes_per_second": 64000}),
        ("max-allocate-lifetime=1200", "limits", {"allocations_per_user": 0, "lifetime": 1200}),
        ("static-auth-secret=north", "auth", {"static_auth_secret": "north"}),
        ("static-auth-secret=a\nstatic-auth-secret=b", "auth", {"static_auth_secret": ["a", "b"]}),
        ("user=alice:a:b\nuser=bob:c", "auth", {"static_credentials": {"alice": "a:b", "bob": "c"}}),
        ('user="al ice":"\\ü', "auth", {"static_credentials": {'al ice"': '"\\ü'}}),
        ("allow-loopback-peers", "peers", {"allow": ["127.0.0.0/8", "::1"]}),
        ("denied-peer-ip=8.8.8.0-8.8.9.255", "peers", {"deny": ["8.8.8.0/23"]}),
        (
            "denied-peer-ip=8.8.8.0-8.8.8.3\nallowed-peer-ip=8.8.8.1",
            "peers",
            {"allow": ["8.8.8.1"], "deny": ["8.8.8.0", "8.8.8.2/31"]},
        ),
        ("verbose", "log", {"level": "debug"}),
        ("Verbose", "log", {"level": "trace"}),
        ("log-min-level=warning", "log", {"level": "warn"}),
        ("rfc3489-compatibility\nrfc5766-channel-numbers", "compat", {"rfc3489": True, "rfc5766_channels": True}),
    ],
)  # fmt: skip
def test_settings(imported: Import, text: str, section: str, values: dict[str, object]) -> None:
    """What a key says is said by the setting."""
    settings, _ = imported(HERE + text)
    found = {key: value for key, value in settings[section].items() if key != "interfaces"}
    assert found == values


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("fingerprint", "2: fingerprint: not needed: FINGERPRINT is sent where the client sends it"),
        ("syslog=off", "2: syslog: not needed: it is off"),
        ("check-origin-consistency=0", "2: check-origin-consistency: not needed: it is off"),
        ("no-auth", "2: no-auth: not supported: hairpin relays for nobody without credentials"),
        ("lisening-port=1", "2: lisening-port: unknown: no key of that server is called so; is it spelled right?"),
        (
            "user=bob:0xbc807ee29df3c9ffa736523fb2c4e8ee",
            "2: user: not supported: a key is no password, and the password cannot be found from it: write it in "
            "auth.static_credentials",
        ),
        (
            "user=bob:b\nuse-auth-secret\nstatic-auth-secret=s",
            "2: user: not needed: coturn lets in no named users beside a shared secret",
        ),
        (
            "use-auth-secret",
            "2: use-auth-secret: not supported: the secret is in coturn's database: set auth.static_auth_secret",
        ),
        ("cert=c.pem", "2: cert: not supported: there is no pkey in the file, and no TLS without"),
        (
            "relay-ip=10.0.0.7\nrelay-ip=10.0.0.8",
            "3: relay-ip: not supported: relays have one IPv4 and one IPv6 address at most",
        ),
        (
            "denied-peer-ip=10.0.0.0-10.255.255.255",
            "2: denied-peer-ip: not needed: such peers are refused unless peers.allow names them",
        ),
        (
            "max-allocate-lifetime=60",
            "2: max-allocate-lifetime: not supported: a client that asks for less than 600 s gets 600 s (RFC 8656)",
        ),
        ("alt-listening-port=3479", "2: alt-listening-port: not needed: it is for rfc5780 alone"),
    ],
)
def test_what_is_not_mapped_says_why(imported: Import, text: str, line: str) -> None:
    """By the line that it stands on."""
    assert line in imported(HERE + text)[1]


def test_each_line_has_a_verdict(imported: Import) -> None:
    """Every option at once: as many verdicts as lines, in their order, and the counts at the end."""
    values = dict.fromkeys(OPTIONS, "1") | {
        "listening-ip": "10.0.0.5",
        "relay-ip": "10.0.0.5",
        "external-ip": "203.0.113.5/10.0.0.5",
        "aux-server": "10.0.0.5:1",
        "user": "alice:a",
        "max-port": "65535",
        "log-min-level": "info",
        "denied-peer-ip": "8.8.8.8",
        "allowed-peer-ip": "8.8.8.8",
        "tls-listening-port": "5349",
        "alt-listening-port": "3479",
        "server-name": "turn.example.org",
        "relay-threads": "2",
        "listening-port": "3478",
    }
    _, report = imported("".join(f"{key}={value}\n" for key, value in values.items()))
    assert [line.split(": ")[:2] for line in report[: len(values)]] == [
        [str(number), key] for number, key in enumerate(values, 1)
    ]
    assert re.fullmatch(r" \d+ mapped, \d+ not needed, \d+ not supported, 0 unknown\.", report[-2])


def test_the_report_has_no_secrets(imported: Import) -> None:
    """Not a password, a secret, or the value of a key that nobody knows; the settings have them, and say so."""
    settings, report = imported("user=bob:hush1\nstatic-auth-secret=hush2\ncli-password=hush3\nsecret_thing=hush4\n")
    assert "hush" not in "".join(report)
    assert settings["auth"]["static_auth_secret"] == "hush2"
    assert report[-1] == "The settings hold secrets: let nobody but the server's user read them (chmod 600)."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\nlistening-port=x", "turnserver.conf:2: listening-port: 'x' is no whole number"),
        ("listening-port=70000", "turnserver.conf:1: listening-port: 70000 is no port"),
        ("listening-ip=here", "turnserver.conf:1: listening-ip: 'here' is no IP address"),
        ("external-ip=1.2.3.4/", "turnserver.conf:1: external-ip: '' is no IP address"),
        ("max-port=1000\nmin-port=2000", "turnserver.conf:1: max-port: is lower than min-port"),
        ("realm", "turnserver.conf:1: realm: has no value"),
        ("realm=two words", "turnserver.conf:1: realm: must be 1 to 127 visible ASCII characters, without a space"),
        ("user=hush", "turnserver.conf:1: user: is no name:password"),
        ("user=a:b\nuser=bob:\x07", "turnserver.conf:2: user: "),
        ("user=bob:a\x85hush", "turnserver.conf:1: user: "),
        ("fingerprint=perhaps", "turnserver.conf:1: fingerprint: is on or off"),
        ("log-min-level=loud", "turnserver.conf:1: log-min-level: 'loud' is none of debug, info, warning, error"),
        ("denied-peer-ip=9-1", "turnserver.conf:1: denied-peer-ip: '9-1' is no address and no range"),
        ("denied-peer-ip=8.8.8.9-8.8.8.1", "turnserver.conf:1: denied-peer-ip: '8.8.8.9-8.8.8.1' is no address"),
        ("no-udp\nno-tcp", "turnserver.conf: names nothing that hairpin could listen on"),
    ],
)
def test_a_wrong_line_is_named(wrong: Callable[..., str], text: str, line: str) -> None:
    """With its number, and without what may be a password."""
    said = wrong(text)
    assert said.startswith(line)
    assert "hush" not in said


def test_a_file_that_is_no_text(tmp_path: Path, wrong: Callable[..., str]) -> None:
    """The line where it ceases to be UTF-8."""
    from hairpin.config import ConfigError
    from hairpin.migration import import_file

    path = tmp_path / "turnserver.conf"
    path.write_bytes(b"realm=a\n\xff\n")
    with pytest.raises(ConfigError, match=r"turnserver\.conf:2: is no UTF-8$"):
        import_file(path)
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="is larger than 1048576 bytes"):
        import_file(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        import_file(tmp_path / "none")


def test_relative_files_stand_beside_the_configuration(imported: Import, tmp_path: Path) -> None:
    """As coturn has it, wherever hairpin is started."""
    settings, _ = imported(HERE + "cert=../tls/c.pem\npkey=k.pem\n")
    tls = settings["turn"]["interfaces"][-1]
    assert (tls["cert"], tls["key"]) == (f"{tmp_path}/../tls/c.pem", f"{tmp_path}/k.pem")


CASES = [("0.0.0.0/0", "9.9.9.9"), ("8.8.8.0/24", "8.8.0.0/16"), ("8.8.8.8", "9.9.9.9")]


@pytest.mark.parametrize(("denied", "allowed"), CASES)
def test_what_is_left_of_a_network(denied: str, allowed: str) -> None:
    """All addresses of the one that are not in the other."""
    left = list(map(ip_network, texts(without(networks(denied), networks(allowed)))))
    for text in ("8.8.8.8", "9.9.9.8", "9.9.9.9", "9.9.9.10", "8.8.9.1"):
        ip = ip_address(text)
        expected = ip in ip_network(denied) and ip not in ip_network(allowed)
        assert any(ip in network for network in left) == expected
