"""A STUN/TURN server for WebRTC that other programs can look into and steer over HTTP."""

from hairpin.config import Config, ConfigError
from hairpin.policy.protocol import Deny, EndedSession, Peer, Policy, Terms, TurnClient
from hairpin.server import Server
from hairpin.version import __version__

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
