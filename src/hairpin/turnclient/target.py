"""Which server is meant, and who asks it: checked here once and trusted afterwards."""

import re
from dataclasses import dataclass, field

from hairpin.auth import opaque_string
from hairpin.stun import Transport

PORTS = {False: 3478, True: 5349}  # without TLS and with it (RFC 7064 and RFC 7065, section 3.1)
URI = re.compile(
    r"(?P<scheme>turns?|stuns?):(?P<host>\[[^\[\]]+\]|[^:?\[\]]+)(?::(?P<port>\d{1,5}))?(?:\?transport=(?P<via>\w+))?"
)
DEFAULTS = {False: "UDP", True: "TCP"}


class ArgumentError(ValueError):
    """An argument that will not do; `str` of it is one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server, as a URI names it (RFC 7064, RFC 7065): by TLS where `secure`, asked to relay where it is TURN."""

    host: str
    port: int = PORTS[False]
    transport: Transport = Transport.UDP
    secure: bool = False
    turn: bool = True

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Of `turn:HOST[:PORT][?transport=udp|tcp]`, also turns:, stun: and stuns:; ArgumentError for any other."""
        match = URI.fullmatch(text)
        if match is None:
            raise ArgumentError(f"{text!r} is no TURN URI, such as turn:turn.example.org:3478?transport=udp")
        secure, turn = match["scheme"].endswith("s"), match["scheme"].startswith("turn")
        via, port = (match["via"] or DEFAULTS[secure]).upper(), int(match["port"] or PORTS[secure])
        if via not in Transport.__members__:
            raise ArgumentError(f"{text!r}: the transport is udp or tcp")
        if not 1 <= port <= 65535:
            raise ArgumentError(f"{text!r}: {port} is no port")
        return cls(match["host"].strip("[]"), port, Transport[via], secure, turn)

    @property
    def where(self) -> str:
        """HOST:PORT."""
        return place(self.host, self.port)

    def __str__(self) -> str:
        scheme = ("turn" if self.turn else "stun") + "s" * self.secure
        return f"{scheme}:{self.where}?transport={self.transport.name.lower()}"


def place(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Long-term credentials (RFC 8489, section 9.2)."""

    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.username.encode()) <= 508:
            raise ArgumentError("--user: a user name has 1 to 508 bytes")
        try:
            opaque_string(self.password)
        except ValueError as error:
            raise ArgumentError(f"--password: {error}") from None
