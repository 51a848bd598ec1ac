"""The outgoing half of the HTTP contract: it asks other programs for passwords and tells them what happens."""

from hairpin.hooks.client import HookClient
from hairpin.hooks.event import body
from hairpin.hooks.events import Events, Timers
from hairpin.hooks.spool import Spool
from hairpin.hooks.spool_file import SpoolError
from hairpin.hooks.usage import usage

__all__ = ["Events", "HookClient", "Spool", "SpoolError", "Timers", "body", "usage"]
