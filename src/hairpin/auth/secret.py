"""TURN REST credentials: whoever knows the shared secret makes users that expire (draft-uberti-behave-turn-rest-00)."""

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Sequence

from hairpin.auth.keys import identity
from hairpin.auth.result import Credentials, Reason, Refusal

MISMATCH = Refusal(
    Reason.WRONG_PASSWORD,
    "the password is not base64(HMAC-SHA1(secret, user name)) with a secret of auth.static_auth_secret",
)
SWAPPED = Refusal(Reason.SWAPPED, "the user name is NAME:EXPIRY, and has to be EXPIRY:NAME for auth.static_auth_secret")
OTHER_FORM = Refusal(Reason.NO_SUCH_USER, "no such user: for auth.static_auth_secret a name is EXPIRY or EXPIRY:NAME")

_USERNAME = re.compile(r"([0-9]+)(?::(.*))?", re.DOTALL)
_SWAPPED = re.compile(r"(.*):([0-9]{9,})", re.DOTALL)  # Unix seconds have nine digits and more since 1973


def mint(secret: str, user: str, ttl: int, now: float) -> tuple[str, str]:
    """A user name and a password that are good for `ttl` seconds from `now` (Unix time)."""
    expiry = int(now) + ttl
    username = f"{expiry}:{user}" if user else str(expiry)
    return username, _password(secret, username)


class SharedSecrets:
    """Checks TURN REST credentials against one secret, or several while they are rotated."""

    def __init__(self, secrets: Sequence[str], realm: str, wall: Callable[[], float]) -> None:
        """Accept each of `secrets`; `wall` is the time in Unix seconds, which credentials name as their end."""
        self._secrets = tuple(secrets)
        self._realm = realm
        self._wall = wall

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._secrets)

    def find(self, username: str, *, expires: bool) -> Credentials | Refusal | None:
        """The credentials of `expiry[:name]`, refused when past and `expires`; None for names of another form."""
        match = _USERNAME.fullmatch(username) if self._secrets else None
        if match is None:
            return None
        ago = int(self._wall()) - int(match[1])
        if expires and ago > 0:
            return Refusal(Reason.EXPIRED, f"expired {ago} s ago")
        return Credentials(
            tuple(identity(username, _password(secret, username), self._realm, match[2]) for secret in self._secrets),
            MISMATCH,
        )

    def miss(self, username: str) -> Refusal:
        """What is wrong with a name that is not of the form."""
        return SWAPPED if _SWAPPED.fullmatch(username) else OTHER_FORM


def _password(secret: str, username: str) -> str:
    return b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()
