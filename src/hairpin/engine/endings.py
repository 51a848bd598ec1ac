"""Brings together the end of a session, which the rules tell, and its last figures, which the packet path tells later.

A client that leaves tells its figures before the rules hear of it, and also where they had closed its flow already.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hairpin.stun import Counters
from hairpin.turn.effects import Notify


@dataclass(slots=True)
class _Ending:
    """A flow that was told to close; `notify` is the end of its session."""

    flow: int
    notify: Notify | None = None
    counters: Counters | None = None


class Endings:
    """Calls `tell` once for each session that ended."""

    def __init__(self, tell: Callable[[Notify, Counters], None]) -> None:
        """Nothing ends yet."""
        self._tell = tell
        self._by_token: dict[int, _Ending] = {}
        self._by_flow: dict[int, _Ending] = {}
        self._left: dict[int, Counters] = {}

    def begin(self, flow: int, token: int) -> None:
        """The flow was told to close; the acknowledgement has this token."""
        self._by_token[token] = self._by_flow[flow] = _Ending(flow)

    def closed(self, notify: Notify) -> None:
        """A session ended."""
        flow = notify.session.flow
        ending = self._by_flow.get(flow)
        if ending is not None and ending.notify is None:
            ending.notify = notify
        else:
            self._tell(notify, self._left.get(flow) or Counters())

    def left(self, flow: int, counters: Counters) -> None:
        """The client went away, with these figures."""
        self._left[flow] = counters
        if flow in self._by_flow:
            self._by_flow[flow].counters = counters

    def forget(self, flow: int) -> None:
        """What was to be said of a client that went away has been."""
        self._left.pop(flow, None)

    def figures(self, token: int, counters: Counters | None) -> None:
        """The close was acknowledged."""
        ending = self._by_token.pop(token, None)
        if ending is None:
            return  # nobody waits for it any more
        if self._by_flow.get(ending.flow) is ending:
            del self._by_flow[ending.flow]
        self._end(ending, counters)

    def finish(self) -> None:
        """No close will be acknowledged any more."""
        endings = list(self._by_token.values())
        self._by_token.clear()
        for ending in endings:
            self._end(ending, None)

    def _end(self, ending: _Ending, counters: Counters | None) -> None:
        if ending.notify is not None:
            self._tell(ending.notify, counters or ending.counters or Counters())
