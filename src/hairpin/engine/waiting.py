"""Requests that wait for a look-up or a policy: one at a time for each flow, in order, copies dropped, bounded.

A request that waits is not state: a successor lets the client send it again.
"""

from collections import deque

from hairpin.stun import Request

QUEUE = 8  # requests of one flow; a client sends one, and its copies


class Waiting:
    """For each flow with a request that waits, that one and those behind it."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._flows: dict[int, deque[Request]] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def at(self, flow: int) -> bool:
        """Whether a request of the flow waits."""
        return flow in self._flows

    def begin(self, request: Request) -> None:
        """This request waits."""
        self._flows[request.flow] = deque([request])

    def join(self, request: Request) -> bool:
        """Whether the request has to wait behind another one of its flow; a copy, or one too many, is dropped."""
        queue = self._flows.get(request.flow)
        if queue is None:
            return False
        ids = [waiting.message.transaction_id for waiting in queue]
        if request.message.transaction_id not in ids and len(queue) < QUEUE:
            queue.append(request)
        return True

    def end(self, flow: int) -> list[Request]:
        """The wait is over: the requests that came meanwhile."""
        return list(self._flows.pop(flow))[1:]
