"""`hairpin bench` against real servers: hairpin in this process, and coturn."""

import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coturn import coturn
from hairpin.cli import app
from running import PASSWORD, USER, Running, configuration, running
from serving import free_port

LOAD = ("--sessions", "4", "--packets", "50", "--seconds", "0.5")
SENT = 100
SECRET = "north"
INTERFACES = (("udp", "127.0.0.1:0"), ("tcp", "127.0.0.1:0"), ("udp", "[::1]:0"))


@pytest.fixture(scope="module")
def hairpin() -> Iterator[Running]:
    """A server of two workers, with users and a secret."""
    auth = {"static_auth_secret": SECRET, "static_credentials": {USER: PASSWORD}}
    with running(configuration(*INTERFACES, workers=2, auth=auth)) as server:
        yield server


def bench(uri: str, *options: str, password: str = PASSWORD) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["bench", uri, "--user", USER, "--password", password, *options])


def uri(server: Running, transport: str = "udp") -> str:
    """One of its interfaces."""
    _, port = server.address(("udp", "tcp").index(transport))
    return f"turn:127.0.0.1:{port}?transport={transport}"


@pytest.mark.parametrize("mode", ["pair", "echo", "up", "down"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_nothing_is_lost(hairpin: Running, transport: str, mode: str) -> None:
    """Every packet arrives, once, and every session is given back."""
    result = bench(uri(hairpin, transport), "--mode", mode, "--json", *LOAD)
    found = json.loads(result.stdout)
    assert result.exit_code == 0, result.stdout
    packets = found["packets"]
    assert packets["sent"] + packets["missed"] == SENT
    assert (packets["arrived"], packets["lost"], packets["duplicates"]) == (packets["sent"], 0, 0)
    assert (found["sessions"], found["failures"], found["server"]) == (4, [], uri(hairpin, transport))
    assert found["software"].startswith("hairpin")
    assert hairpin.call(lambda: len(hairpin.server.rules.sessions)) == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_set_ups_are_complete(hairpin: Running, transport: str) -> None:
    """None is left behind."""
    result = bench(uri(hairpin, transport), "--mode", "setups", "--sessions", "3", "--seconds", "0.3", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["failures"]) == (0, [])
    assert found["setups"] >= 3
    assert hairpin.call(lambda: len(hairpin.server.rules.sessions)) == 0


def test_ipv6(hairpin: Running) -> None:
    """Relays are of the server's family."""
    _, port = hairpin.address(2)
    result = bench(f"turn:[::1]:{port}", "--mode", "echo", *LOAD)
    assert (result.exit_code, "nothing lost" in result.stdout) == (0, True), result.output


def test_plain_lines_where_there_is_no_terminal(hairpin: Running) -> None:
    """The phases on stderr, the verdict on stdout."""
    result = bench(uri(hairpin), *LOAD)
    assert result.exit_code == 0
    assert result.stderr == "Setting up ...\nSending ...\nGiving back ...\n"
    assert result.stdout.startswith("2 calls of 50 packets/s each way, 160 bytes each, for 0.5 s: nothing lost of ")


def test_a_secret_makes_credentials(hairpin: Running) -> None:
    """As TURN REST has them."""
    result = CliRunner().invoke(app, ["bench", uri(hairpin), "--secret", SECRET, *LOAD])
    assert result.exit_code == 0, result.output


def test_a_wrong_password(hairpin: Running) -> None:
    """Exit 1, and what to compare."""
    result = bench(uri(hairpin), *LOAD, password="wrong")
    assert result.exit_code == 1
    assert "The server does not accept the user or the password (401)" in result.stdout


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_closed_port(transport: str) -> None:
    """Exit 1, and that nobody listens."""
    port = free_port()
    result = bench(f"turn:127.0.0.1:{port}?transport={transport}", *LOAD)
    assert result.exit_code == 1
    assert f"Nobody listens on 127.0.0.1:{port} over {transport.upper()} (connection refused)." in result.stdout


def test_a_host_without_an_address() -> None:
    """Exit 1, too: it may be there tomorrow."""
    result = bench("turn:nowhere.invalid", *LOAD)
    assert result.exit_code == 1
    assert "This machine cannot reach nowhere.invalid:3478" in result.stdout


def test_peers_that_the_server_refuses() -> None:
    """In mode echo this machine must be allowed; in mode pair it need not be. Nothing stays behind."""
    with running(configuration(("udp", "127.0.0.1:0"), peers={"allow": ()})) as strict:
        refused, good = bench(uri(strict), "--mode", "echo", *LOAD), bench(uri(strict), *LOAD)
        assert (refused.exit_code, good.exit_code) == (1, 0)
        assert "peers.allow" in refused.stdout
        assert strict.call(lambda: len(strict.server.rules.sessions)) == 0


def test_a_quota() -> None:
    """Those that are let in are measured, the others counted."""
    limits = {"allocations_per_user": 2, "source_rate": 0, "session_rate": 0, "user_rate": 0}
    with running(configuration(("udp", "127.0.0.1:0"), limits=limits)) as small:
        result = bench(uri(small), "--mode", "echo", "--json", *LOAD)
    found = json.loads(result.stdout)
    assert (result.exit_code, found["sessions"]) == (1, 2)
    assert [(one["step"], one["code"], one["sessions"]) for one in found["failures"]] == [("Allocate", 486, 2)]
    assert found["packets"]["lost"] == 0


def test_ctrl_c_gives_back_and_tells(hairpin: Running) -> None:
    """What was measured until then."""

    def interrupt() -> None:
        while len(hairpin.server.rules.sessions) < 4:
            waiting.wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Event()
    thread = threading.Thread(target=interrupt)
    thread.start()
    result = bench(uri(hairpin), "--sessions", "4", "--seconds", "600", "--json")
    thread.join()
    assert json.loads(result.stdout)["stopped"] is True
    assert hairpin.call(lambda: len(hairpin.server.rules.sessions)) == 0


def test_more_sessions_than_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are not begun: what could not be closed would stay with the server."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    result = bench("turn:127.0.0.1", "--sessions", "50")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "hairpin: --sessions: 50 need 114 open files, and this machine grants 100\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://localhost", "--password", "p", "--user", "u"], "is no TURN URI"),
        (["turns:localhost", "--password", "p", "--user", "u"], "TLS is not there yet"),
        (["stun:localhost", "--password", "p", "--user", "u"], "carries no load"),
        (["turn:localhost:99999", "--password", "p", "--user", "u"], "99999 is no port"),
        (["turn:localhost?transport=sctp", "--password", "p", "--user", "u"], "the transport is udp or tcp"),
        (["turn:localhost", "--user", "u"], "--password or --secret"),
        (["turn:localhost", "--user", "u", "--password", "p", "--secret", "s"], "--password or --secret"),
        (["turn:localhost", "--password", "p"], "--user: a user name has 1 to 508 bytes"),
        (["turn:localhost", "--password", "\x07", "--user", "u"], "--password: is no password"),
        (["turn:localhost", "--password", "p", "--user", "u", "--sessions", "0"], "--sessions: 0 is not from 1"),
        (["turn:localhost", "--password", "p", "--user", "u", "--sessions", "3"], "--sessions: 3 is odd"),
        (["turn:localhost", "--password", "p", "--user", "u", "--size", "19"], "--size: 19 is not from 20"),
        (["turn:localhost", "--password", "p", "--user", "u", "--packets", "nan"], "--packets: nan is not above 0"),
        (["turn:localhost", "--password", "p", "--user", "u", "--seconds", "inf"], "--seconds: inf is not above 0"),
        (["turn:localhost", "--password", "p", "--user", "u", "--peer", "127.0.0.1"], "--peer: goes with --mode echo"),
        (["turn:localhost", "--password", "p", "--user", "u", "--mode", "up", "--peer", "x"], "is no IP address"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(arguments: list[str], words: str) -> None:
    """Before a packet is sent."""
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("hairpin: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_coturn(tmp_path: Path) -> None:
    """Another server is measured as well: over UDP and TCP, by pairs and with a peer, and its refusal understood."""
    with coturn(tmp_path, "--allow-loopback-peers") as port:
        for transport in ("udp", "tcp"):
            for mode in ("pair", "echo"):
                result = bench(f"turn:127.0.0.1:{port}?transport={transport}", "--mode", mode, "--json", *LOAD)
                found = json.loads(result.stdout)
                assert (result.exit_code, found["packets"]["lost"], found["sessions"]) == (0, 0, 4), result.stdout
        assert found["software"].startswith("Coturn")
        result = bench(f"turn:127.0.0.1:{port}", password="wrong")
        assert (result.exit_code, "(401)" in result.stdout) == (1, True)
