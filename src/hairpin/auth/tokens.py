"""Access tokens: an authorization server that shares keys with this one says who may relay (RFC 7635).

USERNAME names the key that opens the token; inside is the key that the client signs with. Nothing says who it is.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hairpin.auth.result import Credentials, Refusal
from hairpin.turn.grant import Identity

SECOND = 10**9
NONCE = 12  # bytes, of AES-GCM (RFC 5116, sections 5.1 and 5.2)
SHORTEST_KEY = 20  # bytes, of HMAC-SHA1 (section 6.2)
COTURN_KEY = 16  # bytes of the key that clients made of coturn sign with, whatever its length
DELTA = 5  # seconds that clocks may be apart (section 7)

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
        token = _open(cipher, sealed, self._server_name) if cipher else None
        if token is None:
            return Refusal("its access token is for another server, or of a key that is not known")
        left = token.left(self._wall())
        if left is None:
            return Refusal("its access token is over")
        user, until = f"{kid}/{sha256(sealed).hexdigest()[:16]}", self._clock() + int(left * SECOND)
        keys = token.key, token.key[:COTURN_KEY]
        return Credentials(tuple(Identity(kid, user, "", key, until=until) for key in keys))


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
