"""Sends packets when they are due, whatever has become of the earlier ones: an open loop."""

import gc
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from hairpin.load.links import DATAGRAM, datagram_socket, overflowed
from hairpin.load.loop import Loop
from hairpin.load.pace import Pace
from hairpin.load.session import Session
from hairpin.load.tally import MARKS, Tally
from hairpin.stun import Address
from hairpin.turnclient.client import CHANNEL, SECOND
from hairpin.turnclient.framing import HEADER

CHORES = SECOND // 2
QUIET = SECOND  # after so long without an arrival the rest is lost


class Carrier(Protocol):
    """What packets can be sent by."""

    @property
    def well(self) -> bool:
        """Whether it still carries."""
        ...

    def send(self, data: bytes | bytearray) -> None:
        """Send a packet."""
        ...


class Sender:
    """Sends the packets of one stream."""

    __slots__ = ("_buffer", "_carrier", "_index", "_magic", "_offset", "_stream")

    def __init__(self, tally: Tally, index: int, carrier: Carrier, header: bytes, size: int) -> None:
        """A packet is the header, if any, and `size` bytes that begin with the marks."""
        self._magic, self._index, self._stream = tally.magic, index, tally.streams[index]
        self._carrier, self._offset = carrier, len(header)
        self._buffer = bytearray(header + bytes(size))

    def __call__(self) -> None:
        """Send the next one, with the time on it."""
        if self._carrier.well:
            stream, sequence = self._stream, self._stream.sent
            stream.sent += 1
            MARKS.pack_into(self._buffer, self._offset, self._magic, self._index, sequence, time.monotonic_ns())
            self._carrier.send(self._buffer)


def channel_sender(tally: Tally, index: int, session: Session, size: int) -> Sender:
    """Packets in the session's channel."""
    return Sender(tally, index, session, HEADER.pack(CHANNEL, size), size)


class Peer:
    """A socket of this machine that one session's relay sends to; it counts, echoes or sends."""

    well = True

    def __init__(self, loop: Loop, tally: Tally, ip: str, *, echoes: bool) -> None:
        """Bound to `ip` where that is an address of this machine, else to all of them."""
        self.socket = datagram_socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        self.blocked = 0
        try:
            self.socket.bind((ip, 0))
        except OSError:  # a NAT's address, for example
            self.socket.bind(("", 0))
        self.address = Address(ip, self.socket.getsockname()[1])
        self.relay: Address | None = None
        self._loop, self._tally, self._echoes = loop, tally, echoes
        loop.add(self.socket.fileno(), self._on_event)

    def send(self, data: bytes | bytearray) -> None:
        """To the session's relay."""
        if self.relay:
            self._send(data, (self.relay.ip, self.relay.port))

    def close(self) -> None:
        """Be gone."""
        self._loop.remove(self.socket.fileno())
        self.socket.close()

    def overflowed(self) -> int:
        """How many datagrams found the socket full."""
        return overflowed(self.socket)

    def _on_event(self, _: int) -> None:
        try:
            data, source = self.socket.recvfrom(DATAGRAM)
        except OSError:
            return
        if not self._echoes:
            self._tally.arrived(data, 0, time.monotonic_ns())
        elif self._tally.is_ours(data):
            self._send(data, source)

    def _send(self, data: bytes | bytearray, to: tuple[str, int]) -> None:
        try:
            self.socket.sendto(data, to)
        except OSError:
            self.blocked += 1


def send_all(loop: Loop, senders: Sequence[Callable[[], None]], pace: Pace, chores: Callable[[int], None]) -> None:
    """Send at that pace, taking turns, until all are sent or a signal comes; `chores` are done twice a second."""
    next_chores, turns = pace.start + CHORES, len(senders)
    while not pace.finished and not loop.stopped:
        now = time.monotonic_ns()
        owed = pace.owed(now)
        for index in range(pace.index, pace.index + owed):
            senders[index % turns]()
        pace.index += owed
        busy = loop.poll()
        if now >= next_chores:
            chores(now)
            next_chores = now + CHORES
        if not owed and not busy:
            loop.wait(min(pace.due, next_chores))


def await_stragglers(loop: Loop, tally: Tally) -> None:
    """Until all that was sent has arrived, or nothing more comes."""
    sent, arrived = tally.total("sent"), -1
    end = time.monotonic_ns() + QUIET
    while not loop.stopped and tally.latency.count < sent and time.monotonic_ns() < end:
        if tally.latency.count != arrived:
            end, arrived = time.monotonic_ns() + QUIET, tally.latency.count
        loop.wait(end)


@contextmanager
def no_collection() -> Iterator[None]:
    """Without the pauses of the garbage collector, which would look like latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
