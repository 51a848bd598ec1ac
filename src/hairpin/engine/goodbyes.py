"""Tells a policy which sessions ended: one after another, bounded, and in nobody's way."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from hairpin.engine.policy_calls import Outcome, PolicyCalls
from hairpin.engine.rulings import turn_client
from hairpin.policy.answers import Why
from hairpin.policy.protocol import EndedSession
from hairpin.stun import Counters
from hairpin.turn.effects import Notify
from hairpin.turn.state import Session

ENDED = "session_ended"
WAITING = 16_384  # sessions that ended and were not told yet
SECOND = 10**9


class Goodbyes:
    """Takes ends in with `add` and tells them while `run` runs; `clock` in nanoseconds, as all `now` are."""

    def __init__(self, calls: PolicyCalls, clock: Callable[[], int]) -> None:
        """Nobody has left."""
        self._calls = calls
        self._clock = clock
        self._waiting: asyncio.Queue[EndedSession] = asyncio.Queue(WAITING)

    def add(self, notify: Notify, counters: Counters, at: float) -> None:
        """A session ended at `at` (Unix seconds); with too many waiting already it is given up, and counted."""
        session = notify.session
        assert isinstance(session, Session)  # what is told of an end is the session itself
        duration = (self._clock() - session.began) / SECOND
        try:
            self._waiting.put_nowait(_ended(session, str(dict(notify.data)["reason"]), (at, duration), counters))
        except asyncio.QueueFull:
            self._calls.fail(ENDED, Why.BUSY)

    async def run(self) -> None:
        """Tell them, until it is cancelled."""
        while True:
            session = await self._waiting.get()
            outcome = self._calls.call(ENDED, session.client.user, [(session,)])
            if not isinstance(outcome, Outcome):
                await outcome
            self._waiting.task_done()
            await asyncio.sleep(0)  # many at once hold up nobody

    async def close(self, grace: float) -> None:
        """Wait for `grace` seconds until all are told, and give up the rest."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), grace)
        for _ in range(self._waiting.qsize()):
            self._calls.fail(ENDED, Why.BUSY)


def _ended(session: Session, reason: str, when: tuple[float, float], counters: Counters) -> EndedSession:
    at, duration = when
    return EndedSession(
        client=turn_client(session.identity, (session.client, session.interface, session.transport), session.id),
        reason=reason,
        began=at - duration,
        ended=at,
        duration=duration,
        received_bytes=counters.received_bytes,
        send_bytes=counters.send_bytes,
        received_pkts=counters.received_pkts,
        send_pkts=counters.send_pkts,
        error_pkts=counters.error_pkts,
        peers_received_bytes=counters.peers_received_bytes,
        peers_send_bytes=counters.peers_send_bytes,
        peers_received_pkts=counters.peers_received_pkts,
        peers_send_pkts=counters.peers_send_pkts,
    )
