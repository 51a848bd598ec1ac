"""DTLS: what its records carry is what UDP carries; a stranger costs nothing, and nobody ends another's association."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from certificates import Files, certify, loopback
from client import BINDING, INDICATION, UNKNOWN_ATTRIBUTES, Client, TurnError, build
from dtls import DtlsSocket
from hairpin import ConfigError
from running import Running, configuration, discovering, interface, running
from serving import serving as process

CHANNEL = 0x4000
CHANGE_REQUEST, OTHER_ADDRESS = 0x0003, 0x802C
STATELESS = 60  # bytes of a HelloVerifyRequest with our cookie


def dtls(*files: Files) -> dict[str, object]:
    """An interface that shows these certificates."""
    shown = {"cert": [str(one.cert) for one in files], "key": [str(one.key) for one in files]}
    return interface("dtls", "127.0.0.1:0", None, **shown)


def serving(*interfaces: dict[str, object], workers: int = 2, **tables: Any) -> AbstractContextManager[Running]:
    """A server with these interfaces."""
    turn = {"realm": "hairpin.test", "workers": workers, "interfaces": interfaces}
    return running(configuration(turn=turn, **tables))


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server with two certificates, and a UDP listener beside."""
    shown = dtls(loopback(), certify("second", "DNS:*.example.test"))
    with serving(shown, {"transport": "udp", "bind": "127.0.0.1:0"}) as made:
        yield made


@pytest.fixture
def connect(server: Running) -> Iterator[Callable[..., Client]]:
    """Clients of the server over DTLS."""
    with ExitStack() as clients:

        def connected(*, allocate: bool = True, under: socket.socket | None = None, **options: Any) -> Client:
            client = Client(server.address())
            clients.callback(client.socket.close)
            client.socket = DtlsSocket(under or client.socket, **options)
            if allocate:
                client.allocate()
            return client

        yield connected


def peer() -> socket.socket:
    """A UDP socket on loopback."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(10)
    return made


def hello(cookie: bytes = b"", number: int = 0) -> bytes:
    """A ClientHello of DTLS 1.2 that no TLS library has sent."""
    body = b"\xfe\xfd" + bytes(32) + b"\0" + bytes([len(cookie)]) + cookie + b"\0\x02\xc0\x2b\x01\0"
    size = len(body).to_bytes(3, "big")
    message = b"\x01" + size + struct.pack("!H", number) + bytes(3) + size + body
    return b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", len(message)) + message


def eventually(condition: Callable[[], bool], patience: float = 10) -> None:
    """Ask until it holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def statistics(server: Running, client: Client) -> dict[str, int]:
    """What the API says about a client."""
    found: dict[str, int] = server.ask("GET", "/session/statistics", address="{}:{}".format(*client.address))[1]
    return found


def test_a_client_is_served(server: Running, connect: Callable[..., Client]) -> None:
    """It allocates, its address is its own, and the API shows it as a client over UDP, on an interface with TLS."""
    client = connect()
    assert client.binding() == client.address
    (session,) = server.ask("GET", "/session", address="{}:{}".format(*client.address))[1]
    assert session["transport"] == 0
    (first, second) = server.ask("GET", "/info")[1]["interfaces"]
    assert (first["transport"], first["tls"], "tls" in second) == (0, True, False)


def test_data_goes_both_ways_as_over_udp(server: Running, connect: Callable[..., Client]) -> None:
    """In channels, unpadded, and in indications; the books count messages, and not what records add."""
    with peer() as other:
        client = connect()
        client.permit(other.getsockname())
        client.bind(CHANNEL, other.getsockname())
        before, received, sent = statistics(server, client), 0, 0
        for size in (0, 1, 5, 1000, 1200, 9000, 16380):
            data = bytes(range(256)) * 64
            client.send_channel(CHANNEL, data[:size])
            payload, relay = other.recvfrom(65536)
            assert (payload, relay) == (data[:size], client.relay)
            other.sendto(payload, relay)
            assert client.receive() == (CHANNEL, payload)
            received, sent = received + 4 + size, sent + 4 + size
        after = statistics(server, client)
        assert after["received_bytes"] - before["received_bytes"] == received
        assert after["send_bytes"] - before["send_bytes"] == sent
        assert after["error_pkts"] == before["error_pkts"] == 0


def test_a_message_that_no_record_holds_is_dropped_and_counted(server: Running, connect: Callable[..., Client]) -> None:
    """A record has 16,384 bytes at most (RFC 6347, 4.1); the next message goes through."""
    with peer() as other:
        client = connect()
        client.bind(CHANNEL, other.getsockname())
        before = server.drops()["too_large"]
        other.sendto(bytes(16381), client.relay)
        other.sendto(b"next", client.relay)
        assert client.receive() == (CHANNEL, b"next")
        assert server.drops()["too_large"] == before + 1


def test_bursts_are_relayed_whole_and_in_order(server: Running, connect: Callable[..., Client]) -> None:
    """Between a client of DTLS and one of UDP, on the same worker or not."""
    with server.client(1) as other:
        client = connect()
        for one, two in ((client, other), (other, client)):
            one.bind(CHANNEL, two.relay)
        for one, two in ((client, other), (other, client)):
            messages = [struct.pack("!I", number) * 50 for number in range(200)]
            for start in range(0, len(messages), 20):
                for message in messages[start : start + 20]:
                    one.send_channel(CHANNEL, message)
                assert [two.receive() for _ in range(20)] == [(CHANNEL, one) for one in messages[start : start + 20]]


def test_a_stranger_gets_a_cookie_and_no_memory(server: Running, connect: Callable[..., Client]) -> None:
    """The first answer is shorter than what was asked; a cookie that somebody else was given is worth nothing."""
    with peer() as one, peer() as two:
        before = server.drops()
        for stranger in (one, two):
            stranger.sendto(hello(), server.address())
        cookies = [stranger.recv(2000)[-32:] for stranger in (one, two)]
        assert cookies[0] != cookies[1]
        two.sendto(hello(cookies[0], 1), server.address())
        again = two.recv(2000)
        assert (len(again), again[13]) == (STATELESS, 3)
        assert len(again) < len(hello())
        one.sendto(b"GET / HTTP/1.1\r\n\r\n" * 9, server.address())
        connect()
        after = server.drops()
        assert after["malformed"] + after["no_association"] == before["malformed"] + before["no_association"] + 1


def test_who_only_claims_to_be_a_client_does_not_end_its_association(
    server: Running, connect: Callable[..., Client]
) -> None:
    """From a client's address: ClientHellos without and with a forged cookie, unencrypted alerts and other records."""
    with peer() as other:
        client = connect()
        client.bind(CHANNEL, other.getsockname())
        alert = b"\x15\xfe\xfd" + bytes(8) + b"\0\x02\x02\x28"
        finished = b"\x14\xfe\xfd" + bytes(8) + b"\0\x01\x01"
        encrypted = b"\x17\xfe\xfd\0\x01" + bytes(6) + b"\0\x40" + bytes(64)
        for forged in (hello(), hello(bytes(32), 1), alert, finished, encrypted, bytes(20)):
            for _ in range(40):
                client.socket.under.send(forged)
            client.send_channel(CHANNEL, b"still there")
            assert other.recv(100) == b"still there"
            other.sendto(b"and back", client.relay)
            assert client.receive() == (CHANNEL, b"and back")


def test_a_client_that_begins_anew_replaces_its_association(server: Running, connect: Callable[..., Client]) -> None:
    """From the same address, without a word: the session before is gone, nothing meant for it reaches the new one."""
    client = connect()
    again = connect(under=client.socket.under, allocate=False)
    assert again.address == client.address
    assert again.allocate() != client.relay
    assert len(server.ask("GET", "/session", address="{}:{}".format(*again.address))[1]) == 1


def test_a_client_that_leaves_takes_its_session_along(server: Running, connect: Callable[..., Client]) -> None:
    """close_notify ends it at once, and is answered."""
    client = connect()
    client.socket.leave()
    assert client.socket.recv(100) == b""
    eventually(lambda: not server.ask("GET", "/session", address="{}:{}".format(*client.address))[1])


def test_deleting_a_session_disconnects_the_client(server: Running, connect: Callable[..., Client]) -> None:
    """It is told so by close_notify."""
    client = connect()
    assert server.ask("DELETE", "/session", address="{}:{}".format(*client.address))[0] == 200
    assert client.socket.recv(100) == b""


def test_an_association_outlives_its_session(server: Running, connect: Callable[..., Client]) -> None:
    """After a Refresh to 0 the client may allocate again without another handshake."""
    client = connect()
    client.refresh(0)
    client.allocate()
    with pytest.raises(TurnError, match="437"):
        client.allocate()


@pytest.mark.parametrize("lost", range(1, 5))
def test_a_handshake_survives_a_lost_datagram(connect: Callable[..., Client], lost: int) -> None:
    """Whichever datagram of the server it is, somebody's timer has it sent again."""
    client = connect(loses=lambda number: number == lost)
    assert client.binding() == client.address


def test_a_handshake_survives_the_network(connect: Callable[..., Client]) -> None:
    """Records that come one by one, each of them twice, and a flight from its end to its beginning."""

    def scrambled(datagram: bytes) -> list[bytes]:
        parts = []
        while datagram:
            size = 13 + int.from_bytes(datagram[11:13], "big")
            parts.append(datagram[:size])
            datagram = datagram[size:]
        return [part for part in reversed(parts) for _ in range(2)] + parts

    client = connect(sends=scrambled)
    assert client.binding() == client.address


def test_what_others_send_into_a_handshake_does_no_harm(server: Running, connect: Callable[..., Client]) -> None:
    """From the client's address, before its last flight: encrypted records of all kinds and epochs, more than once."""
    others = [
        bytes([kind, 0xFE, 0xFD]) + struct.pack("!HHI", epoch, 0, number) + b"\0\x30" + bytes(48)
        for kind, epochs in ((20, (1,)), (21, (1,)), (22, (2, 65535)), (23, (1, 2)), (24, (1,)), (99, (0, 1)))
        for epoch in epochs
        for number in (5, 5, 1, 5)
    ]
    with peer() as under:
        under.connect(server.address())

        def interfere(number: int) -> bool:
            for record in others if number == 2 else ():
                under.send(record)
            return False

        client = connect(under=under, loses=interfere)
        assert client.binding() == client.address


def test_a_client_hello_may_come_in_fragments(connect: Callable[..., Client]) -> None:
    """Of a client whose way takes no more than 256 bytes at a time."""
    client = connect(mtu=256)
    assert client.binding() == client.address


@pytest.mark.parametrize(
    ("name", "shown"), [("", "loopback"), ("turn.test", "loopback"), ("eu.example.test", "second")]
)
def test_the_certificate_is_the_one_for_the_name(connect: Callable[..., Client], name: str, shown: str) -> None:
    """A client that names a server (SNI) is shown its certificate."""
    assert connect(name=name, allocate=False).socket.shown().subject.rfc4514_string() == f"CN={shown}"


@pytest.mark.parametrize("ciphers", [b"ECDHE-ECDSA-AES128-GCM-SHA256", b"ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_other_ciphers_are_spoken(connect: Callable[..., Client], ciphers: bytes) -> None:
    """A client chooses."""
    client = connect(ciphers=ciphers)
    assert client.socket.tls.get_cipher_name().encode() == ciphers


def test_a_client_with_which_nothing_can_be_agreed_is_told_so(server: Running, connect: Callable[..., Client]) -> None:
    """An alert ends its attempt, and it is counted."""
    before = server.drops()["dtls"]
    with pytest.raises(SSL.Error, match="handshake failure"):
        connect(ciphers=b"ECDHE-RSA-AES128-GCM-SHA256")
    assert server.drops()["dtls"] == before + 1


def test_certificates_are_read_again() -> None:
    """After a reload new handshakes show the new certificate, and a client that was there goes on."""
    files = certify("reloaded", "IP:127.0.0.1")
    with serving(dtls(files)) as server, Client(server.address()) as client, Client(server.address()) as late:
        client.socket = DtlsSocket(client.socket)
        client.allocate()
        certify("reloaded", "IP:127.0.0.1")
        server.call(lambda: server.server.reload(server.server.config))
        client.refresh(600)
        late.socket = DtlsSocket(late.socket)
        assert late.socket.shown().serial_number != client.socket.shown().serial_number


def test_a_key_that_dtls_cannot_sign_with_stops_the_start() -> None:
    """One line names the setting and the file."""
    files = certify("rsa", "IP:127.0.0.1", kind=("-newkey", "rsa:2048"))
    with pytest.raises(ConfigError) as error, serving(dtls(files)):
        pass
    line = f"turn.interfaces[0].key: {files.key} is not for ECDSA with P-256 or P-384, which dtls needs"
    assert str(error.value) == line


def test_strangers_of_one_source_are_bounded() -> None:
    """256 associations that have proved nothing; one more is refused before its handshake, and a proof makes room."""
    with serving(dtls(loopback()), workers=1) as server, ExitStack() as clients:
        made = []
        for _ in range(256):
            client = Client(server.address())
            clients.callback(client.socket.close)
            client.socket = DtlsSocket(client.socket)
            made.append(client)
        with Client(server.address()) as late:
            for _ in range(3):
                late.socket.send(hello())
                late.socket.send(hello(late.socket.recv(2000)[-32:], 1))
        eventually(lambda: server.drops()["over_source"] == 3)
        made[0].allocate()
        with Client(server.address()) as late:
            late.socket = DtlsSocket(late.socket)
            assert late.binding() == late.address


def test_a_flood_of_client_hellos_costs_no_memory_and_no_call(tmp_path: Path) -> None:
    """From 20,000 addresses, without a cookie and with forged ones; a client that relays meanwhile loses nothing."""
    with process(tmp_path, 1) as server, peer() as other, Client(("127.0.0.1", server.secure)) as client:
        client.socket = DtlsSocket(client.socket)
        client.allocate()
        client.bind(CHANNEL, other.getsockname())
        flood(server.secure, range(2000), client, other)
        before = server.resident()
        flood(server.secure, range(2000, 22000), client, other)
        assert server.resident() - before < 1 << 20


def flood(port: int, numbers: range, client: Client, other: socket.socket) -> None:
    """Greet from as many addresses, and see after each hundred that a message still passes."""
    for number in numbers:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((f"127.{number % 250 + 1}.{number // 250 + 1}.1", 0))
            stranger.sendto(hello(), ("127.0.0.1", port))
            stranger.sendto(hello(bytes(32), 1), ("127.0.0.1", port))
        if number % 100 == 0:
            client.send_channel(CHANNEL, struct.pack("!I", number))
            assert other.recv(100) == struct.pack("!I", number)


def test_who_stalls_and_who_proves_nothing_is_dropped_after_30_seconds() -> None:
    """A client that never hears an answer to its second ClientHello, and one that only connects; a session stays."""
    with serving(dtls(loopback())) as server, ExitStack() as sockets:
        stalling, silent, live = (sockets.enter_context(peer()) for _ in range(3))
        for one in (stalling, silent, live):
            one.connect(server.address())
        began = time.monotonic()
        stranger = DtlsSocket(silent)
        with Client(server.address()) as client:
            client.socket.close()
            client.socket = DtlsSocket(live)
            client.allocate()
            with pytest.raises(TimeoutError):
                DtlsSocket(stalling, loses=lambda number: number > 1)
            eventually(lambda: server.drops()["dtls_stalled"] == 1, 40)
            stranger.settimeout(20)
            assert stranger.recv(100) == b""
            assert 29 < time.monotonic() - began < 45
            assert client.refresh(600) == 600


def test_s_11_a_request_without_the_cookie_is_500(connect: Callable[..., Client]) -> None:
    """RFC 8489, 11: over DTLS nothing without the magic cookie is valid: a request gets 500, an indication nothing."""
    client = connect(allocate=False)
    classic = bytes(range(16))
    for kind in (BINDING | INDICATION, BINDING):
        client.socket.sendall(struct.pack("!HH", kind, 0) + classic)
    answer = client.frame(10)
    assert (answer[:2], answer[4:20]) == (struct.pack("!H", BINDING | 0x0110), classic)
    assert answer[20:28] == struct.pack("!HH", 0x0009, 4 + len("Server Error")) + bytes([0, 0, 5, 0])
    assert client.binding() == client.address


def test_n_6_1_over_dtls_420() -> None:
    """RFC 5780, 6.1: an association's answer can leave from nowhere else; what it is told is where the others are."""
    with discovering("udp", "dtls") as made, Client(made.address(4)) as client:
        client.socket = DtlsSocket(client.socket)
        answer = client.exchange(build(BINDING, bytes(12), [(CHANGE_REQUEST, b"\0\0\0\6")]))
        assert (answer.error, answer.get(UNKNOWN_ATTRIBUTES)) == (420, struct.pack("!H", CHANGE_REQUEST))
        assert client.exchange(build(BINDING, bytes(12), [])).get(OTHER_ADDRESS) is not None
