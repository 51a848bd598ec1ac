"""Access tokens: an authorization server that shares keys with this one says who may relay (RFC 7635).

USERNAME names the key that opens the token; inside is the key that the client signs with. Nothing says who it is.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hairpin.auth.result import Credentials, Reason, Refusal
from hairpin.turn.grant import Identity

SECOND = 10**9
NONCE = 12  # bytes, of AES-GCM (RFC 5116, sections 5.1 and 5.2)
SHORTEST_KEY = 20  # bytes, of HMAC-SHA1 (section 6.2)
COTURN_KEY = 16  # bytes of the key that clients made of coturn sign with, whatever its length
DELTA = 5  # seconds that clocks may be apart (section 7)

UNKNOWN_KEY = Refusal(Reason.TOKEN_UNKNOWN_KEY, "the user name is no key of auth.oauth_keys")
NOT_OPENED = Refusal(
    Reason.TOKEN_NOT_OPENED, "the access token was not sealed with this key for turn.server_name, or is malformed"
)
MISMATCH = Refusal(Reason.WRONG_PASSWORD, "the request is not signed with the key inside of its access token")

_LENGTH = struct.Struct("!H")
_TIMES = struct.Struct("!QI")


@dataclass(frozen=True, slots=True)
class Token:
    """What a token holds (section 6.2): the key, when it was made (Unix seconds), and how many seconds it lives."""

    key: bytes
    made: float
    lifetime: int

    def left(self, now: float) -> float | None:
        """For how many seconds one may relay yet, its lifetime at most; None where it is over or not yet good."""
        if abs(now - self.made) >= self.lifetime + DELTA:
            return None
        return min(self.lifetime, self.made + self.lifetime + DELTA - now)

    def over(self, now: float) -> str:
        """Why it is not good, where nothing is left of it."""
        ago = now - self.made - self.lifetime
        if ago < 0:
            return f"the access token was made {self.made - now:.0f} s from now: one of the two clocks is wrong"
        return f"the access token expired {ago:.0f} s ago"


class AccessTokens:
    """Opens tokens that were made for `server_name`, with the key that their user name names.

    A key of 16 bytes is of AEAD_AES_128_GCM, one of 32 of AEAD_AES_256_GCM. `wall` is in Unix seconds, `clock` in
    nanoseconds.
    """

    def __init__(
        self, keys: Mapping[str, bytes], server_name: str, wall: Callable[[], float], clock: Callable[[], int]
    ) -> None:
        """Share `keys` with authorization servers."""
        self._ciphers = {kid: AESGCM(key) for kid, key in keys.items()}
        self._server_name = server_name.encode()
        self._wall = wall
        self._clock = clock

    def find(self, kid: str, sealed: bytes) -> Credentials | Refusal:
        """Who holds the token; for quotas each token is a user."""
        cipher = self._ciphers.get(kid)
        if cipher is None:
            return UNKNOWN_KEY
        token = _open(cipher, sealed, self._server_name)
        if token is None:
            return NOT_OPENED
        left = token.left(self._wall())
        if left is None:
            return Refusal(Reason.TOKEN_EXPIRED, token.over(self._wall()))
        user, until = f"{kid}/{sha256(sealed).hexdigest()[:16]}", self._clock() + int(left * SECOND)
        keys = token.key, token.key[:COTURN_KEY]
        return Credentials(tuple(Identity(kid, user, "", key, until=until) for key in keys), MISMATCH)


def _open(cipher: AESGCM, sealed: bytes, server_name: bytes) -> Token | None:
    """The token inside, None where the cipher does not open it or it is malformed."""
    start = _LENGTH.size + NONCE
    try:
        if _LENGTH.unpack_from(sealed) != (NONCE,) or len(sealed) < start:
            return None
        opened = cipher.decrypt(sealed[_LENGTH.size : start], sealed[start:], server_name)
        (size,) = _LENGTH.unpack_from(opened)
        key, times = opened[_LENGTH.size : _LENGTH.size + size], opened[_LENGTH.size + size :]
        stamp, lifetime = _TIMES.unpack(times)
    except (InvalidTag, struct.error):
        return None
    return Token(key, (stamp >> 16) + (stamp & 0xFFFF) / 64000, lifetime) if size >= SHORTEST_KEY else None
