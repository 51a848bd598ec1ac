"""Who decides about a user: a token, else the static users, the shared secrets, the hook; never one after another.

The server itself, which tries its own front door, is known before all of them; so are the users that it makes up for a
test from a browser, by names that are drawn by chance.
"""

from collections.abc import Awaitable
from dataclasses import dataclass

from hairpin.auth.hook import PasswordHook
from hairpin.auth.passes import Passes
from hairpin.auth.result import Answer, Asker, Credentials, Reason, Refusal
from hairpin.auth.secret import SharedSecrets
from hairpin.auth.static import StaticUsers
from hairpin.auth.tokens import AccessTokens
from hairpin.stun import Message, Method
from hairpin.turn.grant import Identity

UNKNOWN = Refusal(Reason.NO_SUCH_USER, "no such user")
UNKNOWN_HASH = Refusal(Reason.NO_SUCH_USER, "no such user: USERHASH names nobody of auth.static_credentials")
NOT_ASKED = Refusal(Reason.HOOK_NOT_ASKED, "there is no such session, and the hook is asked for Allocate only")


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Finds credentials. The first one that knows the name decides, also when the password turns out to be wrong."""

    static: StaticUsers
    secrets: SharedSecrets
    hook: PasswordHook | None = None
    tokens: AccessTokens | None = None
    internal: Identity | None = None  # the server itself, made up at its start
    passes: Passes | None = None

    @property
    def anonymous(self) -> bool:
        """Whether users may be named by USERHASH: where all are static ones, for only they can be found by it."""
        return bool(self.static) and not (self.secrets or self.hook or self.tokens)

    def find(self, message: Message, asker: Asker) -> Answer | Awaitable[Answer]:
        """Credentials or a refusal, at once unless the hook must be asked; expiry and hooks count for Allocate only."""
        username, allocate = message.username, message.method == Method.ALLOCATE
        if self.tokens is not None and message.access_token is not None:
            return self.tokens.find(username or "", message.access_token)
        if username is None:
            return self._find_hash(message.userhash) or UNKNOWN_HASH
        if self.internal and username == self.internal.username:
            return Credentials((self.internal,))
        made = self.passes.find(username) if self.passes else None
        found = made or self.static.find(username) or self.secrets.find(username, expires=allocate)
        if found is not None:
            return found
        if self.hook is None:
            return self.secrets.miss(username) if self.secrets else UNKNOWN
        return self.hook.find(username, asker) if allocate else NOT_ASKED

    def _find_hash(self, hashed: bytes | None) -> Answer | None:
        return self.static.find_hash(hashed) if hashed and self.anonymous else None
