"""The driver: takes events from the packet path, has them judged, and carries out what the rules decide."""

from hairpin.engine.backend import Backend
from hairpin.engine.engine import Ended, Engine, Refused

__all__ = ["Backend", "Ended", "Engine", "Refused"]
