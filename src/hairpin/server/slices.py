"""Much to do in one event loop is done in slices: between two of them others have their turn."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

SLICE = 100


def slices(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """So many at a time."""
    return (items[start : start + SLICE] for start in range(0, len(items), SLICE))
