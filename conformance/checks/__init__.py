"""The checks, a file a subject; importing this package registers all of them."""

from conformance.checks import (
    algorithms,
    allocate,
    binding,
    channels,
    credentials,
    discovery,
    families,
    framing,
    mobility,
    permissions,
    ports,
    refresh,
    relaying,
    secure,
    tcp_relaying,
    users,
)

__all__ = [
    "algorithms",
    "allocate",
    "binding",
    "channels",
    "credentials",
    "discovery",
    "families",
    "framing",
    "mobility",
    "permissions",
    "ports",
    "refresh",
    "relaying",
    "secure",
    "tcp_relaying",
    "users",
]
