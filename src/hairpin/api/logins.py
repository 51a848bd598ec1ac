"""Browsers that have shown the token: each holds a cookie of its own for a while, and the token itself nowhere."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from hairpin.api.view import SECOND
from hairpin.auth import source_of
from hairpin.stun import Address

LIFE = 12 * 3600  # seconds that a login is good for
LOGINS = 64  # at a time; the oldest goes for one more
TRIES = 10  # wrong tokens of one source, until it has to wait
PAUSE = 6  # seconds that it waits for one more
SOURCES = 1024  # that are remembered for it


@dataclass(slots=True)
class Logins:
    """Cookies by their digests, so that no comparison tells of one. `now` is in nanoseconds, `chance` draws."""

    now: Callable[[], int]
    chance: Callable[[], str] = secrets.token_urlsafe
    _ends: OrderedDict[bytes, int] = field(default_factory=OrderedDict)

    def admit(self) -> str:
        """A new cookie."""
        cookie = self.chance()
        if len(self._ends) >= LOGINS:
            self._ends.popitem(last=False)
        self._ends[_digest(cookie)] = self.now() + LIFE * SECOND
        return cookie

    def knows(self, cookie: str) -> bool:
        """Whether it is one that was given out and is still good."""
        return self._ends.get(_digest(cookie), 0) > self.now()

    def leave(self, cookie: str) -> None:
        """It is good no more."""
        self._ends.pop(_digest(cookie), None)


@dataclass(slots=True)
class Attempts:
    """Wrong tokens by source, an IPv4 address or an IPv6 /64: each has a few tries, and gets one back now and then."""

    now: Callable[[], int]
    _full: OrderedDict[str, int] = field(default_factory=OrderedDict)  # when all tries will have come back

    def wait(self, address: str) -> int:
        """Whole seconds until this address may try; 0 for at once."""
        over = self._full.get(_source(address), 0) - self.now() - (TRIES - 1) * PAUSE * SECOND
        return -(-over // SECOND) if over > 0 else 0

    def failed(self, address: str) -> None:
        """A try was in vain."""
        source = _source(address)
        self._full[source] = max(self._full.pop(source, 0), self.now()) + PAUSE * SECOND
        if len(self._full) > SOURCES:
            self._full.popitem(last=False)


def _digest(cookie: str) -> bytes:
    return sha256(cookie.encode()).digest()


def _source(address: str) -> str:
    try:
        return source_of(Address(address.partition("%")[0], 0))
    except ValueError:  # the web server knows no IP of it, as over a Unix socket
        return address
