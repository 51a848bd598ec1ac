"""Certificates that are replaced while the server runs: new handshakes show them, and who is there notices nothing."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from certificates import Files, certify
from client import Client
from hairpin import ConfigError
from hairpin.server.certificates import Watch
from running import Running, configuration, interface, running

CLIENTS = 100


@pytest.fixture
def files() -> Files:
    """A certificate that is about to be replaced."""
    return certify("replaced", "IP:127.0.0.1", "DNS:before.test")


@pytest.fixture
def server(files: Files) -> Iterator[Running]:
    """A server that shows it."""
    turn = {"realm": "hairpin.test", "workers": 2, "interfaces": [interface("tls", "127.0.0.1:0", files)]}
    with running(configuration(turn=turn)) as made:
        yield made


def replace(files: Files, name: str) -> None:
    """Put a fresh key and certificate for that name where the old ones are, as renewing programs do: by renaming."""
    fresh = certify("fresh", "IP:127.0.0.1", f"DNS:{name}")
    fresh.cert.rename(files.cert)
    fresh.key.rename(files.key)


def shown(server: Running) -> str:
    """The name in the certificate that a new client is shown."""
    with server.client(allocate=False) as client:
        names = client.socket.getpeercert()["subjectAltName"]
    return next(name for kind, name in names if kind == "DNS")


def relay_until(done: Callable[[], bool], clients: list[Client], peer: socket.socket) -> int:
    """Have each client send and get data, round after round, until it is done; how many rounds."""
    for number in range(10_000):
        for at, client in enumerate(clients):
            client.send_channel(0x4000, b"%d:%d" % (number, at))
        for _ in clients:
            data, relay = peer.recvfrom(100)
            peer.sendto(data, relay)
        for at, client in enumerate(clients):
            assert client.receive() == (0x4000, b"%d:%d" % (number, at))
        if done():
            return number + 1
    raise AssertionError("it was never done")


def test_nobody_is_dropped_when_certificates_are_replaced(server: Running, files: Files, peer: socket.socket) -> None:
    """While 100 TLS clients relay, the files change: new handshakes show the new certificate, and no packet is lost."""
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(CLIENTS)]
        for client in clients:
            client.bind(0x4000, peer.getsockname())
        assert shown(server) == "before.test"
        replace(files, "after.test")
        relay_until(lambda: shown(server) == "after.test", clients, peer)
        assert relay_until(lambda: True, clients, peer) == 1
        assert len(server.ask("GET", "/session")[1]) == CLIENTS
        assert {client.refresh(600) for client in clients} == {600}
        with server.client() as late:
            assert late.binding() == late.address


def test_files_that_do_not_fit_change_nothing(files: Files, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate whose key has not come yet is not shown, and one line says so; when its key is there, it is."""
    problems: list[object] = []
    monkeypatch.setattr(server.server.log, "error", lambda _event, **values: problems.append(values["problem"]))
    fresh = certify("fresh", "IP:127.0.0.1", "DNS:after.test")
    fresh.cert.rename(files.cert)
    until(lambda: shown(server) != "before.test" or len(problems) > 0)
    assert problems == [f"turn.interfaces[0].key: {files.key} is not the key of the certificate"]
    assert shown(server) == "before.test"
    fresh.key.rename(files.key)
    until(lambda: shown(server) == "after.test")
    assert len(problems) == 1


def until(done: Callable[[], bool]) -> None:
    """Ask until it is so."""
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end


def test_sighup_reads_certificates_again(server: Running, files: Files) -> None:
    """At once; files that will not do change nothing, neither certificates nor settings."""
    with server.client() as client:
        replace(files, "after.test")
        server.call(lambda: server.server.reload(server.server.config))
        assert shown(server) == "after.test"
        files.key.write_text("no key")
        with pytest.raises(ConfigError, match="holds no private key in PEM"):
            server.call(lambda: server.server.reload(server.server.config))
        assert shown(server) == "after.test"
        assert client.refresh(600) == 600


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """It has changed once two looks find it the same, which is said once; so has one that is gone, and back."""
    file = tmp_path / "file"
    file.write_text("1")
    watch = Watch([file])
    assert not watch.changed()
    for text in ("12", "123", "1234"):
        file.write_text(text)
        assert not watch.changed()
    assert [watch.changed(), watch.changed()] == [True, False]
    file.unlink()
    assert [watch.changed(), watch.changed(), watch.changed()] == [False, True, False]
    file.write_text("1234")
    assert [watch.changed(), watch.changed(), watch.changed()] == [False, True, False]
