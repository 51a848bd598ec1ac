"""coturn's own test client, which checks what it gets back: every message that it sends through hairpin returns."""

import re
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from running import configuration, running
from serving import PASSWORD, USER, Serving, free_port

MESSAGES = 20
TRANSPORTS = {"udp": [], "tcp": ["-t"], "tls": ["-t", "-S"], "dtls": ["-S"]}
# uclient draws channel numbers by chance, and now and then 0x7FFF or one twice in a session, for which the RFC has 400.
# It ends without a Refresh of 0, and the kernel may draw the port of such an allocation for a later client: 437.
BAD_DRAWS, REDRAWS = re.compile("channel bind: error 400|error 437"), 3
# With two relays (-Z) it gives one of them back by chance, and then may ask for a peer of that family.
GIVEN_BACK, MANY_REDRAWS = "error 443", 12


@pytest.fixture(scope="session")
def echo(echo_peer_program: Path) -> Iterator[int]:
    """The port of a running turnutils_peer, which sends back what it gets."""
    port = free_port()
    process = subprocess.Popen([echo_peer_program, "-L", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL)
    try:
        wait_for_echo(port)
        yield port
    finally:
        process.kill()
        process.wait()


def wait_for_echo(port: int) -> None:
    """Send datagrams until one comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", port))
        probe.settimeout(0.1)
        for _ in range(100):
            try:
                probe.send(b"anyone there?")
                assert probe.recv(64) == b"anyone there?"
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                time.sleep(0.02)  # not bound yet, and the refusal is the only sign of that
                continue
            return
    raise AssertionError("turnutils_peer does not echo")


def start(uclient: Path, server: Serving, *options: str, password: str = PASSWORD) -> subprocess.Popen[str]:
    """A run of uclient against that server, paced; -S is TLS or DTLS, -x IPv6."""
    port = server.secure if "-S" in options else server.port
    fixed = ["-u", USER, "-w", password, "-p", str(port), "-n", str(MESSAGES), "-z", "20"]
    command: list[str | Path] = [uclient, *fixed, *options, (server.address6 if "-x" in options else server.address)[0]]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


# The keys that uclient makes tokens with, of which AES takes the first bytes.
OAUTH_KEYS = {
    "north": b64encode(b"01234567890123456789012345678901"),
    "union": b64encode(b"1234567890123456"),
    "oldempire": b64encode(b"12345678901234567890123456789012"),
}


def end(run: subprocess.Popen[str]) -> str:
    """What a run printed, when it has ended."""
    try:
        return run.communicate(timeout=120)[0]
    finally:
        run.kill()


def at_once(call: Callable[..., None], *cases: tuple[Any, ...]) -> None:
    """Call with each of the cases, all at the same time: most of a run is waiting."""
    with ThreadPoolExecutor(len(cases)) as pool:
        for made in [pool.submit(call, *case) for case in cases]:
            made.result()


@pytest.mark.parametrize(
    ("clients", "transports"), [(1, ("udp", "tcp", "tls", "dtls")), (50, ("udp", "tls")), (50, ("tcp", "dtls"))]
)
def test_every_message_returns(
    uclient: Path, echo: int, server: Serving, clients: int, transports: tuple[str, ...]
) -> None:
    """In channels and indications (-s), to a peer and between clients (-y), all at once: sent = received, none lost."""
    fixed = ["-c", "-m", str(clients), "-e", "127.0.0.1", "-r", str(echo)]
    runs_of = ((), ("-s",), ("-y",), ("-s", "-y"))
    cases = ((uclient, server, clients, [*fixed, *TRANSPORTS[transport]], runs_of) for transport in transports)
    at_once(returns, *cases)


def test_every_message_returns_over_ipv6(uclient: Path, server: Serving) -> None:
    """Between clients, whose relays are on IPv6, too, over each transport."""
    fixed = ["-c", "-m", "10", "-x", "-y"]
    cases = ((uclient, server, 10, [*fixed, *transport], ((), ("-s",))) for transport in TRANSPORTS.values())
    at_once(returns, *cases)


def returns(
    uclient: Path, server: Serving, clients: int, fixed: list[str], runs_of: tuple[tuple[str, ...], ...]
) -> None:
    """Have all these runs at once, and see that none loses a message."""
    runs = {options: start(uclient, server, *fixed, *options) for options in runs_of}
    try:
        for options in runs:
            output = end(runs[options])
            for _ in range(REDRAWS):
                if runs[options].returncode and BAD_DRAWS.search(output):
                    runs[options] = start(uclient, server, *fixed, *options)
                    output = end(runs[options])
            sent = str((max(clients, 2) if "-y" in (*fixed, *options) else clients) * MESSAGES)
            totals = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$", output, re.MULTILINE)
            assert runs[options].returncode == 0, output
            assert totals[-1:] == [(sent, sent)], output
            assert "Total lost packets 0 (0.000000%), total send dropped 0 (0.000000%)" in output, output
    finally:
        for run in runs.values():
            run.kill()
            run.communicate()


@pytest.mark.parametrize("clients", [1, 20])
def test_every_message_returns_over_tcp_relays(uclient: Path, echo: int, server: Serving, clients: int) -> None:
    """RFC 6062, between each two clients (-T), as uclient has it: Connect, ConnectionBind, and none lost."""
    # Of an answer on a data connection uclient reads no more bytes than its messages have, 100 without -l.
    run = start(uclient, server, "-c", "-T", "-l", "200", "-m", str(clients), "-e", "127.0.0.1", "-r", str(echo))
    output, clients = end(run), max(clients, 2)
    totals = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$", output, re.MULTILINE)
    assert (run.returncode, totals[-1:]) == (0, [(str(clients * MESSAGES),) * 2]), output
    assert f" {clients * (clients - 1)} connections are completed" in output, output
    assert "Total lost packets 0 (0.000000%), total send dropped 0 (0.000000%)" in output, output


KINDS = [
    ("-c", "-g"),
    ("-c", "-g", "-s"),
    (),
    ("-s",),
    ("-c", "-x", "-y"),
    ("-c", "-x", "-y", "-s"),
    ("-Z",),
    ("-Z", "-s"),
]


def test_allocations_of_every_kind(uclient: Path, echo: int, server: Serving) -> None:
    """DONT-FRAGMENT, pairs of ports by a reservation token, IPv6 relays, two relays of which one is given back."""
    fixed = ("-m", "1", "-e", "127.0.0.1", "-r", str(echo))
    cases = [(uclient, server, (*fixed, *transport, *kind)) for kind in KINDS for transport in ((), ("-t",))]
    at_once(returns_whatever_was_sent, *cases)


def returns_whatever_was_sent(uclient: Path, server: Serving, options: tuple[str, ...]) -> None:
    """Have a run that draws by chance how much it sends, and see that none is lost."""
    for _ in range(MANY_REDRAWS):
        run = start(uclient, server, *options)
        output = end(run)
        if not (run.returncode and BAD_DRAWS.search(output)) and not ("-Z" in options and GIVEN_BACK in output):
            break
    assert run.returncode == 0, output
    ((sent, received),) = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$", output, re.MULTILINE)[-1:]
    assert sent == received, output
    assert int(sent) >= MESSAGES, output
    assert "Total lost packets 0 (0.000000%), total send dropped 0 (0.000000%)" in output, output


def test_every_message_returns_to_a_client_that_moved(uclient: Path, echo: int, server: Serving) -> None:
    """RFC 8016 (-M): five clients allocate, come from another port by their tickets, and lose nothing."""
    fixed = ["-c", "-M", "-m", "5", "-e", "127.0.0.1", "-r", str(echo)]
    at_once(returns, *((uclient, server, 5, [*fixed, *transport], ((), ("-s",))) for transport in ((), ("-t",))))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_wrong_password_gets_no_allocation(uclient: Path, echo: int, server: Serving, transport: str) -> None:
    """A client with a wrong password never completes its allocation."""
    options = ["-c", "-v", "-e", "127.0.0.1", "-r", str(echo), *TRANSPORTS[transport]]
    run = start(uclient, server, *options, password="wrong")
    output = end(run)
    assert run.returncode != 0, output
    assert "Cannot complete Allocation" in output
    assert "success" not in output


@pytest.mark.parametrize("option", [[], ["-t"]], ids=["udp", "tcp"])
def test_rfc7635_tokens_that_uclient_makes_are_taken(uclient: Path, echo: int, option: list[str]) -> None:
    """With -J it draws one of three keys for each Allocate and Refresh, and seals a token with it; nothing is lost."""
    tables: dict[str, dict[str, object]] = {
        "turn": {"server_name": "turn.hairpin.test"},
        "auth": {"static_credentials": {}, "oauth_keys": {kid: key.decode() for kid, key in OAUTH_KEYS.items()}},
        "compat": {"rfc5766_channels": True},
    }
    port = free_port()
    binds = [(transport, f"127.0.0.1:{port}") for transport in ("udp", "tcp")]
    with running(configuration(*binds, **tables)) as server:
        peer = ["-e", "127.0.0.1", "-r", str(echo), "-p", str(port), "-n", str(MESSAGES), "-z", "20", "-c"]
        command: list[str | Path] = [uclient, "-J", "-m", "20", *peer, *option, "127.0.0.1"]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        output = end(run)
        users = {session["username"] for session in server.ask("GET", "/session")[1]}
    totals = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$", output, re.MULTILINE)
    assert totals[-1:] == [(str(20 * MESSAGES),) * 2], output
    assert users <= OAUTH_KEYS.keys()
