"""Many clients that come back at once: each asks for an allocation by the timers of RFC 8489, section 6.2.1."""

import hashlib
import heapq
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from client import (
    ALLOCATE,
    LIFETIME,
    NONCE,
    REALM,
    REFRESH,
    TRANSPORT,
    UDP_RELAY,
    USERNAME,
    Attributes,
    Endpoint,
    build,
    parse,
)

FIRST_WAIT = 0.5  # RTO, doubled after each
MOST_SENDS = 7  # Rc
LAST_WAIT = 8.0  # Rm times RTO

Credentials = tuple[str, str]


class Comer:
    """One client: Allocate, the 401 that it is told, Allocate with credentials."""

    def __init__(self, server: Endpoint, own: str, credentials: Credentials) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((own, 0))
        self.socket.connect(server)
        self.user, self.password = credentials
        self.message, self.sends, self.turn, self.copies = b"", 0, 0, 0
        self.ask = [(TRANSPORT, UDP_RELAY)]
        self.proof: Attributes = []
        self.key: bytes | None = None
        self.error: int | None = None  # of the last word: 0 for an allocation

    def begin(self, method: int = ALLOCATE) -> float:
        """A new transaction: sent once; when to send again."""
        self.message = build(method, os.urandom(12), self.ask + self.proof, self.key)
        self.sends = 0
        return self.send()

    def send(self) -> float:
        """Send the request; how long to wait for its answer."""
        self.copies += self.sends > 0
        self.sends += 1
        self.turn += 1
        with suppress(BlockingIOError):
            self.socket.send(self.message)
        return FIRST_WAIT * 2.0 ** (self.sends - 1) if self.sends < MOST_SENDS else LAST_WAIT

    def hear(self) -> bool:
        """Take what came; whether a new transaction is to begin."""
        answer = parse(self.socket.recv(2000))
        if answer.transaction != self.message[8:20] or self.error is not None:
            return False  # the answer to a copy
        if answer.error == 438 or (answer.error == 401 and self.key is None):
            realm = answer.get(REALM) or b""
            self.proof = [(USERNAME, self.user.encode()), (REALM, realm), (NONCE, answer.get(NONCE) or b"")]
            self.key = hashlib.md5(b":".join([self.user.encode(), realm, self.password.encode()])).digest()
            return True
        self.error = answer.error
        return False

    def leave(self) -> None:
        """End the allocation, whether or not it is heard."""
        self.ask = [(LIFETIME, bytes(4))]
        self.begin(REFRESH)


class Storm:
    """Clients that all come at once, each from its own IP of 127.0.0.0/8 unless they are told to share one."""

    def __init__(self, server: Endpoint, users: Sequence[Credentials], own: str | None = None) -> None:
        numbers = range(len(users))
        homes = [own or f"127.{1 + number // 50000}.{number // 250 % 200}.{1 + number % 250}" for number in numbers]
        self.comers = [Comer(server, home, user) for home, user in zip(homes, users, strict=True)]
        self.by_fd = {comer.socket.fileno(): comer for comer in self.comers}
        self.timers: list[tuple[float, int, int]] = []  # when, which client, if it has sent nothing since
        self.waiting = len(self.comers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for comer in self.comers:
            if comer.error == 0:
                comer.leave()
            comer.socket.close()

    def run(self, when_late: Callable[[], None] = lambda: None) -> None:
        """Until each client has its last word or has given up; `when_late` is called before the first copy is sent."""
        self.when_late = when_late
        poll = select.epoll()
        for fd, comer in self.by_fd.items():
            poll.register(fd, select.EPOLLIN)
            self.wait(fd, comer.begin())
        while self.waiting:
            ready = poll.poll(max(self.timers[0][0] - time.monotonic(), 0))
            for fd, _ in ready:
                self.heard(fd)
            self.send_again()
        poll.close()

    def wait(self, fd: int, seconds: float) -> None:
        """Look at a client again then."""
        heapq.heappush(self.timers, (time.monotonic() + seconds, fd, self.by_fd[fd].turn))

    def heard(self, fd: int) -> None:
        """A client was answered."""
        comer = self.by_fd[fd]
        open_before = comer.error is None
        if comer.hear():
            self.wait(fd, comer.begin())
        self.waiting -= open_before and comer.error is not None

    def send_again(self) -> None:
        """Whoever has waited long enough sends a copy, or gives up."""
        while self.timers and self.timers[0][0] <= time.monotonic():
            _, fd, turn = heapq.heappop(self.timers)
            comer = self.by_fd[fd]
            if comer.error is not None or comer.turn != turn:
                continue
            self.when_late()
            self.when_late = lambda: None
            if comer.sends < MOST_SENDS:
                self.wait(fd, comer.send())
            else:
                comer.error = -1
                self.waiting -= 1
