"""A client of the server with its socket: led through steps, then the carrier of packets."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from hairpin.load.links import Link
from hairpin.load.loop import WRITE, Loop
from hairpin.turnclient.client import Client
from hairpin.turnclient.failure import LinkError
from hairpin.turnclient.framing import CHANNEL_HEADER

Step = Callable[[Client, int], None]
OnData = Callable[[bytes, int, int], object]
MOST_ADDRESSES = 16  # RFC 8656, section 7.4, asks for three; a storm soon comes by its own ports again


class Session:
    """One five-tuple towards the server."""

    def __init__(self, loop: Loop, make: Callable[[], tuple[Link, Client]], on_data: OnData) -> None:
        """Data that comes in the channel goes to `on_data`, with the offset of the payload and the time."""
        self.link, self.client = make()
        self._make = make
        self.took = 0  # ns that the steps took
        self.blocked = 0  # packets that the socket did not take
        self._loop, self._on_data = loop, on_data
        self._steps: deque[Step] = deque()
        self._script: tuple[Step, ...] = ()
        self._addresses = 1  # of this machine that were tried
        self._began = 0
        self._open = False
        self._watching = False

    @property
    def well(self) -> bool:
        """Whether nothing has failed."""
        return self.client.failure is None

    @property
    def busy(self) -> bool:
        """Whether there are steps to take, or one waits for its answer."""
        return bool(self._steps) or not self.client.idle

    def open(self) -> None:
        """Connect; what goes wrong is the client's failure."""
        self._loop.add(self.link.socket.fileno(), self._on_event)
        self._open = True
        try:
            self.link.connect()
        except LinkError as error:
            self._broke(error)

    def close(self) -> None:
        """Leave without a word."""
        if self._open:
            self._loop.remove(self.link.socket.fileno())
            self._open = False
        self.link.socket.close()

    def begin(self, *steps: Step) -> None:
        """Take these steps, each when the one before is answered."""
        self._began = time.monotonic_ns()
        self._script = steps
        self._steps.extend(steps)
        self.advance(self._began)

    def give_back(self) -> None:
        """Release the allocation, also one that is still being asked for."""
        self._steps.clear()
        if self.client.relay:
            self.client.release(time.monotonic_ns())
        elif self.busy:
            self._steps.append(_release)
        self.advance(time.monotonic_ns())

    def advance(self, now: int) -> None:
        """Do what can be done by now."""
        self.client.tick(now)
        if _address_taken(self.client) and self._addresses < MOST_ADDRESSES:
            return self._move()
        while self._steps and self.client.idle:
            step = self._steps.popleft()
            if self.well:
                step(self.client, now)
        while self.client.outgoing:
            self.send(self.client.outgoing.popleft())
        if self._began and self.well and not self.busy:
            self.took += now - self._began
            self._began = 0
        return None

    def send(self, data: bytes | bytearray) -> None:
        """Send, or count that there was no room."""
        try:
            if not self.link.send(data):
                self.blocked += 1
        except LinkError as error:
            return self._broke(error)
        if self.link.waiting is not self._watching:
            self._watch()
        return None

    def _on_event(self, event: int) -> None:
        try:
            if event & WRITE:
                self.link.flush()
                self._watch()
            frames = self.link.receive()
        except LinkError as error:
            return self._broke(error)
        now = time.monotonic_ns()
        client = self.client
        for frame in frames:
            if frame and frame[0] & 0xC0:
                self._on_data(frame, CHANNEL_HEADER, now)
            else:
                client.receive(frame, now)
                self.advance(now)
        return None

    def _move(self) -> None:
        """Begin again from another port."""
        self.close()
        self._addresses += 1
        self._steps.clear()
        self.link, self.client = self._make()
        self._watching = False
        self.open()
        self.begin(*self._script)

    def _watch(self) -> None:
        self._watching = self.link.waiting
        if self._open:
            self._loop.watch_writing(self.link.socket.fileno(), self._watching)

    def _broke(self, error: LinkError) -> None:
        self.client.fail(error.cause, reason=str(error))
        self._steps.clear()
        if self._open:
            self._loop.remove(self.link.socket.fileno())
            self._open = False


def drive(loop: Loop, coming: Iterator[Session], at_once: int, done: Callable[[Session], None]) -> None:
    """Let sessions take the steps that they have begun, so many at a time, until all are done or a signal comes."""
    active: set[Session] = set()
    more = True
    while (more or active) and not loop.stopped:
        new = list(islice(coming, at_once - len(active))) if more else []
        more = more and len(active) + len(new) == at_once
        active.update(new)
        for session in [session for session in active if not session.busy]:
            active.remove(session)
            done(session)
        if active and not (more and len(active) < at_once):
            _wait(loop, active)


def _wait(loop: Loop, active: set[Session]) -> None:
    deadlines = [deadline for session in active if (deadline := session.client.deadline) is not None]
    loop.wait(min(deadlines, default=None))
    now = time.monotonic_ns()
    for session in active:
        session.advance(now)


def _address_taken(client: Client) -> bool:
    return client.failure is not None and (client.failure.step, client.failure.code) == ("Allocate", 437)


def _release(client: Client, now: int) -> None:
    if client.relay:
        client.release(now)
