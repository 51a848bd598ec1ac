"""`hairpin probe` against real servers: hairpin in this process, coturn, and servers that are not well."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from certificates import Files, authority, certify, dated, stranger
from client import ALLOCATE, BINDING, ERROR, ERROR_CODE, NONCE, REALM, SUCCESS, XOR_MAPPED_ADDRESS, build, mask, parse
from coturn import coturn
from hairpin.cli import app
from hairpin.probe import Step, Verdict, line
from running import PASSWORD, USER, Running, configuration, interface, running
from serving import free_port

INTERFACES = (("udp", "127.0.0.1:0"), ("tcp", "127.0.0.1:0"), ("tls", "127.0.0.1:0"), ("udp", "[::1]:0"))
SECRET = "north"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOGGED_IN = ("--user", USER, "--password", PASSWORD)
RELAYING = ["challenge", "credentials", "allocation", "permission", "data", "mtu"]


@pytest.fixture(scope="module")
def hairpin() -> Iterator[Running]:
    """A server of two workers, with users and a secret, that takes no peer but its own relays."""
    auth = {"static_auth_secret": SECRET, "static_credentials": {USER: PASSWORD}}
    with running(configuration(*INTERFACES, workers=2, auth=auth, peers={"allow": ()})) as server:
        yield server


@pytest.fixture(autouse=True)
def authority_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine trusts the tests' authority, and nobody else."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority().cert))
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")


def run(uri: str, *options: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(app, ["probe", uri, *options])


def probe(uri: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Its exit status, and the steps by their key."""
    result = run(uri, "--json", *options)
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found["well"] is (result.exit_code == 0)
    return result.exit_code, {step["step"]: step for step in found["steps"]}


def verdicts(steps: dict[str, Any]) -> dict[str, str]:
    """The verdict of each step."""
    return {key: step["verdict"] for key, step in steps.items()}


def uri(server: Running, index: int = 0) -> str:
    """One of its interfaces."""
    ip, port = server.address(index)
    transport, _ = INTERFACES[index]
    return {"udp": "turn:{}:{}", "tcp": "turn:{}:{}?transport=tcp", "tls": "turns:{}:{}"}[transport].format(
        f"[{ip}]" if ":" in ip else ip, port
    )


@pytest.mark.parametrize("index", [0, 3], ids=["ipv4", "ipv6"])
def test_a_server_that_is_well_over_udp(hairpin: Running, index: int) -> None:
    """Every step is ok, with its facts, and nothing stays with the server."""
    code, steps = probe(uri(hairpin, index), *LOGGED_IN)
    assert verdicts(steps) == dict.fromkeys(["dns", "udp", "binding", *RELAYING, "rtt", "amplification"], "ok"), steps
    assert code == 0
    assert steps["dns"]["facts"]["addresses"] == [hairpin.address(index)[0]]
    assert steps["binding"]["facts"]["nat"] is False
    assert (steps["challenge"]["facts"]["realm"], steps["challenge"]["facts"]["features"]) == (
        "hairpin.test",
        ["password algorithms"],
    )
    assert steps["allocation"]["facts"]["lifetime"] == 600
    assert steps["permission"]["facts"]["peer"] == "a second allocation on the same server"
    assert steps["mtu"]["facts"] == {"to_peer_bytes": 1500, "from_peer_bytes": 1500}
    assert steps["rtt"]["facts"]["repeated"] == 0
    assert all(0 < times <= 3 for times in steps["amplification"]["facts"].values())
    assert hairpin.call(lambda: len(hairpin.server.rules.sessions)) == 0


def test_a_server_that_is_well_over_tcp(hairpin: Running) -> None:
    """A stream is asked neither for its MTU nor for amplification."""
    code, steps = probe(uri(hairpin, 1), *LOGGED_IN)
    skipped = {key for key, verdict in verdicts(steps).items() if verdict == "skipped"}
    assert (code, skipped) == (0, {"mtu", "amplification"})
    assert list(steps) == ["dns", "tcp", "binding", *RELAYING, "rtt", "amplification"]


def test_a_server_that_is_well_over_tls(hairpin: Running) -> None:
    """The certificate of the tests ends in two days, which is a warning and nothing worse."""
    code, steps = probe(uri(hairpin, 2), *LOGGED_IN)
    assert (code, steps["tls"]["verdict"], steps["tls"]["facts"]["days_left"]) == (0, "warning", 1)
    assert steps["tls"]["facts"]["problems"] == []
    assert steps["tls"]["facts"]["names"] == ["turn.test", "localhost", "127.0.0.1", "::1"]
    assert steps["data"]["verdict"] == "ok"


def test_lines_for_people(hairpin: Running) -> None:
    """A line for each step, without colours where there is no terminal, and what to make of it."""
    result = run(uri(hairpin), *LOGGED_IN)
    assert result.exit_code == 0
    first, *_, last = result.stdout.splitlines()
    assert first == "ok       DNS             127.0.0.1 is an address."
    assert last == "All is well."
    assert len(result.stdout.splitlines()) == 12
    assert "\x1b" not in result.stdout


def test_a_secret_makes_credentials(hairpin: Running) -> None:
    """As TURN REST has them."""
    code, steps = probe(uri(hairpin), "--secret", SECRET, "--user", "bob")
    assert (code, steps["credentials"]["verdict"]) == (0, "ok")
    assert steps["credentials"]["facts"]["username"].endswith(":bob")


def test_without_credentials(hairpin: Running) -> None:
    """The way to the login is tried, and what was not tried is said."""
    assert run(uri(hairpin)).stdout.endswith("All is well. Not tried: Allocation, Permission, Data both ways, MTU.\n")
    code, steps = probe(uri(hairpin))
    assert (code, steps["challenge"]["verdict"]) == (0, "ok")
    assert steps["credentials"]["says"] == "No credentials were given: add --user and --password, or --secret."
    assert [(steps[key]["verdict"], steps[key]["because"]) for key in RELAYING[2:]] == [("skipped", "credentials")] * 4


def test_stun_alone(hairpin: Running) -> None:
    """A stun: URI is asked for no relay."""
    code, steps = probe(uri(hairpin).replace("turn:", "stun:"))
    assert (code, list(steps)) == (0, ["dns", "udp", "binding", "rtt", "amplification"])


def test_a_wrong_password(hairpin: Running) -> None:
    """It is the credentials that fail, and what needs them is skipped because of them."""
    code, steps = probe(uri(hairpin), "--user", USER, "--password", "wrong")
    assert (code, steps["challenge"]["verdict"], steps["credentials"]["verdict"]) == (1, "ok", "failed")
    assert "does not accept the user or the password (401)" in steps["credentials"]["says"]
    assert [(steps[key]["verdict"], steps[key]["because"]) for key in RELAYING[2:]] == [("skipped", "credentials")] * 4
    assert steps["rtt"]["verdict"] == "ok"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_closed_port(transport: str) -> None:
    """Nobody listens, and all that needs somebody is skipped."""
    port = free_port()
    code, steps = probe(f"turn:127.0.0.1:{port}?transport={transport}", *LOGGED_IN)
    assert (code, steps[transport]["verdict"]) == (1, "failed")
    assert steps[transport]["says"] == (
        f"Nobody listens on 127.0.0.1:{port} over {transport.upper()} (connection refused)."
    )
    later = [step for key, step in steps.items() if key not in ("dns", transport)]
    assert {(step["verdict"], step["because"]) for step in later} == {("skipped", transport)}


def test_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is given up, and where to look is said; each request was sent four times."""
    monkeypatch.setattr("hairpin.turnclient.client.FIRST_WAIT", 10**7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        code, steps = probe(f"turn:127.0.0.1:{silent.getsockname()[1]}", *LOGGED_IN)
        silent.setblocking(False)
        asked = [parse(silent.recv(2048)).method for _ in range(8)]
    assert (code, steps["udp"]["verdict"]) == (1, "failed")
    assert "does not answer over UDP: is the address right" in steps["udp"]["says"]
    assert asked == [BINDING] * 4 + [ALLOCATE] * 4


def test_a_host_with_a_dead_address(hairpin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that lives is asked further, and the other one is a warning: clients may take either."""
    ip, port = hairpin.address()

    async def two(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (one, port)) for one in ("127.0.0.9", ip)]

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", two)
    code, steps = probe(f"turn:two.test:{port}", *LOGGED_IN)
    assert (code, steps["dns"]["facts"]["addresses"], steps["udp"]["verdict"]) == (0, ["127.0.0.9", ip], "warning")
    assert steps["udp"]["says"] == (
        f"{ip}:{port} answers. Nobody listens on 127.0.0.9:{port} over UDP (connection refused)."
    )
    assert steps["data"]["verdict"] == "ok"


def test_data_that_does_not_come_back(hairpin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The direction is named, and what may stand in the way."""

    async def deaf(*_: object) -> None:
        return None

    monkeypatch.setattr("hairpin.probe.agent.Agent.receive_data", deaf)
    code, steps = probe(uri(hairpin), *LOGGED_IN)
    assert (code, steps["data"]["verdict"], steps["mtu"]["because"]) == (1, "failed", "data")
    assert steps["data"]["says"].startswith("Nothing arrives to the peer and from the peer, though all was granted: ")


def test_colours_are_for_terminals() -> None:
    """A terminal sees the verdict in colour, and what a server says is no markup there either."""
    step = Step("dns", "DNS", Verdict.FAILED, "[green]no[/green]")
    shown = StringIO()
    Console(file=shown, force_terminal=True, color_system="standard").print(line(step))
    assert shown.getvalue().startswith("\x1b[1;31mfailed")
    assert "[green]no[/green]" in shown.getvalue()


def test_a_host_without_an_address() -> None:
    """The name is what fails."""
    code, steps = probe("turn:nowhere.invalid", *LOGGED_IN)
    assert (code, steps["dns"]["verdict"], steps["udp"]["because"]) == (1, "failed", "dns")
    assert steps["dns"]["says"].startswith("nowhere.invalid has no address (")


def test_a_port_without_tls(hairpin: Running) -> None:
    """The handshake fails, and everything behind it is skipped."""
    _, port = hairpin.address(1)
    code, steps = probe(f"turns:127.0.0.1:{port}", *LOGGED_IN)
    assert (code, steps["tcp"]["verdict"], steps["tls"]["verdict"]) == (1, "ok", "failed")
    assert steps["tls"]["says"].startswith("No TLS handshake: ")
    assert steps["data"]["because"] == "tls"


@contextmanager
def showing(files: Files) -> Iterator[str]:
    """The URI of a server that shows this certificate."""
    turn = {"interfaces": [interface("tls", "127.0.0.1:0", files)]}
    with running(configuration(turn=turn)) as server:
        yield f"turns:127.0.0.1:{server.address()[1]}"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: dated("expired", -9 * DAY, -2 * DAY - HOUR), ["expired on", "2 days ago: renew it"]),
        (lambda: dated("early", 2 * DAY, 90 * DAY), ["is not valid before"]),
        (lambda: certify("elsewhere", "DNS:elsewhere.test"), ["is not for 127.0.0.1, but for elsewhere.test"]),
        (lambda: dated("unknown", -DAY, 90 * DAY, signer=stranger()), ["is of an issuer that this machine does"]),
        (
            lambda: dated("both", -9 * DAY, -DAY - HOUR, signer=stranger()),
            ["expired on", "is of an issuer that this machine does not know"],
        ),
        (
            lambda: dated("behind", -DAY, 90 * DAY, signer=dated("between", -9 * DAY, -DAY, signs=True)),
            ["comes with a chain in which another certificate is out of its time"],
        ),
    ],
    ids=["expired", "not yet valid", "wrong name", "unknown issuer", "expired and unknown", "expired chain"],
)
def test_certificates_that_clients_refuse(made: Any, words: list[str]) -> None:
    """Each problem is told apart from the others; the steps behind it are taken all the same."""
    with showing(made()) as uri:
        code, steps = probe(uri, *LOGGED_IN)
    problems = steps["tls"]["facts"]["problems"]
    assert (code, steps["tls"]["verdict"], len(problems)) == (1, "failed", len([w for w in words if "ago" not in w]))
    assert all(word in steps["tls"]["says"] for word in words)
    assert steps["data"]["verdict"] == "ok"


@pytest.mark.parametrize(("days", "verdict"), [(13, "warning"), (15, "ok")])
def test_a_certificate_that_ends_soon(days: int, verdict: str) -> None:
    """Two weeks before its end it is time to renew it."""
    with showing(dated(f"soon-{days}", -DAY, days * DAY + HOUR)) as uri:
        code, steps = probe(uri, *LOGGED_IN)
    assert (code, steps["tls"]["verdict"], steps["tls"]["facts"]["days_left"]) == (0, verdict, days)


def test_coturn(tmp_path: Path) -> None:
    """Another server is probed as well, over UDP and TCP, and its refusal understood."""
    with coturn(tmp_path, "--allow-loopback-peers") as port:
        for transport in ("udp", "tcp"):
            code, steps = probe(f"turn:127.0.0.1:{port}?transport={transport}", *LOGGED_IN)
            assert (code, {steps[key]["verdict"] for key in RELAYING[:5]}) == (0, {"ok"}), steps
            assert steps["challenge"]["facts"]["software"].startswith("Coturn")
        code, steps = probe(f"turn:127.0.0.1:{port}", "--user", USER, "--password", "wrong")
        assert (code, steps["credentials"]["verdict"]) == (1, "failed")


def test_coturn_that_refuses_peers_on_loopback(tmp_path: Path) -> None:
    """Neither a second allocation nor this machine will do, and both are named with what to set."""
    with coturn(tmp_path) as port:
        code, steps = probe(f"turn:127.0.0.1:{port}", *LOGGED_IN)
    assert (code, steps["permission"]["verdict"], steps["data"]["because"]) == (1, "failed", "permission")
    assert "A second allocation on the same server: it is refused as a peer (403" in steps["permission"]["says"]
    assert "A socket of this machine: it is refused as a peer (403" in steps["permission"]["says"]


def test_a_quota_of_one(tmp_path: Path) -> None:
    """Where the server grants no second allocation a socket of this machine is the peer."""
    with coturn(tmp_path, "--allow-loopback-peers", "--user-quota", "1") as port:
        code, steps = probe(f"turn:127.0.0.1:{port}", *LOGGED_IN)
    assert (code, steps["permission"]["facts"]["peer"]) == (0, "a socket of this machine"), steps["permission"]
    assert [steps[key]["verdict"] for key in ("data", "mtu")] == ["ok", "ok"]


@contextmanager
def scripted(code: bytes, realm: bytes = b"here") -> Iterator[int]:
    """A server that refuses everyone with this error and realm, at length."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            while True:
                data, source = server.recvfrom(2048)
                if data == b"end":
                    return
                request = parse(data)
                if request.method == BINDING:
                    mapped = [(XOR_MAPPED_ADDRESS, mask(source, request.transaction))]
                    server.sendto(build(BINDING | SUCCESS, request.transaction, mapped), source)
                elif request.method == ALLOCATE:
                    refused = [(ERROR_CODE, code), (REALM, realm), (NONCE, b"once" * 30)]
                    server.sendto(build(ALLOCATE | ERROR, request.transaction, refused), source)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.sendto(b"end", server.getsockname())
            thread.join()


def test_what_the_server_says_is_text() -> None:
    """Control characters and markup of a realm or a reason reach no terminal."""
    with scripted(b"\0\0\4\1no", b"[bold]evil[/red]") as port:
        assert 'the realm "[bold]evil[/red]" (401)' in run(f"turn:127.0.0.1:{port}").stdout
    with scripted(b"\0\0\4\x63\x1b[31mno\r\n[/red]") as port:
        result = run(f"turn:127.0.0.1:{port}")
    assert "The server answered Allocate with 499: \ufffd[31mno\ufffd\ufffd[/red]." in result.stdout
    assert "\x1b" not in result.stdout
    with scripted(b"\0\0\4\1no", b"\x1b[31mevil\r\n[/red]") as port:
        result = run(f"turn:127.0.0.1:{port}")
    assert 'the realm "\ufffd[31mevil\ufffd\ufffd[/red]" (401)' in result.stdout
    assert "\x1b" not in result.stdout


def test_an_answer_to_a_stranger_that_is_too_large() -> None:
    """Is a warning, with the factor."""
    with scripted(b"\0\0\4\1no") as port:
        code, steps = probe(f"turn:127.0.0.1:{port}")
    assert (code, steps["amplification"]["verdict"]) == (0, "warning")
    assert steps["amplification"]["facts"]["allocate_times"] > 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://localhost"], "is no TURN URI"),
        (["turn:localhost:0"], "0 is no port"),
        (["turns:localhost?transport=udp"], "DTLS is not probed"),
        (["turn:localhost", "--user", "u"], "--password or --secret"),
        (["turn:localhost", "--password", "p"], "--user: a user name has 1 to 508 bytes"),
        (["turn:localhost", "--user", "u", "--password", "\x07"], "--password: is no password"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(arguments: list[str], words: str) -> None:
    """Before a packet is sent."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("hairpin: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
