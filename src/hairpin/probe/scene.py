"""What the steps of one probe hand on to each other, and what must be given back at its end."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Protocol, Self

from hairpin.probe.agent import Agent
from hairpin.probe.link import Endpoint, Link
from hairpin.stun import Message, Transport
from hairpin.turnclient import Credentials, Target
from hairpin.turnclient.failure import Failure
from hairpin.turnclient.hints import explain
from hairpin.turnclient.target import place


class FarEnd(Protocol):
    """The other end of a relayed call."""

    def send_data(self, payload: bytes) -> None:
        """Send a payload to the first end."""

    async def receive_data(self, until: int) -> bytes | None:
        """The next payload that comes; None where none came until then (ns on CLOCK_MONOTONIC)."""


@dataclass
class Scene:
    """One probe of a target.

    Where `trusted`, its certificate is not judged; `preface` are bytes that a stream begins with, for a server behind
    a proxy.
    """

    target: Target
    credentials: Credentials | None = None
    trusted: bool = False
    preface: bytes = b""
    addresses: list[Endpoint] = field(default_factory=list)
    address: Endpoint = ("", 0)  # the one that answered
    stranger: Agent = field(init=False)
    near: Agent = field(init=False)
    far: FarEnd = field(init=False)
    binding: Message | None = None  # the answers to a stranger, with the sizes of what he asked
    binding_asked: int = 0
    challenge: Message | None = None
    challenge_asked: int = 0
    refusal: Failure | None = None  # of the allocation, where it was not the user's
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        """Nothing is open yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give back what the server granted, close what was opened."""
        await self._stack.aclose()

    @property
    def datagrams(self) -> bool:
        """Whether messages go as datagrams."""
        return self.target.transport == Transport.UDP

    @property
    def version(self) -> int:
        """The IP version by which the server is reached, and of the relays that are asked for."""
        return ip_address(self.address[0]).version

    def keep(self, link: Link) -> None:
        """Close this link at the end."""
        self._stack.callback(link.close)

    def agent(self, link: Link, credentials: Credentials | None = None) -> Agent:
        """A client on that link, whose allocation is given back at the end."""
        made = Agent(link, credentials)
        self._stack.push_async_callback(made.release)
        return made

    def explain(self, failure: Failure, more: dict[int, str] | None = None) -> str:
        """The sentence for a failure."""
        return explain(failure, place(*self.address), self.target.transport, more)
