"""The sessions of a run: made, opened, counted and closed."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hairpin.load.figures import Figures
from hairpin.load.links import Connection, Datagrams, Endpoint, Link
from hairpin.load.loop import Loop
from hairpin.load.plan import Plan
from hairpin.load.session import OnData, Session, drive
from hairpin.stun import Transport
from hairpin.turnclient.client import Client
from hairpin.turnclient.failure import Cause, Failure

AT_ONCE = 32  # requests in flight, but in mode setups: a call's clients do not come as a storm

Place = tuple[int, Endpoint]  # address family, address


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `share` is from 0 to 1."""

    phase: str
    share: float
    note: str = ""


Show = Callable[[Progress], None]


class Crew:
    """Makes the sessions, and knows what became of those that are gone."""

    def __init__(self, plan: Plan, loop: Loop, place: Place, show: Show) -> None:
        """The sessions are clients of the server at `place`."""
        self.plan, self.loop, self.show = plan, loop, show
        self.failures: Counter[Failure] = Counter()
        self.software = ""
        self.repeated = 0
        self.hopeless = False
        self._succeeded = False
        self._place = place
        self._living: set[Session] = set()

    @property
    def version(self) -> int:
        """The IP version of the relays: that of the peers, or the server's."""
        return 6 if ":" in (self.plan.peer or self._place[1][0]) else 4

    def enlist(self, on_data: OnData) -> Session:
        """A session more, with its socket open."""
        session = Session(self.loop, self._equip, on_data)
        self._living.add(session)
        session.open()
        return session

    def note(self, session: Session) -> None:
        """Where the first ones fail and none succeeds it is hopeless: all others would hear the same."""
        self._succeeded = self._succeeded or session.well
        self.hopeless = not self._succeeded

    def dismiss(self, session: Session) -> None:
        """Close a session, and note what it met."""
        self._living.remove(session)
        session.close()
        client = session.client
        self.software = self.software or client.software
        self.repeated += client.repeated
        if client.failure:
            self.failures[client.failure] += 1

    def give_back(self) -> None:
        """Release every allocation, also after a signal; not to be had from a server that has fallen silent."""
        self.loop.resume()
        holding = [session for session in self._living if session.client.may_hold]
        self.show(Progress("Giving back", 0.0, f"{len(holding)} sessions"))
        silent: list[Session] = []

        def coming() -> Iterator[Session]:
            for session in holding:
                if silent:
                    return
                session.give_back()
                yield session

        def done(session: Session) -> None:
            if session.client.failure and session.client.failure.cause is Cause.SILENCE:
                silent.append(session)

        drive(self.loop, coming(), AT_ONCE, done)

    def close(self) -> None:
        """Close all that are left."""
        for session in list(self._living):
            self.dismiss(session)

    def figures(self) -> Figures:
        """What all modes tell."""
        failures = tuple(self.failures.most_common())
        return Figures(self.plan, software=self.software, failures=failures, repeated=self.repeated)

    def _equip(self) -> tuple[Link, Client]:
        reliable = self.plan.target.transport == Transport.TCP
        link = (Connection if reliable else Datagrams)(*self._place)
        return link, Client(self.plan.credentials, reliable=reliable, chance=os.urandom)
