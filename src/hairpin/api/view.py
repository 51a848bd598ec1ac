"""What the API sees of a running server: live state and a few commands, without the engine behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hairpin.api.feed import Feed
from hairpin.stun import Address
from hairpin.turn import effects
from hairpin.turn.effects import SessionView
from hairpin.turn.refusal import Reason
from hairpin.turn.state import Session

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Interface:
    """A listener: `transport` is 0 for UDP, 1 for TCP; `tls` where TLS (over UDP: DTLS) runs there."""

    transport: int
    bind: Address
    external: Address
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of it when the server last tried one of its listeners as a client: the step that failed, or None."""

    interface: Address
    transport: str  # as the settings have it
    problem: str | None
    seconds: float  # that it took
    at: float  # Unix seconds


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in. No token: loopback only, or anyone where `open` says so."""

    token: str | None = field(default=None, repr=False)
    open: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """Credentials that are good for `seconds`, and the ways in by their names (udp, tcp, tls, dtls) and URIs."""

    username: str
    password: str = field(repr=False)
    seconds: int
    entrances: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was refused at `at` (Unix seconds)."""

    at: float
    request: effects.Refused


@dataclass(frozen=True, slots=True)
class Control:
    """What Python has judged since the start: asked, answered (error 0: success), and refused."""

    requests: Mapping[int, int]  # by method
    answers: Mapping[tuple[int, int], int]  # by method and error code
    refused_logins: Mapping[Reason, int]
    refused_requests: Mapping[Reason, int]


@dataclass(frozen=True, slots=True)
class Hooks:
    """How the hooks do: events, and look-ups of passwords."""

    failing: bool  # the last event that was sent did not get there
    delivered: int
    waiting: int
    look_ups: int
    look_ups_in_flight: int
    look_ups_waiting: int  # clients, those in flight counted in


@dataclass(frozen=True, slots=True)
class KernelDrops:
    """Datagrams that the kernel has thrown away since the start because a socket's buffer was full."""

    listeners: Mapping[Address, int]  # by the address that is bound
    relays: int


class Figures(Protocol):
    """Packets and bytes of clients and, as payloads, of their peers, as `_core.Counters` has them."""

    @property
    def received_bytes(self) -> int:
        """Bytes that came from the client."""

    @property
    def send_bytes(self) -> int:
        """Bytes that went to the client."""

    @property
    def received_pkts(self) -> int:
        """Packets that came from the client."""

    @property
    def send_pkts(self) -> int:
        """Packets that went to the client."""

    @property
    def error_pkts(self) -> int:
        """Packets of the client that were not carried on."""

    @property
    def peers_received_bytes(self) -> int:
        """Bytes that came from peers."""

    @property
    def peers_send_bytes(self) -> int:
        """Bytes that went to peers."""

    @property
    def peers_received_pkts(self) -> int:
        """Packets that came from peers."""

    @property
    def peers_send_pkts(self) -> int:
        """Packets that went to peers."""


class WorkerFigures(Protocol):
    """One worker's sums, as `_core.Totals` has them."""

    @property
    def worker(self) -> int:
        """The worker's number."""

    @property
    def sessions(self) -> Figures:
        """Living and ended sessions together."""

    @property
    def strangers(self) -> Figures:
        """Clients that proved nothing."""

    @property
    def drops(self) -> Mapping[str, int]:
        """Packets that were dropped, by reason."""


class Life(Protocol):
    """What became of a session: its control messages, the oldest first."""

    @property
    def session(self) -> SessionView:
        """Whose life it is."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""

    @property
    def figures(self) -> Figures | None:
        """The last figures of one that is over."""

    @property
    def forgotten(self) -> int:
        """How many messages after the first are kept no more."""

    @property
    def messages(self) -> Sequence[tuple[float, str, tuple[tuple[str, object], ...]]]:
        """When (Unix seconds), what, and what more there is to say."""


class View(Protocol):
    """A running server. Nothing is kept on this side: every answer is read from it at the moment of the request."""

    @property
    def realm(self) -> str:
        """The realm of TURN."""

    @property
    def run_id(self) -> str:
        """Random, new at each start."""

    @property
    def software(self) -> str:
        """`hairpin/VERSION`."""

    @property
    def started(self) -> int:
        """When the server started, on the clock of `now`."""

    @property
    def access(self) -> Access:
        """Who may use the API."""

    @property
    def hide_passwords(self) -> bool:
        """Whether passwords are left out of answers."""

    @property
    def interfaces(self) -> Sequence[Interface]:
        """The listeners, as they are bound."""

    @property
    def feed(self) -> Feed:
        """What happens to sessions, for those who listen."""

    @property
    def draining(self) -> bool:
        """Whether new allocations are refused because the server is about to stop."""

    def now(self) -> int:
        """Nanoseconds on CLOCK_MONOTONIC."""

    def sessions(self) -> Mapping[int, Session]:
        """The live sessions by flow."""

    def life(self, session: str) -> Life | None:
        """The life of a session by its id, if it lives or has ended a moment ago."""

    def ports(self) -> Mapping[int, tuple[int, int]]:
        """Relay ports allocated and in all, by IP version (4, 6)."""

    def warnings(self) -> Sequence[str]:
        """What the operator should know, a sentence each."""

    def probes(self) -> Sequence[Probe]:
        """For each listener that the server tries as its own client, what it last found; none before the first time."""

    def refusals(self) -> Sequence[Refused]:
        """What was refused of late, the latest first."""

    def control(self) -> Control:
        """What Python has judged."""

    def hooks(self) -> Hooks | None:
        """How the hooks do, None where there are none."""

    async def kernel_drops(self) -> KernelDrops | None:
        """What the kernel threw away, None where it does not say."""

    def given_up(self) -> Mapping[str, int]:
        """How often Python dropped something to stay bounded, by what it was (a few fixed names)."""

    def policy_failures(self) -> Mapping[tuple[str, str], int]:
        """How often the policy gave no answer, by its method and why (fixed names); empty where there is none."""

    async def statistics(self, flow: int) -> Figures | None:
        """The figures of one session, None where it is gone; TimeoutError when no worker answers within 2 s."""

    async def totals(self) -> Sequence[WorkerFigures]:
        """Every worker's sums; TimeoutError when one does not answer within 2 s."""

    async def delete(self, flow: int) -> None:
        """End a session; returns once nothing is relayed any more, or raises TimeoutError after 2 s without that."""

    def block(self, user: str, seconds: int) -> None:
        """Refuse this user's Allocates for so long."""

    def mint(self, user: str, ttl: int) -> Mapping[str, Any]:
        """`{"iceServers": [...]}` with fresh credentials; LookupError where no secret is set."""

    def trial(self) -> Trial:
        """Credentials for a test from a browser: of a user made for it, who reaches relays of this server only."""

    def crashed(self, path: str) -> None:
        """Log the exception that is being handled: a request for `path` ended in it."""

    def drain(self) -> None:
        """Refuse new allocations and stop when the sessions have ended; a second call stops at once."""
