"""A STUN/TURN server for WebRTC that other programs can look into and steer over HTTP."""

from importlib import import_module
from typing import TYPE_CHECKING

from hairpin.version import __version__

if TYPE_CHECKING:
    from hairpin.config import Config, ConfigError
    from hairpin.policy.protocol import Deny, EndedSession, Peer, Policy, Terms, TurnClient
    from hairpin.server import Server
else:
    # What a name stands for is imported when it is first used: `hairpin.client` and the pytest plugin do without it.
    _HOMES = {
        "hairpin.config": ("Config", "ConfigError"),
        "hairpin.policy.protocol": ("Deny", "EndedSession", "Peer", "Policy", "Terms", "TurnClient"),
        "hairpin.server": ("Server",),
    }

    def __getattr__(name: str) -> object:
        """One of the public names."""
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(home), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Config",
    "ConfigError",
    "Deny",
    "EndedSession",
    "Peer",
    "Policy",
    "Server",
    "Terms",
    "TurnClient",
    "__version__",
]
