"""The proof that a request was authenticated and what its user may do: only `auth` and `policy` make one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from hairpin.stun import Address, Reach
from hairpin.turn.errors import Forbidden, TurnError
from hairpin.turn.refusal import Reason
from hairpin.turn.terms import USUAL, Terms

Reaches: TypeAlias = tuple[tuple[int, int, Reach], ...]
"""Where data for an IP may go, by port: first port, last port, reach. A port in none of them goes nowhere."""


MD5 = 1  # of the password algorithms (RFC 8489, section 18.5.1)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who proved what: `user` is the name that quotas count, `key` the long-term key (RFC 8489, section 9.2.2).

    `internal` is the server itself, which tries its own front door: no limit, list or event knows of it. `made_up` is
    whom it made up for somebody else's test of it.
    A client may choose the `algorithm` of the key anew with each request: that makes it no other user. `until` is set
    where a third party authorized it (RFC 7635): the key came with that, and is good until then, on CLOCK_MONOTONIC.
    """

    username: str
    user: str
    password: str = field(repr=False)
    key: bytes = field(repr=False, compare=False)
    algorithm: int = field(default=MD5, compare=False)
    until: int | None = field(default=None, compare=False)
    internal: bool = False
    made_up: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user and one session may have; times in seconds, the rate in bytes a second each way (0: no cap)."""

    sessions: int = 0
    sessions_per_user: int = 32
    permissions: int = 64
    channels: int = 32
    connections: int = 32
    lifetime_max: int = 3600
    session_max: int = 0
    rate: int = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an operator's policy said of a request: where it was not asked it has allowed nothing.

    `terms` are those of the session, `refusal` is what it is answered where it may not go on, and `peers` are the IPs
    that it may name (None: all that the settings let through).
    """

    terms: Terms = USUAL
    refusal: TurnError | None = None
    peers: frozenset[str] | None = None


NO_POLICY = Ruling()
DENIED = Reason.POLICY_DENIED


@dataclass(slots=True)  # one for each request: see `effects`
class Grant:
    """A user, its limits, and the verdict on peers: `reaches` says where data for an IP may go.

    `why_not` says of a peer whose data may go nowhere what denies it; `mobility` is whether the user's allocations may
    move where the server lets any (RFC 8016).
    """

    identity: Identity
    limits: Limits
    reaches: Callable[[str], Reaches]
    canonical: Callable[[Address], Address]
    why_not: Callable[[Address], str]
    mobility: bool = True
    ruling: Ruling = NO_POLICY

    def peer(self, named: Address) -> tuple[Address, Reach, Reaches]:
        """The peer by its announced address, and where its data and all data for its IP may go.

        403 where its own may go nowhere (RFC 8656, section 10.2), or a policy does not let it.
        """
        peer = self.canonical(named)
        port, reaches, agreed = peer.port, self.reaches(peer.ip), self.ruling.peers
        for first, last, reach in reaches:
            if first <= port <= last:
                if agreed is not None and peer.ip not in agreed:
                    raise self.ruling.refusal or Forbidden(f"the policy was not asked about {peer.ip}", DENIED)
                return peer, reach, reaches
        raise Forbidden(self.why_not(peer))


def not_a_relay(peer: Address) -> Forbidden:
    """403: of our own addresses only live relays are peers."""
    return Forbidden(f"{peer} is an address of this server, and no live relay")
