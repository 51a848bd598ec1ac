"""A client on its link: leads the one through its transactions with the bytes of the other."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable

from hairpin.probe.link import Link, Stream
from hairpin.turnclient import Credentials
from hairpin.turnclient.client import CHANNEL, SECOND, Client
from hairpin.turnclient.failure import Cause, Failure, LinkError
from hairpin.turnclient.framing import CHANNEL_HEADER, HEADER, is_channel_data

DATA = 64  # payloads that wait to be looked at


class Agent:
    """One five-tuple; a stranger without credentials."""

    def __init__(self, link: Link, credentials: Credentials | None = None) -> None:
        """Nothing is asked yet."""
        self.link = link
        self.client = Client(credentials, reliable=isinstance(link, Stream), chance=os.urandom)
        self.asked = 0  # bytes of the last request
        self.took = 0  # ns from the last request to its answer
        self._data: deque[bytes] = deque(maxlen=DATA)

    async def ask(self, step: Callable[[Client, int], None]) -> Failure | None:
        """Take a step, and wait until it is answered; why it came to nothing, or None."""
        self.client.failure = None
        began = time.monotonic_ns()
        step(self.client, began)
        while True:
            began = self._send() or began
            if self.client.idle:
                self.took = time.monotonic_ns() - began
                return self.client.failure
            await self._hear(self.client.deadline or began)
            self.client.tick(time.monotonic_ns())

    def send_data(self, payload: bytes) -> None:
        """Send in the channel."""
        self.link.send(HEADER.pack(CHANNEL, len(payload)) + payload)

    async def receive_data(self, until: int) -> bytes | None:
        """The next payload that comes in the channel; None where none came until then, or none can."""
        self.client.failure = None
        while not self._data and not self.client.failure and time.monotonic_ns() < until:
            await self._hear(until)
        return self._data.popleft() if self._data else None

    async def release(self) -> None:
        """Give the allocation back, where there is one, and leave."""
        if self.client.relay and not (self.client.failure and self.client.failure.cause is not Cause.ANSWER):
            await self.ask(Client.release)
        self.link.close()

    def _send(self) -> int:
        """Send what is to be sent; when that was, 0 where there was nothing."""
        outgoing = self.client.outgoing
        if not outgoing:
            return 0
        while outgoing:
            self.asked = len(outgoing[0])
            self.link.send(outgoing.popleft())
        return time.monotonic_ns()

    async def _hear(self, until: int) -> None:
        """Take what comes next, until then at most."""
        try:
            async with asyncio.timeout(max(until - time.monotonic_ns(), 0) / SECOND):
                frame = await self.link.receive()
        except TimeoutError:
            return None
        except LinkError as error:
            return self.client.fail(error.cause, reason=str(error))
        if is_channel_data(frame):
            _, length = HEADER.unpack_from(frame)
            self._data.append(frame[CHANNEL_HEADER : CHANNEL_HEADER + length])
        else:
            self.client.receive(frame, time.monotonic_ns())
        return None
