"""After an outage all clients come back at once: each is served, and calls that go on do not notice."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from client import Client
from running import PASSWORD, USER, Running, configuration, running
from storm import Storm

CLIENTS = 2000
CHANNEL = 0x4000
PACE = 0.01  # seconds between two packets of the call


class Call:
    """A client and a peer that send each other numbered packets, until `over`."""

    def __init__(self, client: Client, peer: socket.socket) -> None:
        self.client, self.peer, self.over = client, peer, threading.Event()
        self.heard: list[int] = []
        self.answered: list[int] = []
        client.bind(CHANNEL, peer.getsockname())
        self.threads = [threading.Thread(target=side) for side in (self.echo, self.listen)]

    def echo(self) -> None:
        """The peer sends back what it hears."""
        while not self.heard or self.heard[-1]:
            data, relay = self.peer.recvfrom(100)
            self.heard.append(struct.unpack("!I", data)[0])
            self.peer.sendto(data, relay)

    def listen(self) -> None:
        """The client hears what comes back."""
        while not self.answered or self.answered[-1]:
            self.answered.append(struct.unpack("!I", self.client.receive(20)[1])[0])

    def speak(self) -> int:
        """The client speaks from 1 on, and says 0 at the end; how often it did."""
        number = 1
        while not self.over.wait(PACE):
            self.client.send_channel(CHANNEL, struct.pack("!I", number))
            number += 1
        self.client.send_channel(CHANNEL, bytes(4))
        return number


@contextmanager
def calling(server: Running, peer: socket.socket) -> Iterator[Call]:
    """A call goes on; at its end each packet has come, in order, there and back."""
    with server.client() as client:
        call, spoken = Call(client, peer), []
        call.threads.append(threading.Thread(target=lambda: spoken.append(call.speak())))
        for thread in call.threads:
            thread.start()
        try:
            yield call
        finally:
            call.over.set()
            for thread in call.threads:
                thread.join(30)
        expected = [*range(1, spoken[0]), 0]
        assert (call.heard, call.answered) == (expected, expected)


@pytest.mark.parametrize(
    ("workers", "names", "home"), [(1, CLIENTS, None), (2, CLIENTS, None), (1, 1, None), (1, CLIENTS, "127.0.0.9")]
)
def test_a_storm_is_worked_off(workers: int, names: int, home: str | None, peer: socket.socket) -> None:
    """Each of 2,000 that ask at once gets its allocation with the default limits; also as one user, or from one IP."""
    users = {f"user{number}": PASSWORD for number in range(names)} | {USER: PASSWORD}
    limits = {"source_rate": 1000, "session_rate": 100, "user_rate": 1000}
    settings = configuration(("udp", "127.0.0.1:0"), workers=workers, auth={"static_credentials": users}, limits=limits)
    with running(settings) as server, calling(server, peer):
        credentials = [(f"user{number % names}", PASSWORD) for number in range(CLIENTS)]
        with Storm(server.address(), credentials, home) as storm:
            storm.run()
            assert [comer.error for comer in storm.comers] == [0] * CLIENTS
            assert len(server.server.rules.sessions) == CLIENTS + 1


def test_a_storm_that_finds_python_asleep(peer: socket.socket) -> None:
    """What found no place in the queues is served when it is sent again."""
    with ExitStack() as stack:
        server = stack.enter_context(running(configuration(("udp", "127.0.0.1:0"))))
        stack.enter_context(calling(server, peer))
        storm = stack.enter_context(Storm(server.address(), [(USER, PASSWORD)] * CLIENTS))
        asleep = stack.enter_context(ExitStack())
        asleep.enter_context(server.asleep())
        storm.run(when_late=asleep.close)
        assert server.drops()["queue_full"] > 0
        assert [comer.error for comer in storm.comers] == [0] * CLIENTS
