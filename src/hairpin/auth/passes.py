"""Users that the server makes up for a test of itself: in memory, for a short while, known to who asked for them."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from hairpin.auth.keys import identity
from hairpin.auth.result import Credentials

TEST_USER = "hairpin-test"  # as quotas count all of them
LIFE = 120  # seconds in which an allocation may be made
PASSES = 16  # at a time; the oldest goes for one more


class Passes:
    """Makes such users and finds them again; `now` is a clock in seconds that never goes back, `chance` draws."""

    def __init__(
        self, realm: str, now: Callable[[], float], chance: Callable[[], str] = lambda: secrets.token_urlsafe(18)
    ) -> None:
        """Nobody is known."""
        self._realm = realm
        self._now = now
        self._chance = chance
        self._known: OrderedDict[str, tuple[float, Credentials]] = OrderedDict()

    def issue(self) -> tuple[str, str]:
        """A new user name and its password."""
        username, password = f"{TEST_USER}-{self._chance()}", self._chance()
        if len(self._known) >= PASSES:
            self._known.popitem(last=False)
        made_up = replace(identity(username, password, self._realm, TEST_USER), made_up=True)
        self._known[username] = self._now() + LIFE, Credentials((made_up,))
        return username, password

    def find(self, username: str) -> Credentials | None:
        """The credentials of such a user, while they are good."""
        end, found = self._known.get(username, (0.0, None))
        return found if end > self._now() else None
