"""TLS: handshakes, their limits, and what they negotiate. What TLS carries is tested where TCP is."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from certificates import Files, authority, certify, loopback, trusting
from client import BINDING, Client, build, parse
from hairpin import ConfigError
from running import Running, configuration, interface, running


def serving(*interfaces: dict[str, object], workers: int = 2, **tables: object) -> AbstractContextManager[Running]:
    """A server with these interfaces."""
    turn = {"realm": "hairpin.test", "workers": workers, "interfaces": interfaces}
    return running(configuration(turn=turn, **tables))


def tls(files: Files | None = None, **more: object) -> dict[str, object]:
    """An interface that shows this certificate."""
    return interface("tls", "127.0.0.1:0", files, **more)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server with two certificates; the first one is for loopback's address."""
    shown = [loopback(), certify("second", "DNS:*.example.test")]
    with serving(tls(cert=[str(one.cert) for one in shown], key=[str(one.key) for one in shown])) as made:
        yield made


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_of_either_version_is_served(server: Running, version: ssl.TLSVersion) -> None:
    """It allocates, its address is its own, and the API shows it as a client over TCP."""
    with server.client(tls=trusting(version)) as client:
        assert client.binding() == client.address
        (session,) = server.ask("GET", "/session")[1]
        assert (session["address"], session["transport"]) == ("{}:{}".format(*client.address), 1)
        assert server.ask("GET", "/info")[1]["interfaces"][0]["tls"] is True
        assert server.ask("GET", "/session/statistics", username="user")[1]["received_bytes"] < 1000


@pytest.mark.parametrize(
    ("name", "shown"),
    [("turn.test", "turn.test"), ("eu.example.test", "*.example.test"), ("other.test", "turn.test"), ("", "turn.test")],
)
def test_the_certificate_is_the_one_for_the_name(server: Running, name: str, shown: str) -> None:
    """A client that names a server (SNI) is shown its certificate; one that names none, or another, the first one."""
    context = trusting()
    context.check_hostname = False
    with Client(server.address(), tcp=True) as client:
        client.socket = context.wrap_socket(client.socket, server_hostname=name or None)
        assert ("DNS", shown) in client.socket.getpeercert()["subjectAltName"]


def test_what_is_no_certificate_stops_the_start(tmp_path: Path) -> None:
    """One line names the setting and the file, whatever is wrong with it, before anything is served."""
    good, other = certify("good", "DNS:good.test"), certify("other", "DNS:other.test")
    empty, broken, missing = tmp_path / "empty", tmp_path / "broken", tmp_path / "missing"
    empty.touch()
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for cert, key, line in (
        (missing, good.key, f"cert: {missing} cannot be read: No such file or directory"),
        (good.cert, missing, f"key: {missing} cannot be read: No such file or directory"),
        (empty, good.key, f"cert: {empty} holds no certificate in PEM"),
        (broken, good.key, f"cert: {broken} holds a certificate that is broken"),
        (good.cert, good.cert, f"key: {good.cert} holds no private key in PEM without a passphrase"),
        (good.cert, other.key, f"key: {other.key} is not the key of the certificate"),
    ):
        with pytest.raises(ConfigError) as error, serving(tls(Files(cert, key))):
            pass
        assert str(error.value) == f"turn.interfaces[0].{line}"


def test_tcp_and_tls_share_a_port() -> None:
    """Where the settings say so, the first byte tells them apart (RFC 8489, section 8); both ways in are announced."""
    with serving(tls(plain_tcp=True, hostname="turn.test")) as server:
        with server.client() as secure, server.client(tls=None) as plain:
            assert secure.binding() == secure.address
            assert plain.binding() == plain.address
        with server.client(tls=None, allocate=False) as late:
            late.socket.sendall(b"\x00")  # one byte is enough to know
            late.socket.sendall(build(BINDING, bytes(12), [])[1:])
            assert parse(late.frame(10)).method == BINDING
        port = server.address()[1]
        uris = [f"turns:turn.test:{port}?transport=tcp", f"turn:turn.test:{port}?transport=tcp"]
        assert [entrance.uri for entrance in server.server.entrances] == uris


def test_a_port_of_tls_alone_takes_no_other(server: Running) -> None:
    """What is no handshake is closed and counted."""
    before = server.drops()["tls"]
    with server.client(tls=None, allocate=False) as client:
        client.socket.sendall(build(BINDING, bytes(12), []))
        assert ended(client)
    assert server.drops()["tls"] == before + 1


def test_a_handshake_is_bounded(server: Running) -> None:
    """A client that says more than 16 KiB before its handshake is done is closed and counted."""
    before = server.drops()["tls"]
    with server.client(tls=None, allocate=False) as client:
        hello = b"\x01\x00\xff\xff" + bytes(16384 - 4)  # the beginning of a ClientHello of 65,535 bytes
        client.socket.sendall(b"\x16\x03\x01\x40\x00" + hello)
        with suppress(ConnectionResetError, BrokenPipeError):
            client.socket.sendall(b"\x16\x03\x01\x40\x00" + bytes(16384))
        assert ended(client)
    assert server.drops()["tls"] == before + 1


def test_handshakes_count_against_the_source() -> None:
    """A source that has proved nothing begins no more of them than it gets answers: the rest is closed and counted."""
    with serving(tls(), limits={"source_rate": 5}) as server:
        clients = [server.client(tls=None, allocate=False) for _ in range(20)]
        for client in clients:
            client.socket.sendall(b"\x16\x03\x01")
        while server.drops()["over_source"] < 10:
            assert len(clients) == 20
        for client in clients:
            client.socket.close()


def ended(client: Client) -> bool:
    """Whether the server closes the connection, perhaps with a last word of TLS."""
    with suppress(ConnectionResetError, BrokenPipeError):
        while client.socket.recv(100):
            pass
    return True


def test_both_sides_say_that_no_more_comes(server: Running) -> None:
    """The server answers close_notify with its own, and says it by itself where it ends a session."""
    with server.client() as client:
        assert client.socket.unwrap().fileno() > 0  # which returns when the server's close_notify is there
    with server.client() as client:
        client.socket.suppress_ragged_eofs = False
        assert server.ask("DELETE", "/session", address="{}:{}".format(*client.address))[0] == 200
        assert client.socket.recv(100) == b""


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ("stun.turn", "ALPN protocol: stun.turn"),
        ("stun.nat-discovery", "ALPN protocol: stun.nat-discovery"),
        ("http/1.1,stun.nat-discovery,stun.turn", "ALPN protocol: stun.turn"),
        (None, "No ALPN negotiated"),
        ("http/1.1,h2", "alert number 120"),
    ],
)
def test_alpn(server: Running, version: str, offered: str | None, said: str) -> None:
    """RFC 7443's protocols are chosen where they are offered; only others get no_application_protocol (RFC 7301)."""
    assert said in s_client(server, version, *(["-alpn", offered] if offered else []))


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_sees_the_certificate_for_the_name(server: Running, version: str) -> None:
    """And trusts it; what is older than TLS 1.2 is refused."""
    output = s_client(server, version, "-servername", "eu.example.test", "-verify_hostname", "eu.example.test")
    assert "subject=CN = second" in output
    assert "Verification: OK" in output
    assert "alert handshake failure" in s_client(server, "-tls1_1", "-cipher", "ALL@SECLEVEL=0")


def test_each_frame_begins_a_record(server: Running) -> None:
    """Answers that leave together are records of their own, for clients that take a record for a message."""
    with server.client() as client:
        question = build(BINDING, bytes(12), [])
        client.socket.sendall(question * 20)
        assert {parse(client.socket.recv(65536)).method for _ in range(20)} == {BINDING}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_from_tickets(server: Running, version: ssl.TLSVersion) -> None:
    """By whichever worker the client meets, for nothing is kept."""
    context = trusting(version)
    with server.client(tls=context) as client:
        assert not client.socket.session_reused
        session = client.socket.session
    for _ in range(8):
        with Client(server.address(), tcp=True) as client:
            client.socket = context.wrap_socket(client.socket, server_hostname="127.0.0.1", session=session)
            assert client.binding() == client.address
            assert client.socket.session_reused
            session = client.socket.session


def s_client(server: Running, *options: str) -> str:
    """What openssl's client says of a handshake."""
    ip, port = server.address()
    command = ["openssl", "s_client", "-connect", f"{ip}:{port}", "-CAfile", str(authority().cert), *options]
    found = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    return found.stdout + found.stderr
