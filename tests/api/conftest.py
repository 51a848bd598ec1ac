"""A server that is only its state, and a client of its API."""

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from hairpin.api import Access, Control, Feed, Hooks, Interface, KernelDrops, Probe, Refused, Trial, create_app
from hairpin.hooks import body
from hairpin.server.lives import Life
from hairpin.stun import Address, Method, Reach, Transport
from hairpin.turn import effects
from hairpin.turn.grant import Identity
from hairpin.turn.refusal import Reason, Refusal
from hairpin.turn.state import Allocation, Channel, Permission, Relay, Session

SECOND = 1_000_000_000
UDP = Address.parse("192.0.2.1:3478")
TCP = Address.parse("[2001:db8::1]:3478")


@dataclass
class Counters:
    """The figures of one client."""

    received_bytes: int = 10
    send_bytes: int = 2**64 - 1
    received_pkts: int = 1
    send_pkts: int = 2
    error_pkts: int = 0
    peers_received_bytes: int = 8
    peers_send_bytes: int = 6
    peers_received_pkts: int = 3
    peers_send_pkts: int = 4


@dataclass
class Totals:
    """The figures of one worker."""

    worker: int
    sessions: Counters = field(default_factory=Counters)
    strangers: Counters = field(default_factory=lambda: Counters(received_bytes=77))
    drops: dict[str, int] = field(default_factory=lambda: {"no permission": 3})


@dataclass
class FakeView:
    """What the API asks of a server, over plain values."""

    access: Access = field(default_factory=Access)
    realm: str = "example.org"
    run_id: str = "a-run-of-the-server"
    software: str = "hairpin/0.1.0"
    hide_passwords: bool = False
    started: int = 5 * SECOND
    clock: int = 100 * SECOND + 999
    interfaces: tuple[Interface, ...] = (
        Interface(0, Address.parse("10.0.0.1:3478"), UDP),
        Interface(1, Address.parse("[2001:db8::2]:3478"), TCP),
        Interface(1, Address.parse("10.0.0.1:5349"), Address.parse("192.0.2.1:5349"), tls=True),
    )
    live: dict[int, Session] = field(default_factory=dict)
    taken: dict[int, tuple[int, int]] = field(default_factory=lambda: {4: (2, 16384), 6: (1, 16384)})
    probed: list[Probe] = field(default_factory=list)
    secret: bool = True
    draining: bool = False
    stuck: bool = False
    feed: Feed = field(default_factory=lambda: Feed("a-run-of-the-server", body))
    lives: dict[str, Life] = field(default_factory=dict)
    past: list[Refused] = field(default_factory=list)
    judged: Control = field(
        default_factory=lambda: Control(
            {Method.ALLOCATE: 7, Method.REFRESH: 2},
            {(Method.ALLOCATE, 0): 3, (Method.ALLOCATE, 401): 4, (Method.REFRESH, 0): 2},
            {Reason.EXPIRED: 4},
            {Reason.PEER_DENIED: 5},
        )
    )
    hooked: Hooks | None = field(default_factory=lambda: Hooks(True, 11, 6, 20, 1, 2))
    lost: KernelDrops | None = field(default_factory=lambda: KernelDrops({Address.parse("10.0.0.1:3478"): 8}, 9))
    crashes: list[tuple[str, type[BaseException] | None]] = field(default_factory=list)
    blocked: dict[str, int] = field(default_factory=dict)

    def now(self) -> int:
        """The clock."""
        return self.clock

    def sessions(self) -> dict[int, Session]:
        """The live sessions."""
        return self.live

    def life(self, session: str) -> Life | None:
        """A life that the test has made up."""
        return self.lives.get(session)

    def ports(self) -> dict[int, tuple[int, int]]:
        """Relay ports by IP version."""
        return self.taken

    def refusals(self) -> list[Refused]:
        """What was refused of late."""
        return self.past

    def control(self) -> Control:
        """What Python has judged."""
        return self.judged

    def hooks(self) -> Hooks | None:
        """How the hooks do."""
        return self.hooked

    async def kernel_drops(self) -> KernelDrops | None:
        """What the kernel threw away."""
        return self.lost

    def warnings(self) -> list[str]:
        """One warning."""
        return ["The API asks nobody for a token."]

    def probes(self) -> list[Probe]:
        """What came of the server's tries of itself."""
        return self.probed

    def trial(self) -> Trial:
        """Credentials that nobody takes."""
        return Trial("hairpin-test-x", "y", 120, [("udp", f"turn:{UDP}?transport=udp")])

    def given_up(self) -> dict[str, int]:
        """One counter."""
        return {"event refresh": 4}

    def policy_failures(self) -> dict[tuple[str, str], int]:
        """One counter."""
        return {("may_reach", "late"): 3}

    async def statistics(self, flow: int) -> Counters | None:
        """One session's figures."""
        self._acknowledge()
        return Counters() if flow in self.live else None

    async def totals(self) -> list[Totals]:
        """Two workers."""
        self._acknowledge()
        return [Totals(0), Totals(1)]

    async def delete(self, flow: int) -> None:
        """End a session."""
        self._acknowledge()
        self.live.pop(flow, None)

    def block(self, user: str, seconds: int) -> None:
        """Note who is blocked."""
        self.blocked[user] = seconds

    def mint(self, user: str, ttl: int) -> dict[str, Any]:
        """Credentials that show what was asked for."""
        if not self.secret:
            raise LookupError
        server = {"urls": [f"turn:{UDP}?transport=udp"], "username": f"{ttl}:{user}", "credential": "c2VjcmV0"}
        return {"iceServers": [server]}

    def crashed(self, path: str) -> None:
        """Note what would be logged."""
        self.crashes.append((path, sys.exc_info()[0]))

    def drain(self) -> None:
        """Note it."""
        self.draining = True

    def _acknowledge(self) -> None:
        if self.stuck:
            raise TimeoutError

    def add(self, number: int = 1, username: str = "alice", *, transport: Transport = Transport.UDP) -> Session:
        """A session with a relay, a permission and a channel that live, and one of each that does not."""
        session = self.begin(number, username, transport=transport)
        relay = Allocation((Relay(Address("10.0.0.1", 50000), Address("192.0.2.1", 50000), session.expires),))
        for ip, ports, expires in (
            ("203.0.113.9", {9000, 80}, 160),
            ("203.0.113.8", {9000}, 130),
            ("203.0.113.7", {1}, 100),
        ):
            relay.permissions[ip] = Permission(ip, ((0, 65535, Reach.OUTSIDE),), expires * SECOND, ports)
        for channel, expires in ((0x4002, 700), (0x4001, 700), (0x4000, 100)):
            relay.channels[channel] = Channel(channel, Address("203.0.113.9", channel), expires * SECOND)
        session.allocation = relay
        return session

    def refuse(self, number: int = 1, username: str = "alice", detail: str = "expired 312 s ago") -> Refused:
        """A login that was refused, after those that were before."""
        client = Address(f"198.51.{number >> 8 & 255}.{number & 255}", 40000)
        why = Refusal(Reason.EXPIRED, detail)
        request = effects.Refused(client, UDP, Transport.UDP, username, Method.ALLOCATE, 401, why)
        self.past.insert(0, Refused(1_700_000_000.0 + len(self.past), request))
        return self.past[0]

    def begin(self, number: int = 1, username: str = "alice", *, transport: Transport = Transport.UDP) -> Session:
        """A session that has allocated nothing."""
        client = Address(f"198.51.{number >> 8 & 255}.{number & 255}", 40000 + (number >> 16))
        identity = Identity(username, username.rpartition(":")[2], "correct horse", b"k" * 16)
        interface, listener = (UDP, 0) if transport == Transport.UDP else (TCP, 1)
        # A multiplicative hash: ids look random, so that their order is not the order of arrival.
        name = f"{number * 2654435761 % 2**32:08x}"
        self.live[number] = Session(
            *(name, number, client, interface, transport, identity.username, 90 * SECOND),
            *(UDP, listener, identity, 150 * SECOND),
        )
        return self.live[number]


@pytest.fixture
def view() -> FakeView:
    """A server without sessions, on loopback, without a token."""
    return FakeView()


@pytest.fixture
async def client(view: FakeView) -> AsyncIterator[httpx2.AsyncClient]:
    """A program on the server's own machine."""
    transport = httpx2.ASGITransport(create_app(view))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3000") as client:
        yield client


@pytest.fixture
def guarded() -> FakeView:
    """A server whose API has a token."""
    return FakeView(access=Access("t\u00f6ken"))


@pytest.fixture
def open_to_all() -> FakeView:
    """A server whose API serves anyone."""
    return FakeView(access=Access(open=True))


@pytest.fixture
def ask() -> Callable[..., Any]:
    """One GET of a view's API with nothing but these headers."""

    async def get(view: FakeView, path: str, *headers: tuple[str, str], method: str = "GET") -> httpx2.Response:
        transport = httpx2.ASGITransport(create_app(view))
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3000") as client:
            return await client.request(method, path, headers=encoded)

    return get
