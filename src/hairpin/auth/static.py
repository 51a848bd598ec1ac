"""Users that the settings name, with their passwords."""

from collections.abc import Mapping

from hairpin.auth.keys import identity, userhash
from hairpin.auth.result import Credentials, Reason, Refusal

MISMATCH = Refusal(Reason.WRONG_PASSWORD, "the password is not the one in auth.static_credentials")


class StaticUsers:
    """A table of users; their keys are made once."""

    def __init__(self, passwords: Mapping[str, str], realm: str) -> None:
        """Take a table of user names and passwords."""
        self._users = {
            name: Credentials((identity(name, password, realm),), MISMATCH) for name, password in passwords.items()
        }
        self._hashes = {userhash(name, realm): found for name, found in self._users.items()}

    def find(self, username: str) -> Credentials | None:
        """The credentials of a user of the table; None for a name that is not in it."""
        return self._users.get(username)

    def find_hash(self, hashed: bytes) -> Credentials | None:
        """The same for a user who keeps the name to itself (RFC 8489, section 14.4)."""
        return self._hashes.get(hashed)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._users)
