"""What the rules of TURN ask the driver to do, in order: values, without any I/O in them.

Nobody changes one. They are not frozen all the same: several are made for each request, and a frozen one takes three
times as long to make.
"""

from dataclasses import dataclass
from typing import TypeAlias

from hairpin.stun import Address, Attribute, Message, Method, Reach
from hairpin.turn.refusal import Refusal

ALLOCATE = int(Method.ALLOCATE)

Value: TypeAlias = int | str | bytes | Address | tuple[int, str] | tuple[int, int, str] | tuple[int, ...]
Attributes: TypeAlias = tuple[tuple[Attribute, Value], ...]


@dataclass(slots=True)
class InstallKey:
    """Let the packet path verify this flow's requests, and cap its data at `rate` bytes a second each way (0: none)."""

    flow: int
    username: str
    algorithm: int
    key: bytes
    rate: int


@dataclass(slots=True)
class OpenRelay:
    """Bind a relayed transport address; the driver answers with `Server.relay_opened` or `Server.relay_refused`.

    With `reserve` the next port is bound, too, and kept for the one who opens it later; both are bound, or neither.
    """

    flow: int
    bind: Address
    external: Address
    deadline: int
    reserve: bool = False


@dataclass(slots=True)
class Unreserve:
    """Nobody came for an address that was kept: close its socket."""

    bind: Address


@dataclass(slots=True)
class Listen:
    """The same for TCP (RFC 6062, section 5.1): it listens, and has so many connections at most."""

    flow: int
    bind: Address
    external: Address
    deadline: int
    connections: int


@dataclass(slots=True)
class Connect:
    """Connect a TCP relay to a peer (RFC 6062, section 5.2); the driver tells what came of it in `Server.changed`."""

    flow: int
    peer: Address
    reach: Reach


@dataclass(slots=True)
class Disconnect:
    """Close the connection to a peer, and the data connection that is bound to it."""

    flow: int
    peer: Address


@dataclass(slots=True)
class ExtendRelay:
    """Move the deadline of the flow's relay of an IP version."""

    flow: int
    version: int
    deadline: int


@dataclass(slots=True)
class CloseRelay:
    """Take one of the flow's relays away; the flow lives on."""

    flow: int
    version: int


@dataclass(slots=True)
class Keep:
    """Let the flow's session outlive a connection that breaks: its client may come from elsewhere (RFC 8016)."""

    flow: int


@dataclass(slots=True)
class Expect:
    """A session is to move to this flow: the driver says with the first data there, by `Server.moving` (RFC 8016)."""

    flow: int


@dataclass(slots=True)
class Move:
    """Let a session go to the flow where it is expected, with all that it has; its old flow is over."""

    flow: int
    to: int


@dataclass(slots=True)
class Permit:
    """Install or extend a permission (RFC 8656, section 9): where data for the IP may go, by port."""

    flow: int
    ip: str
    reaches: tuple[tuple[int, int, Reach], ...]
    deadline: int


@dataclass(slots=True)
class Forbid:
    """Take a permission away."""

    flow: int
    ip: str


@dataclass(slots=True)
class BindChannel:
    """Install or extend a channel (RFC 8656, section 12)."""

    flow: int
    number: int
    peer: Address
    deadline: int


@dataclass(slots=True)
class Unbind:
    """Take a channel away."""

    flow: int
    number: int


@dataclass(slots=True)
class Reply:
    """Answer a request, signed with the requester's key; an error where the attributes hold ERROR-CODE."""

    flow: int
    request: Message
    attributes: Attributes
    key: bytes


@dataclass(slots=True)
class Join:
    """Answer, and make the connection that asked the data connection of a peer (RFC 6062, section 5.4)."""

    reply: Reply
    owner: int
    peer: Address


@dataclass(slots=True)
class Send:
    """Send an indication to the client."""

    flow: int
    message: Message


@dataclass(slots=True)
class Close:
    """End the flow: its relays, key, channels and permissions; `disconnect` closes a TCP connection too."""

    flow: int
    disconnect: bool


@dataclass(slots=True)
class SessionView:
    """What an event says of its session. `began` is nanoseconds on CLOCK_MONOTONIC."""

    id: str
    flow: int
    client: Address
    interface: Address
    transport: int
    username: str
    began: int

    @property
    def internal(self) -> bool:
        """Whether it is one of the server's own, which nobody is told of."""
        return False

    def view(self) -> "SessionView":
        """A copy, for whoever keeps it for long: it keeps no session in memory."""
        where = (self.flow, self.client, self.interface, self.transport)
        return SessionView(self.id, *where, self.username, self.began)


@dataclass(slots=True)
class Notify:
    """Tell whoever listens what happened to a session; `data` holds what the kind adds (port, channel, ...)."""

    kind: str
    session: SessionView
    data: tuple[tuple[str, object], ...] = ()


@dataclass(slots=True)
class Refused:
    """Tell whoever listens that a request was answered with an error (`code` 0: it was not answered), and why.

    The user name is the one that the client gave, empty where it gave none.
    """

    client: Address
    interface: Address
    transport: int
    username: str
    method: int
    code: int
    refusal: Refusal

    @property
    def is_login(self) -> bool:
        """Whether a client was not let in: it did not prove its credentials, or may not allocate."""
        return self.method == ALLOCATE or self.code in (0, 401)


Effect: TypeAlias = (
    InstallKey
    | OpenRelay
    | Unreserve
    | Listen
    | ExtendRelay
    | CloseRelay
    | Keep
    | Expect
    | Move
    | Permit
    | Forbid
    | BindChannel
    | Unbind
    | Connect
    | Disconnect
    | Reply
    | Join
    | Send
    | Close
    | Notify
    | Refused
)
