"""A STUN/TURN server for WebRTC that other programs can look into and steer over HTTP."""

from hairpin.config import Config, ConfigError
from hairpin.server import Server
from hairpin.version import __version__

__all__ = ["Config", "ConfigError", "Server", "__version__"]
