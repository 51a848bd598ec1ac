"""What a failure means, and where to look: a sentence for each."""

from hairpin.stun import Transport
from hairpin.turnclient.failure import Cause, Failure

ANSWERS = {
    300: "The server sends its clients elsewhere (300: {reason}): ask that one.",
    401: "The server does not accept the user or the password (401): compare them, with TURN REST credentials also "
    "the shared secret and both clocks.",
    437: "The server still holds an allocation for this address and port (437): try again in some minutes.",
    438: "The server calls each nonce that it gives out stale (438): are there several servers behind one address?",
    440: "The server has no relay address of this IP version (440).",
    441: "The server counts the allocation to another user (441).",
    442: "The server relays no UDP (442).",
    486: "The user has as many allocations as the server grants (486): look at its quotas (hairpin: "
    "limits.allocations_per_user; coturn: user-quota).",
    508: "The server has no relay port or no room left (508): look at its range of ports and its limits (hairpin: "
    "relay.ports, limits.allocations; coturn: min-port, max-port, total-quota).",
}
UNKNOWN = "The server answered {step} with {number}: {reason}."
FIRST_SILENCE = (
    "{where} does not answer over {transport}: is the address right, does the server run, does a firewall let it "
    "through?"
)
LATER_SILENCE = "{where} stopped answering ({step})."
OTHERS = {
    Cause.UNPROVED: "What {where} answers is not signed with the key of this user: compare the password.",
    Cause.REFUSED: "Nobody listens on {where} over {transport} (connection refused).",
    Cause.CLOSED: "The server closed the connection ({step}).",
    Cause.NETWORK: "This machine cannot reach {where}: {reason}.",
}
FIRST = ("Binding", "Allocate", "Connect")


def explain(failure: Failure, where: str, transport: Transport, more: dict[int, str] | None = None) -> str:
    """The sentence for a failure at HOST:PORT; those in `more`, by code, come before the usual ones."""
    words = {
        "where": where,
        "transport": transport.name,
        "step": failure.step,
        "number": failure.code or "an error",
        "reason": failure.reason or "no reason given",
    }
    return _template(failure, more or {}).format(**words)


def _template(failure: Failure, more: dict[int, str]) -> str:
    if failure.cause is Cause.SILENCE:
        return FIRST_SILENCE if failure.step in FIRST else LATER_SILENCE
    if failure.cause is not Cause.ANSWER:
        return OTHERS[failure.cause]
    return more.get(failure.code) or ANSWERS.get(failure.code, UNKNOWN)
