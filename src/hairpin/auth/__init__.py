"""Finds the credentials behind a user name; a request may have to wait for them."""

from hairpin.auth.authenticator import Authenticator
from hairpin.auth.hook import PasswordHook
from hairpin.auth.ice import Entrance, IceServer, IceServers, ice_servers
from hairpin.auth.keys import long_term_key, opaque_string
from hairpin.auth.passes import Passes
from hairpin.auth.result import Answer, Asker, Credentials, Reason, Refusal, source_of
from hairpin.auth.secret import SharedSecrets, mint
from hairpin.auth.static import StaticUsers
from hairpin.auth.tokens import AccessTokens

__all__ = [
    "AccessTokens",
    "Answer",
    "Asker",
    "Authenticator",
    "Credentials",
    "Entrance",
    "IceServer",
    "IceServers",
    "Passes",
    "PasswordHook",
    "Reason",
    "Refusal",
    "SharedSecrets",
    "StaticUsers",
    "ice_servers",
    "long_term_key",
    "mint",
    "opaque_string",
    "source_of",
]
