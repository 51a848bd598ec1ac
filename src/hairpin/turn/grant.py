"""The proof that a request was authenticated and what its user may do: only `auth` and `policy` make one."""

from collections.abc import Callable
from dataclasses import dataclass

from hairpin.stun import Address, Reach
from hairpin.turn.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Identity:
    """Who proved what: `user` is the name that quotas count, `key` the long-term key (RFC 8489, section 9.2.2)."""

    username: str
    user: str
    password: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user and one session may have; times in seconds, the rate in bytes a second each way (0: no cap)."""

    sessions: int = 0
    sessions_per_user: int = 32
    permissions: int = 64
    channels: int = 32
    lifetime_max: int = 3600
    session_max: int = 0
    rate: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """A user, its limits, and the verdict on peers: `reach` says where data for a peer may go, None for nowhere."""

    identity: Identity
    limits: Limits
    reach: Callable[[Address], Reach | None]
    canonical: Callable[[Address], Address]

    def peer(self, named: Address) -> tuple[Address, Reach]:
        """The peer by its announced address, and where its data may go; 403 for nowhere (RFC 8656, section 10.2)."""
        peer = self.canonical(named)
        reach = self.reach(peer)
        if reach is None:
            raise Forbidden
        return peer, reach
