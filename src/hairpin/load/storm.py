"""Mode setups: sessions that are set up and given back, one after the other, so many at a time."""

import time
from collections.abc import Iterator
from dataclasses import replace

from hairpin.load.crew import Crew, Progress
from hairpin.load.figures import Figures
from hairpin.load.histogram import Histogram
from hairpin.load.session import Session, drive
from hairpin.turnclient.client import SECOND, Client


def storm(crew: Crew) -> Figures:
    """Make complete set-ups until the time is over; those begun by then are completed."""
    load, times = crew.plan.load, Histogram()
    start = time.monotonic_ns()
    end = start + int(load.seconds * SECOND)

    def coming() -> Iterator[Session]:
        while time.monotonic_ns() < end and not crew.hopeless:
            session = crew.enlist(lambda *_: None)
            session.begin(lambda client, now: client.allocate(crew.version, now), reach_itself, Client.release)
            yield session

    def done(session: Session) -> None:
        crew.note(session)
        if session.well:
            times.add(session.took)
        if session.client.relay is None:
            crew.dismiss(session)
        share = (time.monotonic_ns() - start) / (end - start)
        crew.show(Progress("Setting up and giving back", min(share, 1.0), f"{times.count} set-ups"))

    idle = crew.loop.idle
    drive(crew.loop, coming(), load.sessions, done)
    stopped, elapsed = crew.loop.stopped, time.monotonic_ns() - start
    busy = 1 - (crew.loop.idle - idle) / elapsed
    crew.give_back()
    crew.close()
    found = replace(crew.figures(), setup=times.times(), setups=times.count, ready=times.count)
    return replace(found, elapsed=elapsed, stopped=stopped, busy=busy)


def reach_itself(client: Client, now: int) -> None:
    """The own relay as the peer: the one address that is surely the server's."""
    if client.relay:
        client.reach(client.relay, now)
