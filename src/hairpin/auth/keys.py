"""Long-term keys: what a password becomes before anything is signed with it (RFC 8489, section 9.2.2)."""

from collections.abc import Iterator
from hashlib import md5, sha256

from precis_i18n import get_profile

from hairpin.turn.grant import MD5, Identity

SHA256 = 2  # of the password algorithms (RFC 8489, section 18.5.1), as MD5 is

_OPAQUE_STRING = get_profile("OpaqueString")


def opaque_string(password: str) -> str:
    """The password as both sides must spell it (RFC 8265, section 4.2); ValueError where it may not be one."""
    if password.isascii() and password.isprintable() and password:
        return password
    try:
        return str(_OPAQUE_STRING.enforce(password))
    except UnicodeError:
        # The profile's own message quotes the password.
        raise ValueError("is no password: it is empty or has characters that RFC 8265 forbids") from None


def long_term_key(username: str, realm: str, password: str, algorithm: int = MD5) -> bytes:
    """The hash of "username:realm:OpaqueString(password)", by MD5 or SHA-256."""
    text = f"{username}:{realm}:{opaque_string(password)}".encode()
    return sha256(text).digest() if algorithm == SHA256 else md5(text, usedforsecurity=False).digest()


def keys_for(identity: Identity, realm: str, algorithm: int) -> Iterator[bytes]:
    """What a client that knows the password may sign with.

    The RFC takes quotes and trailing nulls off user name and realm; browsers take them as they are. Both are let in.
    With a token came the key itself.
    """
    if identity.until is not None:
        yield identity.key
        return
    username, password = identity.username, identity.password
    known = algorithm == identity.algorithm
    yield identity.key if known else long_term_key(username, realm, password, algorithm)
    bare = _bare(username), _bare(realm)
    if bare != (username, realm):
        yield long_term_key(*bare, password, algorithm)


def userhash(username: str, realm: str) -> bytes:
    """What USERHASH says instead of the user name (RFC 8489, section 14.4)."""
    return sha256(f"{username}:{realm}".encode()).digest()


def _bare(text: str) -> str:
    return text.replace('"', "").rstrip("\0")


def identity(username: str, password: str, realm: str, user: str | None = None) -> Identity:
    """Who holds `password`; `user` is the name that quotas count, where it is not the user name itself."""
    return Identity(username, user or username, password, long_term_key(username, realm, password))
