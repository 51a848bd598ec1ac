"""What the rules of TURN have to know of the machine they serve: fixed for the run."""

from collections.abc import Mapping
from dataclasses import dataclass

from hairpin.stun import Address


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """The IP that relay sockets are bound to, and the one that clients are told (they differ behind a 1:1 NAT)."""

    bind_ip: str
    external_ip: str


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """A listener as clients know it, and its relay address for each IP version, 4 and 6, that it relays to."""

    interface: Address
    relays: Mapping[int, RelayAddress]


@dataclass(frozen=True, slots=True)
class Settings:
    """The listeners in the order of `Request.listener`, and what all of them share."""

    listeners: tuple[ListenerSettings, ...]
    tcp: bool = False  # TCP relays, too (RFC 6062)
    ports: tuple[int, int] = (49152, 65535)
    channel_last: int = 0x4FFF
    alternate: tuple[Address, ...] = ()
    alternate_domain: str | None = None
    mobility: bool = False
    software: str = "hairpin"
