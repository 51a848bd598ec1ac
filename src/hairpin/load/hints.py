"""What a failure means, and where to look: a sentence for each."""

from hairpin.load.failure import Cause, Failure
from hairpin.load.plan import Mode, Plan

ANSWERS = {
    300: "The server sends its clients elsewhere (300: {reason}): measure that one.",
    401: "The server does not accept the user or the password (401): compare them, with TURN REST credentials also "
    "the shared secret and both clocks.",
    437: "The server still holds an allocation for this address and port (437): try again in some minutes.",
    438: "The server calls each nonce that it gives out stale (438): are there several servers behind one address?",
    440: "The server has no relay address of this IP version (440).",
    441: "The server counts the allocation to another user (441).",
    442: "The server relays no UDP (442).",
    486: "The user has as many allocations as the server grants (486): look at its quotas (hairpin: "
    "limits.allocations_per_user; coturn: user-quota), or ask for fewer --sessions.",
    508: "The server has no relay port or no room left (508): look at its range of ports and its limits (hairpin: "
    "relay.ports, limits.allocations; coturn: min-port, max-port, total-quota).",
}
OWN_PEER = (
    "The server refuses this machine as a peer (403): name it in peers.allow (hairpin) or allowed-peer-ip (coturn; "
    "on loopback allow-loopback-peers), or use --mode pair, which needs no peer."
)
RELAY_AS_PEER = (
    "The server refuses its own relayed addresses as peers (403), so two of its clients cannot call each other through "
    "it: look at its rules for peers (coturn on loopback: allow-loopback-peers)."
)
SILENCE = (
    "{where} does not answer over {transport}: is the address right, does the server run, does a firewall let it "
    "through?"
)
OTHERS = {
    Cause.UNPROVED: "What {where} answers is not signed with the key of this user: compare the password.",
    Cause.REFUSED: "Nobody listens on {where} over {transport} (connection refused).",
    Cause.CLOSED: "The server closed the connection ({step}).",
    Cause.NETWORK: "This machine cannot reach {where}: {reason}.",
}


def hint(failure: Failure, plan: Plan) -> str:
    """The sentence for a failure."""
    target = plan.target
    host = f"[{target.host}]" if ":" in target.host else target.host
    words = {
        "where": f"{host}:{target.port}",
        "transport": target.transport.name,
        "step": failure.step,
        "reason": failure.reason or "no reason given",
    }
    return _template(failure, plan.load.mode).format(**words)


def _template(failure: Failure, mode: Mode) -> str:
    if failure.cause is Cause.SILENCE:
        return SILENCE if failure.step == "Allocate" else "{where} stopped answering ({step})."
    if failure.cause is not Cause.ANSWER:
        return OTHERS[failure.cause]
    if failure.code == 403 and failure.step in ("CreatePermission", "ChannelBind"):
        return RELAY_AS_PEER if mode in (Mode.PAIR, Mode.SETUPS) else OWN_PEER
    return ANSWERS.get(failure.code) or f"The server answered {{step}} with {failure.code or 'an error'}: {{reason}}."
