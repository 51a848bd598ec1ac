"""What a look-up of a user name is told, and what it finds."""

from dataclasses import dataclass, replace
from ipaddress import IPv6Network
from typing import Protocol, TypeAlias

from hairpin.auth.keys import keys_for
from hairpin.stun import Address
from hairpin.turn.grant import MD5, Identity
from hairpin.turn.refusal import Reason, Refusal

__all__ = ["Answer", "Asker", "Credentials", "Reason", "Refusal", "Verifiable", "source_of"]

MISMATCH = Refusal(Reason.WRONG_PASSWORD, "the password does not match")


class Verifiable(Protocol):
    """A message whose integrity can be held against a key, in constant time."""

    @property
    def realm(self) -> str | None:
        """REALM."""

    @property
    def password_algorithm(self) -> int | None:
        """PASSWORD-ALGORITHM."""

    def verify(self, key: bytes) -> bool:
        """Whether the message was signed with `key`."""


@dataclass(frozen=True, slots=True)
class Asker:
    """The client that wants to be let in."""

    address: Address
    interface: Address
    transport: int

    @property
    def source(self) -> str:
        """The network that limits count as one source."""
        return source_of(self.address)


def source_of(address: Address) -> str:
    """An IPv4 address, or an IPv6 /64: what one customer of a provider has."""
    return address.ip if address.version == 4 else str(IPv6Network((address.ip, 64), strict=False))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The identities that a user name may stand for: one, or one for each shared secret during a rotation.

    `mismatch` is what to say of a request that none of them made.
    """

    candidates: tuple[Identity, ...]
    mismatch: Refusal = MISMATCH

    def prove(self, message: Verifiable) -> Identity | None:
        """The identity whose key the message was signed with; None where there is no such one."""
        algorithm = message.password_algorithm or MD5
        for candidate in self.candidates:
            for key in keys_for(candidate, message.realm or "", algorithm):
                if message.verify(key):
                    return candidate if key == candidate.key else replace(candidate, key=key, algorithm=algorithm)
        return None


Answer: TypeAlias = Credentials | Refusal
