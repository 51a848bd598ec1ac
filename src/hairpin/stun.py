"""The value types of STUN and TURN: all that the lower layers of hairpin see of Rust."""

from hairpin._core import (
    Address,
    Attribute,
    Counters,
    DecodeError,
    Kind,
    Message,
    Method,
    Reach,
    Request,
    Totals,
    Transport,
)

__all__ = [
    "Address",
    "Attribute",
    "Counters",
    "DecodeError",
    "Kind",
    "Message",
    "Method",
    "Reach",
    "Request",
    "Totals",
    "Transport",
]
