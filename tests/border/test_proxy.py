"""The PROXY protocol: the client is the one whom a trusted proxy names, and nobody else is believed."""

import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from certificates import trusting
from client import BINDING, Client, Endpoint, build, parse
from running import Running, configuration, interface, running

TCP, TLS, BOTH, DISTRUSTFUL = range(4)
CLIENT, CLIENT6 = ("203.0.113.7", 4660), ("2001:db8::7", 4661)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server that trusts loopback on three of its interfaces, and another network on the last one."""
    bind, trusted = "127.0.0.1:0", ["127.0.0.0/8"]
    interfaces = [
        interface("tcp", bind, proxy_from=trusted),
        interface("tls", bind, proxy_from=trusted),
        interface("tls", bind, proxy_from=trusted, plain_tcp=True),
        interface("tcp", bind, proxy_from=["10.0.0.0/8"]),
    ]
    with running(configuration(turn={"realm": "hairpin.test", "workers": 2, "interfaces": interfaces})) as made:
        yield made


def line(client: Endpoint) -> bytes:
    """A header of version 1."""
    own = "127.0.0.1" if "." in client[0] else "::1"
    return f"PROXY TCP{ip_address(own).version} {client[0]} {own} {client[1]} 3478\r\n".encode()


def binary(client: Endpoint, extensions: bytes = b"") -> bytes:
    """A header of version 2."""
    source, own = ip_address(client[0]), ip_address("127.0.0.1" if "." in client[0] else "::1")
    addresses = source.packed + own.packed + struct.pack("!HH", client[1], 3478) + extensions
    family = b"\x21\x11" if source.version == 4 else b"\x21\x21"
    return SIGNATURE + family + struct.pack("!H", len(addresses)) + addresses


def behind(server: Running, index: int, *pieces: bytes, tls: bool = False) -> Client:
    """A client behind a proxy that writes these pieces before all else."""
    client = Client(server.address(index), tcp=True)
    for piece in pieces:
        client.socket.sendall(piece)
    if tls:
        client.socket = trusting().wrap_socket(client.socket, server_hostname="127.0.0.1")
    return client


@pytest.mark.parametrize(("index", "tls"), [(TCP, False), (TLS, True), (BOTH, False), (BOTH, True)])
@pytest.mark.parametrize("named", [CLIENT, CLIENT6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("write", [line, binary])
def test_the_client_is_whom_the_header_names(
    server: Running, index: int, tls: bool, named: Endpoint, write: Callable[[Endpoint], bytes]
) -> None:
    """In XOR-MAPPED-ADDRESS, to the nonce and to the API; its session works as any other."""
    header = write(named)
    with behind(server, index, header, tls=tls) as client:
        assert client.binding() == named
        client.allocate()
        assert client.refresh(600) == 600
        address = f"{named[0]}:{named[1]}" if "." in named[0] else f"[{named[0]}]:{named[1]}"
        (session,) = server.ask("GET", "/session", address=address)[1]
        assert session["transport"] == 1
        assert server.ask("DELETE", "/session", address=address)[0] == 200


@pytest.mark.parametrize("header", [line(CLIENT), binary(CLIENT), binary(CLIENT, b"\x04\x00\x03abc")])
def test_a_header_may_arrive_byte_by_byte_or_with_what_is_behind_it(server: Running, header: bytes) -> None:
    """Each byte of it is the header's, and each behind it is not; extensions are skipped."""
    question = build(BINDING, bytes(12), [])
    for pieces in ([header + question], [bytes([byte]) for byte in header + question]):
        with behind(server, TCP, *pieces) as client:
            assert parse(client.frame(10)).address(0x20) == CLIENT


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\x00\x00\x00", SIGNATURE + b"\x21\x00\x00\x03abc"]
)
def test_a_connection_of_the_proxys_own_keeps_its_address(server: Running, header: bytes) -> None:
    """Such as a look at whether the server is well: LOCAL, UNKNOWN and UNSPEC name nobody."""
    with behind(server, TCP, header) as client:
        assert client.binding() == client.address


@pytest.mark.parametrize(
    "header",
    [
        build(BINDING, bytes(12), []),  # a trusted address that sends none
        b"PROXY TCP4 203.0.113.7 127.0.0.1 4660 65536\r\n",
        b"PROXY " + bytes(101),
        SIGNATURE + b"\x22\x11\x00\x00",
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_a_header_that_will_not_do_ends_the_connection(server: Running, header: bytes) -> None:
    """It is counted; nothing is guessed, and no more is read than a header may have."""
    before = server.drops()["proxy_header"]
    with behind(server, TCP, header) as client, pytest.raises((EOFError, ConnectionResetError)):
        client.frame(10)
    assert server.drops()["proxy_header"] == before + 1


@pytest.mark.parametrize("header", [line(CLIENT), binary(CLIENT)])
def test_an_address_that_is_not_trusted_is_not_believed(server: Running, header: bytes) -> None:
    """To it a header is a malformed message; without one it is served under its own address."""
    before = server.drops()["malformed"]
    with behind(server, DISTRUSTFUL, header) as client, pytest.raises((EOFError, ConnectionResetError)):
        client.frame(10)
    assert server.drops()["malformed"] == before + 1
    with behind(server, DISTRUSTFUL) as client:
        assert client.binding() == client.address


def test_limits_are_the_clients_not_the_proxys() -> None:
    """More strangers than one source may have come through one proxy; of one client behind it no more than that."""
    interfaces = [interface("tcp", "127.0.0.1:0", proxy_from="127.0.0.1/32")]
    with running(configuration(turn={"workers": 1, "interfaces": interfaces})) as server:
        many = [behind(server, 0, line((f"198.51.100.{n % 250}", 1024 + n))) for n in range(300)]
        assert [client.binding()[1] for client in many] == [1024 + n for n in range(300)]
        one = [behind(server, 0, line((CLIENT[0], 1024 + n))) for n in range(300)]
        while (refused := server.drops()["over_source"]) < 300 - 256:
            assert refused >= 0
        assert refused == 300 - 256
        for client in many + one:
            client.socket.close()


def test_a_header_that_breaks_off_ends_the_connection(server: Running) -> None:
    """The proxy closed it before it said whose it was."""
    client = behind(server, TCP, b"PROXY TCP4 203.")
    client.socket.shutdown(socket.SHUT_WR)
    with pytest.raises((EOFError, ConnectionResetError)):
        client.frame(10)
    client.socket.close()
