"""What a failure means for a load, where that is more than it means for any client."""

from hairpin.load.plan import Mode, Plan
from hairpin.turnclient.failure import Failure
from hairpin.turnclient.hints import explain

ELSEWHERE = "The server sends its clients elsewhere (300: {reason}): measure that one."
QUOTA = (
    "The user has as many allocations as the server grants (486): look at its quotas (hairpin: "
    "limits.allocations_per_user; coturn: user-quota), or ask for fewer --sessions."
)
OWN_PEER = (
    "The server refuses this machine as a peer (403): name it in peers.allow (hairpin) or allowed-peer-ip (coturn; "
    "on loopback allow-loopback-peers), or use --mode pair, which needs no peer."
)
RELAY_AS_PEER = (
    "The server refuses its own relayed addresses as peers (403), so two of its clients cannot call each other through "
    "it: look at its rules for peers (coturn on loopback: allow-loopback-peers)."
)


def hint(failure: Failure, plan: Plan) -> str:
    """The sentence for a failure."""
    more = {300: ELSEWHERE, 486: QUOTA}
    if failure.step in ("CreatePermission", "ChannelBind"):
        more[403] = RELAY_AS_PEER if plan.load.mode in (Mode.PAIR, Mode.SETUPS) else OWN_PEER
    return explain(failure, plan.target.where, plan.target.transport, more)
