"""Long-term keys: what a password becomes before anything is signed with it (RFC 8489, section 9.2.2)."""

from hashlib import md5

from precis_i18n import get_profile

from hairpin.turn.grant import Identity

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


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """MD5 of "username:realm:OpaqueString(password)"."""
    text = f"{username}:{realm}:{opaque_string(password)}"
    return md5(text.encode(), usedforsecurity=False).digest()


def identity(username: str, password: str, realm: str, user: str | None = None) -> Identity:
    """Who holds `password`; `user` is the name that quotas count, where it is not the user name itself."""
    return Identity(username, user or username, password, long_term_key(username, realm, password))
