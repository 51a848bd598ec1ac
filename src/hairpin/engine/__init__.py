"""The driver: takes events from the packet path, has them judged, and carries out what the rules decide."""

from hairpin.engine.engine import Backend, Ended, Engine, Refused
from hairpin.engine.goodbyes import ENDED, Goodbyes
from hairpin.engine.policy_calls import PolicyCalls
from hairpin.engine.rulings import Rulings

__all__ = ["ENDED", "Backend", "Ended", "Engine", "Goodbyes", "PolicyCalls", "Refused", "Rulings"]
