"""What a user asks for: a server, credentials and a load, checked here once and trusted afterwards."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from hairpin.turnclient import ArgumentError, Credentials, Target

SMALLEST, LARGEST = 20, 1400  # a packet's own marks; what passes any path in one datagram
MOST_SESSIONS, MOST_PACKETS, MOST_SECONDS = 60_000, 1_000_000, 604_800


class Mode(StrEnum):
    """What the sessions do."""

    PAIR = "pair"
    ECHO = "echo"
    UP = "up"
    DOWN = "down"
    SETUPS = "setups"


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
            raise ArgumentError(f"--sessions: {self.sessions} is not from 1 to {MOST_SESSIONS}")
        if self.mode is Mode.PAIR and self.sessions % 2:
            raise ArgumentError(f"--sessions: {self.sessions} is odd, and in mode pair two sessions make a call")
        if not SMALLEST <= self.size <= LARGEST:
            raise ArgumentError(f"--size: {self.size} is not from {SMALLEST} to {LARGEST} bytes")
        for name, value, most in (("packets", self.packets, MOST_PACKETS), ("seconds", self.seconds, MOST_SECONDS)):
            if not 0 < value <= most:
                raise ArgumentError(f"--{name}: {value:g} is not above 0 and up to {most:,}")

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
        if self.target.secure:
            raise ArgumentError(f"{self.target}: TLS is not there yet; write turn: with transport=udp or tcp")
        if not self.target.turn:
            raise ArgumentError(f"{self.target}: a server that only does STUN carries no load; write turn:")
        if self.peer is None:
            return
        if self.load.mode in (Mode.PAIR, Mode.SETUPS):
            mode = self.load.mode
            raise ArgumentError(f"--peer: goes with --mode echo, up or down; {mode} has no peer on this machine")
        try:
            ip_address(self.peer)
        except ValueError:
            raise ArgumentError(f"--peer: {self.peer!r} is no IP address") from None
