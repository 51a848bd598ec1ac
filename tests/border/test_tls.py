"""TLS: what it carries is what TCP carries; which certificate a client is shown, and which will not do at all."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from certificates import Authority, Files, authority
from client import Client
from hairpin import ConfigError
from running import Running, configuration, running


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of these tests."""
    return authority(tmp_path_factory.mktemp("authority"))


def tls(*files: Files, bind: str = "127.0.0.1:0") -> dict[str, object]:
    """An interface that shows these certificates."""
    return {
        "transport": "tls",
        "bind": bind,
        "cert": [str(one.cert) for one in files],
        "key": [str(one.key) for one in files],
    }


def serving(*interfaces: dict[str, object], workers: int = 2) -> ExitStack:
    """The settings of a server with these interfaces."""
    return running(configuration(turn={"realm": "hairpin.test", "workers": workers, "interfaces": interfaces}))


@pytest.fixture(scope="module")
def server(signer: Authority) -> Iterator[Running]:
    """A server with two certificates; the first one is for loopback's address."""
    first = signer.certify("first", "IP:127.0.0.1", "DNS:turn.test")
    with serving(tls(first, signer.certify("second", "DNS:*.example.test"))) as made:
        yield made


def trusting(signer: Authority, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's side, perhaps of one version alone."""
    context = ssl.create_default_context(cafile=signer.root.cert)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_of_either_version_is_served(server: Running, signer: Authority, version: ssl.TLSVersion) -> None:
    """It allocates, its address is its own, and the API shows it as a client over TCP."""
    with server.client(tls=trusting(signer, version)) as client:
        assert client.binding() == client.address
        (session,) = server.ask("GET", "/session")[1]
        assert (session["address"], session["transport"]) == ("{}:{}".format(*client.address), 1)
        assert server.ask("GET", "/info")[1]["interfaces"][0]["tls"] is True
        assert server.ask("GET", "/session/statistics", username="user")[1]["received_bytes"] < 1000


@pytest.mark.parametrize(
    ("name", "shown"),
    [("turn.test", "turn.test"), ("eu.example.test", "*.example.test"), ("other.test", "turn.test"), ("", "turn.test")],
)
def test_the_certificate_is_the_one_for_the_name(server: Running, signer: Authority, name: str, shown: str) -> None:
    """A client that names a server (SNI) is shown its certificate; one that names none, or another, the first one."""
    context = trusting(signer)
    context.check_hostname = False
    with Client(server.address(), tcp=True) as client:
        client.socket = context.wrap_socket(client.socket, server_hostname=name or None)
        assert ("DNS", shown) in client.socket.getpeercert()["subjectAltName"]


def test_what_is_no_certificate_stops_the_start(signer: Authority, tmp_path: Path) -> None:
    """One line names the setting and the file, whatever is wrong with it, before anything is served."""
    good, other = signer.certify("good", "DNS:good.test"), signer.certify("other", "DNS:other.test")
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


def test_certificates_are_read_again(signer: Authority) -> None:
    """After a reload new handshakes show the new certificate, and a client that was there goes on."""
    files = signer.certify("reloaded", "IP:127.0.0.1", "DNS:before.test")
    with serving(tls(files)) as server, server.client(tls=trusting(signer)) as client:
        signer.certify("reloaded", "IP:127.0.0.1", "DNS:after.test")
        server.call(lambda: server.server.reload(server.server.config))
        client.refresh(600)
        with server.client(tls=trusting(signer), allocate=False) as late:
            assert ("DNS", "after.test") in late.socket.getpeercert()["subjectAltName"]
        files.key.write_text("no key")
        with pytest.raises(ConfigError, match="holds no private key in PEM"):
            server.call(lambda: server.server.reload(server.server.config))
        with server.client(tls=trusting(signer)) as late:
            assert ("DNS", "after.test") in late.socket.getpeercert()["subjectAltName"]
