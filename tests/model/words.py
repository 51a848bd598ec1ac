"""What requests and answers are to the reference: values, without bytes."""

from dataclasses import dataclass
from typing import Any

Endpoint = tuple[str, int]
Out = tuple[Any, ...]
"""What leaves the server.

("answer", client, Answered) or ("peer", relay, peer, data) or ("data", client, peer, data)
or ("channel", client, number, data)
"""


@dataclass(frozen=True)
class Answered:
    """An answer: the error's code or 0, what else it says, and whose key it is signed with."""

    method: int
    transaction: bytes
    code: int
    says: dict[str, Any]
    signed: str | None
    fingerprint: bool


@dataclass(frozen=True)
class Ask:
    """A request as its sender meant it; `nonce` is when that was given out, None where it was forged."""

    method: str
    transaction: bytes
    user: str
    number: int
    flaw: str = ""
    nonce: int | None = None
    fingerprint: bool = False
    transport: int | None = None
    family: int | None = None
    additional: int | None = None
    even: int | None = None
    token: bytes | None = None
    lifetime: int | None = None
    channel: int | None = None
    peers: tuple[Endpoint, ...] = ()
    ticket: bytes | None = None  # RFC 8016


class RefusalError(Exception):
    """An error response."""

    def __init__(self, code: int, **says: Any) -> None:
        self.code, self.says = code, says


def plain(peer: Endpoint) -> Endpoint:
    """A v4-mapped IPv6 address is an IPv4 address."""
    return peer[0].removeprefix("::ffff:") if "." in peer[0] else peer[0], peer[1]


def version(endpoint: Endpoint) -> int:
    """4 or 6."""
    return 6 if ":" in endpoint[0] else 4
