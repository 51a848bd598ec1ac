"""Users that the settings name, with their passwords."""

from collections.abc import Mapping

from hairpin.auth.keys import identity
from hairpin.auth.result import Credentials


class StaticUsers:
    """A table of users; their keys are made once."""

    def __init__(self, passwords: Mapping[str, str], realm: str) -> None:
        """Take a table of user names and passwords."""
        self._users = {name: Credentials((identity(name, password, realm),)) for name, password in passwords.items()}

    def find(self, username: str) -> Credentials | None:
        """The credentials of a user of the table; None for a name that is not in it."""
        return self._users.get(username)
