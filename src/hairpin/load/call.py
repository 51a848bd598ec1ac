"""Modes pair, echo, up and down: sessions that stand for the whole run, and the packets between them."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from hairpin.load.crew import AT_ONCE, Crew, Progress
from hairpin.load.figures import Figures
from hairpin.load.histogram import Histogram, Times
from hairpin.load.pace import Pace
from hairpin.load.plan import Mode
from hairpin.load.session import Session, drive
from hairpin.load.tally import Tally
from hairpin.load.traffic import Peer, Sender, await_stragglers, channel_sender, no_collection, send_all
from hairpin.stun import Address


class Call:
    """The sessions; in mode pair by twos, in the others each with a peer on this machine."""

    def __init__(self, crew: Crew) -> None:
        """Of the crew's plan."""
        self._crew, self._load, self._loop = crew, crew.plan.load, crew.loop
        self._tally = Tally(int.from_bytes(os.urandom(4), "big"), self._load.sessions)
        self._sessions: list[Session] = []
        self._peers: list[Peer] = []
        self._ready: set[Session] = set()
        self._noted = 0

    def run(self) -> Figures:
        """All phases; a signal shortens them, and the sessions are given back all the same."""
        drive(self._loop, self._allocating(), AT_ONCE, self._note)
        drive(self._loop, self._reaching(), AT_ONCE, self._note_ready)
        senders = self._senders()
        found = self._measure(senders) if senders and not self._loop.stopped else Figures(self._crew.plan)
        found = replace(found, ready=len(senders), stopped=self._loop.stopped, setup=self._set_ups())
        self._crew.give_back()
        self._crew.close()
        for peer in self._peers:
            peer.close()
        met = self._crew.figures()
        return replace(found, software=met.software, failures=met.failures, repeated=met.repeated)

    def _allocating(self) -> Iterator[Session]:
        for _ in range(self._load.sessions):
            if self._crew.hopeless:
                return
            session = self._crew.enlist(self._tally.arrived)
            self._sessions.append(session)
            session.begin(lambda client, now: client.allocate(self._crew.version, now))
            yield session

    def _reaching(self) -> Iterator[Session]:
        for session, peer in self._with_peers():
            session.begin(lambda client, now, peer=peer: client.reach(peer, now))  # type: ignore[misc]
            yield session

    def _with_peers(self) -> Iterator[tuple[Session, Address]]:
        if self._load.mode is Mode.PAIR:
            for one, other in zip(self._sessions[::2], self._sessions[1::2], strict=False):
                if one.client.relay and other.client.relay:
                    yield from ((one, other.client.relay), (other, one.client.relay))
            return
        for session in self._sessions:
            if session.client.relay:
                peer = self._make_peer(session)
                peer.relay = session.client.relay
                yield session, peer.address

    def _make_peer(self, session: Session) -> Peer:
        ip = self._crew.plan.peer or session.link.socket.getsockname()[0]
        peer = Peer(self._loop, self._tally, ip, echoes=self._load.mode is Mode.ECHO)
        self._peers.append(peer)
        return peer

    def _note(self, session: Session) -> None:
        self._crew.note(session)
        self._noted += 1
        share = self._noted / (2 * self._load.sessions)
        self._crew.show(Progress("Setting up", share, f"{len(self._ready)} of {self._load.sessions} sessions"))

    def _note_ready(self, session: Session) -> None:
        if session.well:
            self._ready.add(session)
        self._note(session)

    def _senders(self) -> list[Sender]:
        """One for each session that is ready, in mode pair with its partner."""
        size, mode = self._load.size, self._load.mode
        if mode is Mode.DOWN:
            carriers = zip((s for s in self._sessions if s.client.relay), self._peers, strict=False)
            ready = (peer for session, peer in carriers if session in self._ready)
            return [Sender(self._tally, index, peer, b"", size) for index, peer in enumerate(ready)]
        sessions = self._sessions
        if mode is Mode.PAIR:
            pairs = zip(sessions[::2], sessions[1::2], strict=False)
            sessions = [session for pair in pairs if self._ready.issuperset(pair) for session in pair]
        ready_sessions = [session for session in sessions if session in self._ready]
        return [channel_sender(self._tally, index, session, size) for index, session in enumerate(ready_sessions)]

    def _measure(self, senders: list[Sender]) -> Figures:
        self._crew.show(Progress("Sending", 0.0))
        rate = len(senders) * self._load.packets
        with no_collection():
            idle, start = self._loop.idle, time.monotonic_ns()
            pace = Pace(rate, max(round(rate * self._load.seconds), 1), start)
            send_all(self._loop, senders, pace, self._chores(pace))
            elapsed, idle = time.monotonic_ns() - start, self._loop.idle - idle
            await_stragglers(self._loop, self._tally)
        found = self._traffic_figures()
        return replace(found, missed=pace.missed, elapsed=elapsed, busy=1 - idle / elapsed)

    def _chores(self, pace: Pace) -> Callable[[int], None]:
        """What is done now and then while packets are sent: sessions kept alive, and progress shown."""

        def chores(now: int) -> None:
            for session in self._sessions:
                if (session.client.deadline or now) < now:
                    session.advance(now)
            self._crew.show(Progress("Sending", pace.index / pace.total, self._note_of_traffic()))

        return chores

    def _note_of_traffic(self) -> str:
        times = self._tally.latency.times()
        took = f", p50 {times.p50 / 1e6:.2f} ms, p99 {times.p99 / 1e6:.2f} ms" if times else ""
        sent = self._tally.total("sent")
        return f"{sent} packets, {sent - self._tally.latency.count} under way or lost{took}"

    def _traffic_figures(self) -> Figures:
        tally, sockets = self._tally, [*self._peers, *(session.link for session in self._sessions)]
        return Figures(
            self._crew.plan,
            sent=tally.total("sent"),
            arrived=tally.total("arrived"),
            reordered=tally.total("reordered"),
            duplicates=tally.total("duplicates"),
            blocked=sum(peer.blocked for peer in self._peers) + sum(session.blocked for session in self._sessions),
            overflowed=sum(sock.overflowed() for sock in sockets),
            latency=tally.latency.times(),
        )

    def _set_ups(self) -> Times | None:
        times = Histogram()
        for session in self._ready:
            times.add(session.took)
        return times.times()
