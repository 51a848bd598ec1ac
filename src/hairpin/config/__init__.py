"""The settings: parsed and validated once, from a file and the environment."""

from hairpin.config.interface import Interface
from hairpin.config.relays import Relays, relays_for
from hairpin.config.sources import ConfigError
from hairpin.config.tree import Api, Auth, Compat, Config, Limits, Log, Peers, Policy, Relay, Turn

__all__ = [
    "Api",
    "Auth",
    "Compat",
    "Config",
    "ConfigError",
    "Interface",
    "Limits",
    "Log",
    "Peers",
    "Policy",
    "Relay",
    "Relays",
    "Turn",
    "relays_for",
]
