"""What Python of yours may decide, and what it is told: `Policy` and its values are public, and hold no secrets.

Rules of the settings come first: a policy is asked about what they let through, and can open nothing that they close.
"""

# ruff: noqa: ARG002 (the methods that Policy itself has allow everything)

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, Protocol

from hairpin.turn.terms import Terms

__all__ = ["Deny", "EndedSession", "Peer", "Policy", "Terms", "TurnClient"]


@dataclass(frozen=True, slots=True)
class TurnClient:
    """Who asks, once the credentials are proved.

    `user` is the name that quotas count (of TURN REST credentials the part after the colon), `username` the whole one.
    `ip` and `port` are the client's as the server sees them, `interface` is the IP:PORT that it came to. `session` is
    the session's id in the API and in events, None before there is one.
    """

    user: str
    username: str
    ip: str
    port: int
    interface: str
    transport: Literal["udp", "tcp"]
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a client wants to reach: an IP in its usual spelling.

    `port` is None where all ports of it are meant: a permission of TURN is for an IP (RFC 8656, section 9), and a
    channel brings one. Only Connect, of a TCP relay, is for a port.
    """

    ip: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """No, and why: for the log and the API. A client is told no more than 403."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that is over: `began` and `ended` in Unix seconds, `duration` in seconds, and its last figures.

    `reason` is that of the `closed` event. Figures are seen from the server's socket towards the client, as those of
    `GET /session/statistics`: `received_` came from it, `send_` went to it. `peers_` are the payloads between its
    relays and peers: `peers_received_` came from them, `peers_send_` went to them.
    """

    client: TurnClient
    reason: str
    began: float
    ended: float
    duration: float
    received_bytes: int
    send_bytes: int
    received_pkts: int
    send_pkts: int
    error_pkts: int
    peers_received_bytes: int
    peers_send_bytes: int
    peers_received_pkts: int
    peers_send_pkts: int


class Policy(Protocol):
    """Derive from this and write the methods that you need, each as `def` or `async def`.

    Each has `policy.deadline` seconds. One that raises, takes longer or gives another answer than it may is logged and
    counted, and its default holds. A `def` holds up the whole server meanwhile: what waits has to be an `async def`.
    """

    def may_allocate(self, client: TurnClient, /) -> bool | Terms | Deny | Awaitable[bool | Terms | Deny]:
        """Whether a client may begin a session, and on which terms; asked once for each session.

        A denial is answered 403. The default is no, with 508, which lets clients try again a minute later.
        """
        return True

    def may_reach(self, client: TurnClient, peer: Peer, /) -> bool | Deny | Awaitable[bool | Deny]:
        """Whether a client may send to a peer and be sent to, where the settings let it; asked for each request.

        That is for CreatePermission, ChannelBind and Connect, when they prolong something too. Of an IPv6 address that
        holds an IPv4 address (NAT64) both are asked for. A denial is answered 403, and so is the default.
        """
        return True

    def session_ended(self, session: EndedSession, /) -> Awaitable[None] | None:
        """A session is over: told one after another, in the order in which they ended. The default is nothing."""
        return None
