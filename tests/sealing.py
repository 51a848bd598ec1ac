"""An authorization server: it seals tokens as RFC 7635, section 6.2, writes them down."""

import os
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def seal(
    key: bytes, server_name: str, mac_key: bytes, made: float, lifetime: int, *, nonce: bytes | None = None
) -> bytes:
    """A token: nonce, then mac_key, timestamp (48 bits of seconds, 16 of 1/64000) and lifetime under the key."""
    nonce = os.urandom(12) if nonce is None else nonce
    stamp = int(made) << 16 | int(made % 1 * 64000)
    block = struct.pack("!H", len(mac_key)) + mac_key + struct.pack("!QI", stamp, lifetime)
    return struct.pack("!H", len(nonce)) + nonce + AESGCM(key).encrypt(nonce, block, server_name.encode())
