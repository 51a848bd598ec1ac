"""What a run found, as figures; the verdict makes sentences of them."""

from dataclasses import dataclass

from hairpin.load.histogram import Times
from hairpin.load.plan import Plan
from hairpin.turnclient.failure import Failure


@dataclass(frozen=True, slots=True)
class Figures:
    """Times in nanoseconds; packets are those of the load."""

    plan: Plan
    software: str = ""
    ready: int = 0  # sessions that were set up
    failures: tuple[tuple[Failure, int], ...] = ()  # and how many sessions each ended
    setup: Times | None = None
    setups: int = 0  # complete ones, in mode setups
    repeated: int = 0  # requests that had to be sent again
    elapsed: int = 0  # how long packets were sent, or set-ups made
    stopped: bool = False
    sent: int = 0
    arrived: int = 0
    reordered: int = 0
    duplicates: int = 0
    blocked: int = 0  # of those sent, which found no room in this machine's socket
    overflowed: int = 0  # which came back and found no room
    missed: int = 0  # never sent, because their time had passed
    busy: float = 0.0  # share of the time that the generator worked
    latency: Times | None = None

    @property
    def lost(self) -> int:
        """Packets that the server or the network lost, not this machine."""
        return max(self.sent - self.arrived - self.overflowed, 0)

    @property
    def loss(self) -> float:
        """The same as a share of those sent."""
        return self.lost / self.sent if self.sent else 0.0
