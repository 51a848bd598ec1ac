"""Where public addresses are found: metadata services and STUN servers are stand-ins on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from hairpin.stun import Address, Kind, Message, Method
from hairpin.whereabouts import Found, StunServer, Unfound, find, metadata, stun_server

Answers = dict[str, tuple[int, str]]


@dataclass
class Service:
    """A metadata service: what it answers by path, and the requests that came."""

    answers: Answers
    requests: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(request)
        status, body = self.answers.get(request.split()[1], (404, "not here"))
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        writer.close()

    def headers(self, path: str) -> str:
        """What the request for a path said, in small letters."""
        return next(request for request in self.requests if request.split()[1] == path).lower()


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[tuple[str, Service]]:
    """Serve them on loopback; the base URL."""
    service = Service(answers)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", service


AWS = "/latest/meta-data/public-ipv4"
GOOGLE = "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip"
AZURE = "/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress?api-version=2021-02-01&format=text"
PRIVATE = "10.0.0.5"


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({"/latest/api/token": (200, "t0ken"), AWS: (200, "1.2.3.4\n")}, Found("1.2.3.4", "the metadata of AWS")),
        ({AWS: (200, "1.2.3.4")}, Found("1.2.3.4", "the metadata of OpenStack")),
        ({GOOGLE: (200, "1.2.3.4")}, Found("1.2.3.4", "the metadata of Google Cloud")),
        ({AZURE: (200, "1.2.3.4")}, Found("1.2.3.4", "the metadata of Azure")),
        ({"/hetzner/v1/metadata/public-ipv4": (200, "1.2.3.4")}, Found("1.2.3.4", "the metadata of Hetzner")),
        (
            {
                "/metadata/v1/reserved_ip/ipv4/ip_address": (200, ""),
                "/metadata/v1/interfaces/public/0/ipv4/address": (200, "1.2.3.4"),
            },
            Found("1.2.3.4", "the metadata of DigitalOcean"),
        ),
    ],
)
async def test_each_cloud_is_asked_in_its_own_way(answers: Answers, found: Found) -> None:
    """And its answer is taken."""
    async with serving(answers) as (base, _):
        assert await find(PRIVATE, None, base) == found


async def test_clouds_want_headers() -> None:
    """AWS a token that was asked for, Google and Azure a word that no browser sends."""
    async with serving({"/latest/api/token": (200, "t0ken")}) as (base, service):
        with pytest.raises(Unfound):
            await find(PRIVATE, None, base)
    assert service.headers("/latest/api/token").startswith("put ")
    assert "x-aws-ec2-metadata-token-ttl-seconds: 60" in service.headers("/latest/api/token")
    assert any("x-aws-ec2-metadata-token: t0ken" in request.lower() for request in service.requests)
    assert "metadata-flavor: google" in service.headers(GOOGLE)
    assert "metadata: true" in service.headers(AZURE)


@pytest.mark.parametrize(
    "body", ["", "10.0.0.9", "0.0.0.0", "here", "1.2.3.4 5.6.7.8", "é", "1" * 2000, "1.2.3.4" + " " * 2000]
)
async def test_what_is_no_public_address_is_no_answer(body: str) -> None:
    """Private ones, text, too much of it."""
    async with serving({GOOGLE: (200, body)}) as (base, _):
        with pytest.raises(Unfound) as caught:
            await find(PRIVATE, None, base)
    assert str(caught.value) == "10.0.0.5 is no public IPv4 address, and no metadata service of a cloud knows one"


async def test_a_service_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """All clouds together have one limit of time."""
    monkeypatch.setattr(metadata, "PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unfound):
        await find(PRIVATE, None, f"http://127.0.0.1:{silent.getsockname()[1]}")


async def test_nobody_is_asked_for_a_public_address() -> None:
    """Bound to it, or with one among the machine's own."""
    here = Found("1.2.3.4", "an address of this machine")
    async with serving({}) as (base, service):
        assert await find("1.2.3.4", StunServer("127.0.0.1", 1), base) == here
        assert await find("0.0.0.0", None, base, lambda: ["fe80::1", "10.0.0.5", "1.2.3.4"]) == here
        six = await find("::", None, base, lambda: ["1.2.3.4", "fe80::1", "2a00::5"])
        assert six.ip == "2a00::5"
    assert service.requests == []


class StunStandIn(asyncio.DatagramProtocol):
    """Answers as `reply` says, once it has let `deaf` requests pass."""

    def __init__(self, reply: Callable[[Message], list[bytes]], deaf: int = 0) -> None:
        self.reply, self.deaf, self.came = reply, deaf, 0

    def connection_made(self, transport: Any) -> None:
        """It can answer now."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A request."""
        self.came += 1
        if self.came > self.deaf:
            for answer in self.reply(Message.decode(data)):
                self.transport.sendto(answer, addr)


@asynccontextmanager
async def stun(reply: Callable[[Message], list[bytes]], deaf: int = 0) -> AsyncIterator[tuple[StunServer, StunStandIn]]:
    """A STUN server on loopback."""
    loop = asyncio.get_running_loop()
    transport, stand_in = await loop.create_datagram_endpoint(
        lambda: StunStandIn(reply, deaf), local_addr=("127.0.0.1", 0)
    )
    try:
        yield StunServer("127.0.0.1", transport.get_extra_info("sockname")[1]), stand_in
    finally:
        transport.close()


def seen(request: Message) -> list[bytes]:
    """What a server says, after what others might: noise, and an answer to another request."""
    place = [(0x20, Address("1.2.3.4", 5))]
    other = Message.build(Method.BINDING, Kind.SUCCESS, bytes(12), [(0x20, Address("6.6.6.6", 6))])
    return [b"noise", bytes(other), bytes(Message.build(Method.BINDING, Kind.SUCCESS, request.transaction_id, place))]


async def test_a_stun_server_that_is_named_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is lost is sent again, and no cloud is asked."""
    monkeypatch.setattr(stun_server, "WAITS", (0.05, 5.0))
    async with stun(seen, deaf=1) as (server, stand_in), serving({}) as (base, service):
        assert await find("127.0.0.1", server, base) == Found("1.2.3.4", f"stun:127.0.0.1:{server.port}")
    assert (stand_in.came, service.requests) == (2, [])


async def test_a_stun_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and so is one whose name is not known."""
    monkeypatch.setattr(stun_server, "WAITS", (0.01, 0.01, 0.01))
    async with stun(lambda _: []) as (server, stand_in):
        with pytest.raises(Unfound, match=rf"^stun:127\.0\.0\.1:{server.port} does not answer$"):
            await find("127.0.0.1", server, "http://127.0.0.1:1")
        assert stand_in.came == 3
    with pytest.raises(Unfound, match=r"^stun:none\.invalid:3478 cannot be asked: "):
        await find("127.0.0.1", StunServer("none.invalid"), "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("stun:stun.example.org", StunServer("stun.example.org", 3478)),
        ("stun:192.0.2.1:19302", StunServer("192.0.2.1", 19302)),
        ("stun:[2001:db8::1]:1", StunServer("2001:db8::1", 1)),
    ],
)
def test_stun_uris(text: str, server: StunServer) -> None:
    """RFC 7064; and back."""
    assert StunServer.parse(text) == server
    assert StunServer.parse(str(server)) == server


@pytest.mark.parametrize(
    "text", ["stun.example.org", "turn:a", "stun:", "stun:a:0", "stun:a:65536", "stun:a b", "stun:a:"]
)
def test_what_is_no_stun_uri(text: str) -> None:
    """It is said."""
    with pytest.raises(ValueError, match=r"is no STUN server, such as stun:stun\.example\.org:3478"):
        StunServer.parse(text)
