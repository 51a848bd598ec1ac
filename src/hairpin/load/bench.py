"""One run: sessions are set up, packets sent, everything given back, and what was found is told."""

import resource
import socket

from hairpin.load.call import Call
from hairpin.load.crew import Crew, Place, Show
from hairpin.load.figures import Figures
from hairpin.load.loop import Loop
from hairpin.load.plan import Load, Mode, Plan
from hairpin.load.storm import storm
from hairpin.stun import Transport
from hairpin.turnclient import ArgumentError, Target
from hairpin.turnclient.failure import Cause, Failure, plain

SPARE = 64  # descriptors for everything else


def run(plan: Plan, show: Show) -> Figures:
    """Carry out the plan, and tell what was found until its end, or until a signal came."""
    try:
        place = resolve(plan.target)
    except OSError as error:
        return Figures(plan, failures=((Failure("Resolve", Cause.NETWORK, 0, plain(error.strerror or "")), 1),))
    _claim_descriptors(plan.load)
    with Loop() as loop:
        crew = Crew(plan, loop, place, show)
        try:
            return storm(crew) if plan.load.mode is Mode.SETUPS else Call(crew).run()
        finally:
            crew.close()


def resolve(target: Target) -> Place:
    """The first address of the host; OSError where it has none."""
    kind = socket.SOCK_STREAM if target.transport == Transport.TCP else socket.SOCK_DGRAM
    family, _, _, _, address = socket.getaddrinfo(target.host, target.port, type=kind)[0]
    return family, address  # type: ignore[return-value]  # the third form is for builds without IPv6


def _claim_descriptors(load: Load) -> None:
    """As many as the machine grants; ArgumentError before a packet is sent where that is too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = load.sessions * (1 if load.mode in (Mode.PAIR, Mode.SETUPS) else 2) + SPARE
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise ArgumentError(f"--sessions: {load.sessions} need {wanted} open files, and this machine grants {hard}")
