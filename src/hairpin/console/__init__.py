"""What the command line shows of a running server, and does to it, over the API."""

from hairpin.console.kill import NothingDoneError, Order, kill
from hairpin.console.origin import connect
from hairpin.console.screen import Sort
from hairpin.console.sessions import show_sessions
from hairpin.console.top import Options, top

__all__ = ["NothingDoneError", "Options", "Order", "Sort", "connect", "kill", "show_sessions", "top"]
