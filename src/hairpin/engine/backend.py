"""What the engine asks of the packet path: `_core.Core` over sockets, `_core.Table` in memory."""

from collections.abc import Sequence
from typing import Protocol

from hairpin._core import Acknowledged, Closed
from hairpin.stun import Address, Message, Request, Totals

Event = Request | Closed | Acknowledged | Totals


class Backend(Protocol):
    """The commands of the border, for a flow each, carried out in order; a token that is not 0 is acknowledged."""

    def drain(self, limit: int) -> Sequence[Event]:
        """At most `limit` events."""

    def reply(self, flow: int, message: Message) -> None:
        """Send a message to the client."""

    def challenge(self, flow: int, message: Message) -> None:
        """Answer a request with 401, REALM and a fresh NONCE."""

    def install_key(self, flow: int, username: str, key: bytes, rate: int) -> None:
        """Verify the flow's requests from now on."""

    def open_relay(self, flow: int, bind: Address, external: Address, deadline: int) -> None:
        """Bind a relay now; OSError where it can not be."""

    def extend_relay(self, flow: int, deadline: int) -> None:
        """Move the relay's deadline."""

    def permit(self, flow: int, ip: str, reaches: Sequence[tuple[int, int, int]], deadline: int) -> None:
        """Install or extend a permission: first port, last port, reach."""

    def forbid(self, flow: int, ip: str) -> None:
        """Take a permission away."""

    def bind_channel(self, flow: int, number: int, peer: Address, deadline: int) -> None:
        """Install or extend a channel."""

    def unbind(self, flow: int, number: int) -> None:
        """Take a channel away."""

    def close(self, flow: int, disconnect: bool, token: int) -> None:
        """End the flow."""

    def counters(self, flow: int, token: int) -> None:
        """Ask for a flow's figures."""

    def totals(self, token: int) -> None:
        """Ask every worker for its figures."""
