"""What a user may do, made from who it is and from the settings: the only place where a Grant begins."""

from dataclasses import dataclass

from hairpin.policy.peers import Peers
from hairpin.turn.grant import Grant, Identity, Limits

UNLIMITED = Limits(sessions_per_user=0)


@dataclass(frozen=True, slots=True)
class Grants:
    """The limits and peers of the settings in force; a reload puts another one in its place."""

    limits: Limits
    peers: Peers
    mobile: frozenset[str] = frozenset()  # whose allocations may move, by the name that quotas count; empty: everyone's
    inside: Peers | None = None  # for the server's own sessions, which meet each other whatever `peers` says

    def grant(self, identity: Identity) -> Grant:
        """What this user may do."""
        if identity.internal:
            peers = self.inside or self.peers
            return Grant(identity, UNLIMITED, peers.reaches, peers.canonical, mobility=False)
        mobility = not self.mobile or identity.user in self.mobile
        return Grant(identity, self.limits, self.peers.reaches, self.peers.canonical, mobility)
