"""What was agreed on with a user when a session began: it holds as long as the session lives."""

from dataclasses import dataclass, fields
from typing import ClassVar

MOST = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a client may allocate; what is None is as `[limits]` says, where the names are explained.

    Times in seconds; 0 is no limit where `[limits]` takes it for none. `mobility` is whether the session may move to
    another address, where `turn.mobility` lets any (RFC 8016). ValueError names a value that will not do.
    """

    allocations_per_user: int | None = None
    bytes_per_second: int | None = None
    permissions: int | None = None
    channels: int | None = None
    connections: int | None = None
    lifetime: int | None = None
    session_max: int | None = None
    mobility: bool | None = None

    # 600 s are granted at least (RFC 8656, section 7.2).
    LEAST: ClassVar[dict[str, int]] = {"permissions": 1, "channels": 1, "connections": 1, "lifetime": 600}

    def __post_init__(self) -> None:
        for name, value in self.agreed().items():
            least = self.LEAST.get(name, 0)
            if not (isinstance(value, int) and least <= value <= MOST):
                raise ValueError(f"{name} must be a whole number from {least} to {MOST}, not {value!r}")

    def agreed(self) -> dict[str, int]:
        """What is not as the settings say."""
        values = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: value for name, value in values if value is not None}


USUAL = Terms()
