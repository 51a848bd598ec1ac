"""The servers that are measured: a module for each, a variant for each configuration."""

from bench.servers import coturn, floor, hairpin, pion, turnrs
from bench.servers.base import Found, Missing, Running, Spot, Variant, started

__all__ = ["Found", "Missing", "Running", "Spot", "Variant", "find", "started"]


def find() -> list[Found]:
    """All of them, in the order of the table's columns; what must be built for it is built."""
    return [
        *hairpin.variants(),
        *coturn.variants(),
        *turnrs.variants(),
        *pion.variants(),
        *floor.variants(),
    ]
