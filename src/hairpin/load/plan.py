"""What a user asks for: a server, credentials and a load, checked here once and trusted afterwards."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address

from hairpin.auth import opaque_string
from hairpin.stun import Transport

DEFAULT_PORT = 3478  # RFC 7065, section 3.1
SMALLEST, LARGEST = 20, 1400  # a packet's own marks; what passes any path in one datagram
MOST_SESSIONS, MOST_PACKETS, MOST_SECONDS = 60_000, 1_000_000, 604_800
URI = re.compile(
    r"(?P<scheme>turns?):(?P<host>\[[^\[\]]+\]|[^:?\[\]]+)(?::(?P<port>\d{1,5}))?(?:\?transport=(?P<via>\w+))?"
)


class PlanError(ValueError):
    """An argument that will not do; `str` of it is one line."""


class Mode(StrEnum):
    """What the sessions do."""

    PAIR = "pair"
    ECHO = "echo"
    UP = "up"
    DOWN = "down"
    SETUPS = "setups"


@dataclass(frozen=True, slots=True)
class Target:
    """A TURN server, as a URI names it (RFC 7065)."""

    host: str
    port: int = DEFAULT_PORT
    transport: Transport = Transport.UDP

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Of `turn:HOST[:PORT][?transport=udp|tcp]`; PlanError for any other."""
        match = URI.fullmatch(text)
        if match is None:
            raise PlanError(f"{text!r} is no TURN URI, such as turn:turn.example.org:3478?transport=udp")
        if match["scheme"] == "turns":
            raise PlanError(f"{text!r}: TLS is not there yet; write turn: with transport=udp or tcp")
        via, port = (match["via"] or "udp").upper(), int(match["port"] or DEFAULT_PORT)
        if via not in Transport.__members__:
            raise PlanError(f"{text!r}: the transport is udp or tcp")
        if not 1 <= port <= 65535:
            raise PlanError(f"{text!r}: {port} is no port")
        return cls(match["host"].strip("[]"), port, Transport[via])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"turn:{host}:{self.port}?transport={self.transport.name.lower()}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Long-term credentials (RFC 8489, section 9.2)."""

    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.username.encode()) <= 508:
            raise PlanError("--user: a user name has 1 to 508 bytes")
        try:
            opaque_string(self.password)
        except ValueError as error:
            raise PlanError(f"--password: {error}") from None


@dataclass(frozen=True, slots=True)
class Load:
    """How much of what: `packets` a second are sent by each of the sessions, `size` bytes of payload each."""

    mode: Mode = Mode.PAIR
    sessions: int = 10
    packets: float = 50
    size: int = 160
    seconds: float = 10

    def __post_init__(self) -> None:
        if not 1 <= self.sessions <= MOST_SESSIONS:
            raise PlanError(f"--sessions: {self.sessions} is not from 1 to {MOST_SESSIONS}")
        if self.mode is Mode.PAIR and self.sessions % 2:
            raise PlanError(f"--sessions: {self.sessions} is odd, and in mode pair two sessions make a call")
        if not SMALLEST <= self.size <= LARGEST:
            raise PlanError(f"--size: {self.size} is not from {SMALLEST} to {LARGEST} bytes")
        for name, value, most in (("packets", self.packets, MOST_PACKETS), ("seconds", self.seconds, MOST_SECONDS)):
            if not 0 < value <= most:
                raise PlanError(f"--{name}: {value:g} is not above 0 and up to {most:,}")

    @property
    def rate(self) -> float:
        """Packets a second of all sessions together."""
        return self.sessions * self.packets


@dataclass(frozen=True, slots=True)
class Plan:
    """A server, who asks it, for what; `peer` is the address of this machine at which the server's relay finds it."""

    target: Target
    credentials: Credentials
    load: Load
    peer: str | None = None

    def __post_init__(self) -> None:
        if self.peer is None:
            return
        if self.load.mode in (Mode.PAIR, Mode.SETUPS):
            raise PlanError(f"--peer: goes with --mode echo, up or down; {self.load.mode} has no peer on this machine")
        try:
            ip_address(self.peer)
        except ValueError:
            raise PlanError(f"--peer: {self.peer!r} is no IP address") from None
