"""Which public address clients find this machine by, for `external = "auto"`."""

from hairpin.whereabouts.finder import Found, Unfound, find
from hairpin.whereabouts.metadata import METADATA
from hairpin.whereabouts.stun_server import StunServer

__all__ = ["METADATA", "Found", "StunServer", "Unfound", "find"]
