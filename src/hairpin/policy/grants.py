"""What a user may do, made from who it is, the settings, and a policy's word: the only place where a Grant begins."""

from dataclasses import dataclass, replace

from hairpin.policy.peers import Peers
from hairpin.stun import Address, Reach
from hairpin.turn.grant import NO_POLICY, Grant, Identity, Limits, Reaches, Ruling
from hairpin.turn.terms import USUAL, Terms

# Whom the server makes up for a test of itself: what all of them together may have.
TEST_SESSIONS = 32
TEST_SECONDS = 120
TEST_RATE = 1_000_000  # bytes a second, each way

UNLIMITED = Limits(sessions_per_user=0)
# What the rules call a limit, where that is not as the settings have it.
NAMES = {"allocations_per_user": "sessions_per_user", "bytes_per_second": "rate", "lifetime": "lifetime_max"}


@dataclass(frozen=True, slots=True)
class Grants:
    """The limits and peers of the settings in force; a reload puts another one in its place."""

    limits: Limits
    peers: Peers
    mobile: frozenset[str] = frozenset()  # whose allocations may move, by the name that quotas count; empty: everyone's
    inside: Peers | None = None  # for the server's own sessions, which meet each other whatever `peers` says

    def grant(self, identity: Identity, ruling: Ruling = NO_POLICY) -> Grant:
        """What this user may do, by the settings and by what a policy said of this request."""
        if identity.internal:
            peers = self.inside or self.peers
            return Grant(identity, UNLIMITED, peers.reaches, peers.canonical, peers.why_not, mobility=False)
        if identity.made_up:
            return self._for_a_test(identity)
        limits, mobility = self.limits, not self.mobile or identity.user in self.mobile
        if ruling.terms is not USUAL:
            limits, mobility = _agreed(ruling.terms, limits, mobility)
        peers = self.peers
        return Grant(identity, limits, peers.reaches, peers.canonical, peers.why_not, mobility, ruling)

    def _for_a_test(self, identity: Identity) -> Grant:
        usual, peers = self.limits, self.peers
        limits = replace(
            usual,
            sessions_per_user=TEST_SESSIONS,
            session_max=min(usual.session_max or TEST_SECONDS, TEST_SECONDS),
            rate=min(usual.rate or TEST_RATE, TEST_RATE),
        )
        return Grant(identity, limits, self._relays_only, peers.canonical, self._why_no_relay, mobility=False)

    def _relays_only(self, ip: str) -> Reaches:
        """Of what may be reached at all, the live relays of this server."""
        reaches = self.peers.reaches(ip)
        return tuple((first, last, Reach.INSIDE) for first, last, reach in reaches if reach is not Reach.OUTSIDE)

    def _why_no_relay(self, peer: Address) -> str:
        """What denies a peer of such a test."""
        outside = self.peers.reach(peer) is not None
        return f"{peer.ip} is no relay of this server, as a test of it needs" if outside else self.peers.why_not(peer)


def is_a_test(identity: Identity) -> bool:
    """Whether the server tries itself: its limits are made for that, and no policy is asked about it."""
    return identity.internal or identity.made_up


def _agreed(terms: Terms, limits: Limits, mobility: bool) -> tuple[Limits, bool]:
    """The limits and the mobility of the settings, but for what was agreed on."""
    agreed = terms.agreed()
    mobility = bool(agreed.pop("mobility", mobility))
    return replace(limits, **{NAMES.get(name, name): value for name, value in agreed.items()}), mobility
