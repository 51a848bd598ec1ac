"""A run as one JSON object, for programs."""

from typing import Any

from hairpin.load.figures import Figures
from hairpin.load.histogram import Times
from hairpin.load.verdict import Verdict


def report(figures: Figures, verdict: Verdict) -> dict[str, Any]:
    """All figures, times in milliseconds, and the verdict."""
    load = figures.plan.load
    counts = ("sent", "arrived", "lost", "reordered", "duplicates", "blocked", "overflowed", "missed")
    return {
        "server": str(figures.plan.target),
        "software": figures.software,
        "mode": load.mode.value,
        "asked": {"sessions": load.sessions, "packets": load.packets, "size": load.size, "seconds": load.seconds},
        "sessions": figures.ready,
        "seconds": figures.elapsed / 1e9,
        "stopped": figures.stopped,
        "setup_ms": _times(figures.setup),
        "setups": figures.setups,
        "requests_repeated": figures.repeated,
        "packets": {name: getattr(figures, name) for name in counts},
        "latency_ms": _times(figures.latency),
        "generator_busy": round(figures.busy, 3),
        "failures": [
            {
                "step": failure.step,
                "cause": failure.cause.value,
                "code": failure.code,
                "reason": failure.reason,
                "sessions": n,
            }
            for failure, n in figures.failures
        ],
        "well": verdict.well,
        "verdict": list(verdict.sentences),
    }


def _times(times: Times | None) -> dict[str, float] | None:
    if times is None:
        return None
    return {"p50": times.p50 / 1e6, "p99": times.p99 / 1e6, "max": times.most / 1e6}
