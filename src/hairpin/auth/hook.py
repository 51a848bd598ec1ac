"""Passwords that another program knows: asked for over HTTP, bounded, so that a slow answer holds up one user only."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from hairpin.auth.keys import identity
from hairpin.auth.result import Answer, Asker, Credentials, Reason, Refusal
from hairpin.stun import Transport

Fetch: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""GET a path with query parameters: the status and the body, or OSError saying in plain words what went wrong."""

IN_FLIGHT = 64
IN_FLIGHT_PER_SOURCE = 8
WAITING = 1024
WAITING_PER_SOURCE = 128
ABSENT_SECONDS = 5.0
ABSENT_NAMES = 4096
LONGEST_ERROR = 256  # characters of what went wrong with a request

MISMATCH = Refusal(Reason.WRONG_PASSWORD, "the password is not the one that the hook says")
ABSENT = Refusal(Reason.NO_SUCH_USER, "no such user: the hook answered 404")
STILL_ABSENT = Refusal(Reason.NO_SUCH_USER, "no such user: the hook answered 404 a moment ago")
BUSY = Refusal(Reason.HOOK_BUSY, "too many clients wait for the hook", silent=True)
STOPPED = Refusal(Reason.STOPPING, "the server stopped asking the hook", silent=True)
NO_PASSWORD = Refusal(Reason.HOOK_NO_PASSWORD, "the hook answered 200 with a body that is no password")


@dataclass(slots=True, eq=False)
class _LookUp:
    """One request to the hook, and all the clients that wait for it."""

    username: str
    asker: Asker
    waiters: list[asyncio.Future[Answer]] = field(default_factory=list)

    def settle(self, answer: Answer) -> None:
        """Answer those that still wait."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(answer)


class PasswordHook:
    """Asks the hook once for all waiting clients of a user name; `now` is a clock in seconds that never goes back."""

    def __init__(self, fetch: Fetch, realm: str, now: Callable[[], float]) -> None:
        """Ask through `fetch`; keys are made for `realm`."""
        self._fetch = fetch
        self._realm = realm
        self._now = now
        self._look_ups: dict[str, _LookUp] = {}
        self._queue: deque[_LookUp] = deque()
        self._flights: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked = self.dropped = 0

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return self._flights.total()

    @property
    def waiting(self) -> int:
        """How many clients wait for an answer."""
        return self._waiting.total()

    def find(self, username: str, asker: Asker) -> Refusal | Awaitable[Answer]:
        """What the hook says of the user name; a silent refusal where too many wait already."""
        if self._absent.get(username, 0.0) > self._now():
            return STILL_ABSENT
        if self.waiting >= WAITING or self._waiting[asker.source] >= WAITING_PER_SOURCE:
            self.dropped += 1
            return BUSY
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[asker.source] += 1
        waiter.add_done_callback(lambda _: _decrement(self._waiting, asker.source))
        self._join(username, asker).waiters.append(waiter)
        self._start()
        return waiter

    async def close(self) -> None:
        """Stop asking; whoever waits is refused."""
        while self._queue:
            look_up = self._queue.popleft()
            del self._look_ups[look_up.username]
            look_up.settle(STOPPED)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _join(self, username: str, asker: Asker) -> _LookUp:
        look_up = self._look_ups.get(username)
        if look_up is None:
            look_up = self._look_ups[username] = _LookUp(username, asker)
            self._queue.append(look_up)
        return look_up

    def _start(self) -> None:
        """Send off as many look-ups as may fly; one source never has all the places."""
        for look_up in list(self._queue):
            if self.in_flight >= IN_FLIGHT:
                return
            if self._flights[look_up.asker.source] < IN_FLIGHT_PER_SOURCE:
                self._queue.remove(look_up)
                self._flights[look_up.asker.source] += 1
                self.asked += 1
                task = asyncio.get_running_loop().create_task(self._fly(look_up))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _fly(self, look_up: _LookUp) -> None:
        answer: Answer = STOPPED
        try:
            answer = await self._ask(look_up.username, look_up.asker)
        except TimeoutError as error:
            answer = _failed(Reason.HOOK_TIMEOUT, str(error))
        except OSError as error:
            answer = _failed(Reason.HOOK_FAILED, str(error))
        except Exception as error:  # whatever it is: this client is refused, and service goes on
            answer = _failed(Reason.HOOK_FAILED, f"{type(error).__name__}: {error}")
        finally:
            _decrement(self._flights, look_up.asker.source)
            del self._look_ups[look_up.username]
            look_up.settle(answer)
            self._start()

    async def _ask(self, username: str, asker: Asker) -> Answer:
        query = {
            "address": str(asker.address),
            "interface": str(asker.interface),
            "transport": Transport(asker.transport).name.lower(),
            "username": username,
        }
        status, body = await self._fetch("/password", query)
        if status == 404:
            self._remember_absent(username)
            return ABSENT
        if status != 200:
            return Refusal(Reason.HOOK_STATUS, f"the hook answered {status}")
        return self._credentials(username, body)

    def _credentials(self, username: str, body: bytes) -> Answer:
        try:
            text = body.decode()
            password = text.removesuffix("\r\n" if text.endswith("\r\n") else "\n")
            return Credentials((identity(username, password, self._realm),), MISMATCH)
        except ValueError:
            return NO_PASSWORD

    def _remember_absent(self, username: str) -> None:
        self._absent.pop(username, None)
        if len(self._absent) >= ABSENT_NAMES:
            self._absent.popitem(last=False)
        self._absent[username] = self._now() + ABSENT_SECONDS


def _failed(reason: Reason, error: str) -> Refusal:
    return Refusal(reason, f"the hook failed: {error[:LONGEST_ERROR]}")


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
