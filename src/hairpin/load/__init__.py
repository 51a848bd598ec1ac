"""A load generator for any TURN server: it plays the clients, and says in plain words what the server did."""

from hairpin.load.bench import run
from hairpin.load.plan import Load, Mode, Plan
from hairpin.load.report import report
from hairpin.load.screen import screen
from hairpin.load.verdict import verdict

__all__ = ["Load", "Mode", "Plan", "report", "run", "screen", "verdict"]
