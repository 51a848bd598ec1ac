"""The checks, a file a subject; importing this package registers all of them."""

from conformance.checks import (
    allocate,
    channels,
    credentials,
    discovery,
    framing,
    mobility,
    relaying,
    secure,
    tcp_relaying,
)

__all__ = [
    "allocate",
    "channels",
    "credentials",
    "discovery",
    "framing",
    "mobility",
    "relaying",
    "secure",
    "tcp_relaying",
]
