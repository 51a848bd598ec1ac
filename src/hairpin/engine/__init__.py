"""The driver: takes events from the packet path, has them judged, and carries out what the rules decide."""

from hairpin.engine.engine import Backend, Ended, Engine, Refused

__all__ = ["Backend", "Ended", "Engine", "Refused"]
