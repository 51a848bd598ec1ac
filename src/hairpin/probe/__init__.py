"""Tries any STUN or TURN server as one of its clients, one step after another, and says of each what came of it."""

from hairpin.probe.report import line, report, verdict
from hairpin.probe.scene import Scene
from hairpin.probe.steps import Step, Verdict, well
from hairpin.probe.walk import ALL, WAY_IN, probe, walk

__all__ = ["ALL", "WAY_IN", "Scene", "Step", "Verdict", "line", "probe", "report", "verdict", "walk", "well"]
