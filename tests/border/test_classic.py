"""Classic STUN (RFC 3489) on real sockets: a client that knows no cookie is answered where the settings ask for it."""

import os
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from client import BINDING, Client
from running import configuration, discovering, running

ALLOCATE_REQUEST = 3


@pytest.fixture
def own() -> Iterator[socket.socket]:
    """A client's socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(10)
        yield made


def classic(attributes: bytes = b"", method: int = BINDING) -> bytes:
    """A request as RFC 3489 has it: type, length, and sixteen bytes of id."""
    return struct.pack("!HH", method, len(attributes)) + os.urandom(16) + attributes


def read(answer: bytes, request: bytes) -> dict[int, bytes]:
    """Its attributes, which have no padding in RFC 3489."""
    assert answer[4:20] == request[4:20]
    assert int.from_bytes(answer[2:4], "big") == len(answer) - 20
    found, at = {}, 20
    while at < len(answer):
        code, size = struct.unpack_from("!HH", answer, at)
        found[code] = answer[at + 4 : at + 4 + size]
        at += 4 + size
    assert at == len(answer)
    return found


def place(address: tuple[str, int]) -> bytes:
    """An address in the clear."""
    return struct.pack("!HH", 1, address[1]) + socket.inet_aton(address[0])


def test_s_11_a_request_without_the_cookie_gets_mapped_address_and_its_id(own: socket.socket) -> None:
    """All sixteen bytes of the id come back, and MAPPED-ADDRESS instead of XOR-MAPPED-ADDRESS."""
    with running(configuration(("udp", "127.0.0.1:0"), compat={"rfc3489": True})) as server:
        for _ in range(20):
            request = classic()
            own.sendto(request, server.address())
            assert read(own.recv(2000), request) == {1: place(own.getsockname())}


def test_s_11_off_and_for_other_methods_it_is_no_message(own: socket.socket) -> None:
    """Nothing comes back: not where the setting is off, not for Allocate; a TCP connection ends by it."""
    for compat, request in (({}, classic()), ({"rfc3489": True}, classic(method=ALLOCATE_REQUEST))):
        with running(configuration(("udp", "127.0.0.1:0"), compat=compat)) as server:
            own.sendto(request, server.address())
            with Client(server.address()) as other:
                other.binding()
            end = time.monotonic() + 10
            while not server.drops()["malformed"]:
                assert time.monotonic() < end
            own.setblocking(False)
            with pytest.raises(BlockingIOError):
                own.recv(2000)
            own.setblocking(True)
    with (
        running(configuration(("tcp", "127.0.0.1:0"), compat={"rfc3489": True})) as server,
        Client(server.address(), tcp=True) as stream,
    ):
        stream.socket.sendall(classic())
        with pytest.raises(EOFError):
            stream.frame(10)


def test_rfc_3489_8_1_with_other_addresses_they_are_told_and_used(own: socket.socket) -> None:
    """SOURCE-ADDRESS and CHANGED-ADDRESS, and an answer from the changed address; RESPONSE-ADDRESS is refused."""
    with discovering("udp", compat={"rfc3489": True}) as server:
        request = classic(struct.pack("!HHI", 3, 4, 6))  # CHANGE-REQUEST: both
        own.sendto(request, server.address())
        answer, source = own.recvfrom(2000)
        assert source == server.address(3)
        other = place(server.address(3))
        assert read(answer, request) == {1: place(own.getsockname()), 4: other, 5: other}

        request = classic(struct.pack("!HH", 2, 8) + place(("127.0.0.1", 9)))
        own.sendto(request, server.address())
        assert read(own.recv(2000), request) == {9: b"\0\0\4\x14", 10: b"\0\2\0\2"}
