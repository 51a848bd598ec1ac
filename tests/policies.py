"""Policies for tests: one that answers at once, and one that answers when it is told to."""

import asyncio
from typing import Any

from hairpin import EndedSession, Peer, Policy, TurnClient


class Answers(Policy):
    """Says what the test has set, and notes what it was asked: an exception is raised, a function is called."""

    def __init__(self, allocate: Any = True, reach: Any = True, end: Any = None) -> None:
        self.allocate, self.reach, self.end = allocate, reach, end
        self.clients: list[TurnClient] = []
        self.peers: list[Peer] = []
        self.ended: list[EndedSession] = []

    def may_allocate(self, client: TurnClient) -> Any:
        """What `allocate` is."""
        self.clients.append(client)
        return _said(self.allocate, client)

    def may_reach(self, client: TurnClient, peer: Peer) -> Any:
        """What `reach` is."""
        self.clients.append(client)
        self.peers.append(peer)
        return _said(self.reach, peer)

    def session_ended(self, session: EndedSession) -> Any:
        """What `end` is."""
        self.ended.append(session)
        return _said(self.end, session)


class Later(Policy):
    """Each call waits for a future of its own, which stands in `asked`."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Any]] = []

    async def may_allocate(self, client: TurnClient) -> Any:
        """What the future holds."""
        return await self._answer()

    async def may_reach(self, client: TurnClient, peer: Peer) -> Any:
        """What the future holds."""
        return await self._answer()

    async def session_ended(self, session: EndedSession) -> None:
        """When the future says so."""
        await self._answer()

    async def _answer(self) -> Any:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


def _said(answer: Any, about: object) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer(about) if callable(answer) else answer
