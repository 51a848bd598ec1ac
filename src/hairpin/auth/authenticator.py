"""Who decides about a user name: the static users, else the shared secrets, else the hook; never one after another."""

from collections.abc import Awaitable
from dataclasses import dataclass

from hairpin.auth.hook import PasswordHook
from hairpin.auth.result import Answer, Asker, Refusal
from hairpin.auth.secret import SharedSecrets
from hairpin.auth.static import StaticUsers
from hairpin.stun import Method


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Finds credentials. The first one that knows the name decides, also when the password turns out to be wrong."""

    static: StaticUsers
    secrets: SharedSecrets
    hook: PasswordHook | None = None

    def find(self, username: str, method: int, asker: Asker) -> Answer | Awaitable[Answer]:
        """Credentials or a refusal, at once unless the hook must be asked; expiry and hooks count for Allocate only."""
        allocate = method == Method.ALLOCATE
        found = self.static.find(username) or self.secrets.find(username, expires=allocate)
        if found is not None:
            return found
        if self.hook is None:
            return Refusal("no such user")
        if not allocate:
            return Refusal("no such session, and the hook is asked for Allocate only")
        return self.hook.find(username, asker)
