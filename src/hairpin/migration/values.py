"""How values are written in the files of other servers: each function takes one, or tells what is wrong with it.

No message repeats a value that may be a secret.
"""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hairpin.stun import Address

MOST = 2**32 - 1
UNLIMITED = ("unlimited", "infinity")


def whole(value: Any) -> int:
    """A number from 0 to 2**32 - 1; words for no limit are 0."""
    if value in UNLIMITED:
        return 0
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdecimal() or int(value) > MOST:
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def port(value: Any) -> int:
    """A port, 0 for none."""
    number = whole(value)
    if number > 65535:
        raise ValueError(f"{number} is no port")
    return number


def text(value: Any) -> str:
    """Text, which is not empty."""
    if isinstance(value, bool | dict | list) or value is None or str(value) == "":
        raise ValueError("has no value")
    return str(value)


def ip(value: Any) -> str:
    """An IP address."""
    try:
        return str(ip_address(text(value).strip("[]")))
    except ValueError:
        raise ValueError(f"{value!r} is no IP address") from None


def listening_ip(value: Any) -> str:
    """An IP address; nothing is every IPv4 address."""
    return ip(value) if value else "0.0.0.0"


def address(value: Any) -> Address:
    """IP:PORT."""
    try:
        return Address.parse(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no IP:PORT") from None


def pair(value: Any) -> tuple[str, str | None]:
    """coturn's external-ip: the public address, and with a slash the private one that it stands for."""
    public, slash, private = text(value).partition("/")
    return ip(public), ip(private) if slash else None


def user(value: Any) -> tuple[str, str]:
    """coturn's name:password."""
    name, _, password = text(value).partition(":")
    if not name or not password:
        raise ValueError("is no name:password")
    return name, password


def span(separator: str) -> Callable[[Any], str]:
    """Two ports, with this between them, as hairpin writes them."""

    def read(value: Any) -> str:
        low, between, high = text(value).partition(separator)
        if not between or port(low) > port(high):
            raise ValueError(f"{value!r} is no range, such as 49152{separator}65535")
        return f"{port(low)}-{port(high)}"

    return read


def one_of(words: dict[str, str]) -> Callable[[Any], str]:
    """One of these words, as hairpin's."""

    def read(value: Any) -> str:
        try:
            return words[str(value).lower()]
        except KeyError:
            raise ValueError(f"{value!r} is none of {', '.join(words)}") from None

    return read


def file_in(folder: Path) -> Callable[[Any], str]:
    """A file's name; one that is not absolute stands beside the file that names it."""
    return lambda value: str(folder / text(value))
