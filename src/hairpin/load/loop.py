"""Waits for sockets and for the time, to the microsecond, and hears Ctrl-C."""

import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

Handler = Callable[[int], None]
READ, WRITE = select.EPOLLIN, select.EPOLLOUT
PATIENT = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Loop:
    """An epoll with a handler for each descriptor; the first signal asks it to stop, the second is Python's again."""

    def __init__(self) -> None:
        self.stopped = False
        self.idle = 0  # ns spent waiting
        self._epoll = select.epoll()  # made first: `select` below takes only small descriptors
        self._handlers: dict[int, Handler] = {}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.add(self._wake, lambda _: None)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._epoll.close()
        os.close(self._wake)

    def add(self, descriptor: int, handler: Handler) -> None:
        """Call the handler with epoll's events whenever something can be read."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, READ)

    def watch_writing(self, descriptor: int, wanted: bool) -> None:
        """Whether to call the handler also when it can be written."""
        self._epoll.modify(descriptor, READ | WRITE if wanted else READ)

    def remove(self, descriptor: int) -> None:
        """Before it is closed."""
        del self._handlers[descriptor]
        self._epoll.unregister(descriptor)

    def poll(self) -> bool:
        """Handle what is there; whether there was anything."""
        events = self._epoll.poll(0)
        for descriptor, event in events:
            handler = self._handlers.get(descriptor)
            if handler:
                handler(event)
        return bool(events)

    def wait(self, until: int | None) -> None:
        """Handle what comes first, but return when it is `until` (epoll itself counts in whole milliseconds)."""
        before = time.monotonic_ns()
        seconds = PATIENT if until is None else max(until - before, 0) / 1e9
        select.select((self._epoll,), (), (), seconds)
        self.idle += time.monotonic_ns() - before
        self.poll()

    def resume(self) -> None:
        """Work on after a stop: there is something to put away."""
        if self.stopped:
            os.eventfd_read(self._wake)
            self.stopped = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.eventfd_write(self._wake, 1)
