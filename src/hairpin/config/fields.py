"""How single values are written: each function takes what the file says, or tells what is wrong with it."""

import re
from base64 import b64decode
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

import httpx2
from pydantic import AfterValidator, BeforeValidator, SecretStr

from hairpin.auth.keys import opaque_string
from hairpin.config.sources import MisplacedError
from hairpin.policy.entries import parse_entry, parse_nat64
from hairpin.stun import Address
from hairpin.whereabouts import StunServer

AUTO: Literal["auto"] = "auto"  # an address that is found at the start
USERNAME_BYTES = 508  # RFC 8489, section 14.3: fewer than 509


def is_visible(text: str) -> bool:
    """Whether a header can carry the text: ASCII that prints, and no space."""
    return bool(text) and all("!" <= character <= "~" for character in text)


def webhook_key(text: str) -> bytes:
    """The key in a secret of Standard Webhooks: `whsec_`, then base64 of 24 to 64 bytes."""
    prefix, _, encoded = text.partition("_")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValueError('must be "whsec_" and the base64 of 24 to 64 random bytes')
    return key


def token_key(text: str) -> bytes:
    """The key of access tokens: base64 of 16 bytes (AES-128-GCM) or 32 (AES-256-GCM)."""
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) not in (16, 32):
        raise ValueError("must be the base64 of 16 or 32 random bytes")
    return key


def overlap(one: Address, other: Address) -> bool:
    """Whether two sockets of one transport could not listen on both (port 0 is always a free one)."""
    if one.port != other.port or one.port == 0 or one.version != other.version:
        return False
    return one.ip == other.ip or any(ip_address(address.ip).is_unspecified for address in (one, other))


def by_family(key: str, ips: Iterable[str]) -> dict[int, str]:
    """The addresses by IP version, one of each at most."""
    families: dict[int, str] = {}
    for ip in ips:
        if families.setdefault(ip_address(ip).version, ip) != ip:
            raise MisplacedError(key, "has at most one IPv4 and one IPv6 address")
    return families


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    try:
        return Address.parse(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no IP:PORT, such as 192.0.2.1:3478 or [2001:db8::1]:3478") from None


def _ip(value: object) -> str:
    try:
        return Address(str(value), 0).ip
    except ValueError:
        raise ValueError(f"{value!r} is no IP address") from None


def _external(value: object) -> object:
    return value if value == AUTO else _address(value)


def _external_ip(value: object) -> str:
    return AUTO if value == AUTO else _ip(value)


def _stun_server(value: object) -> StunServer:
    return value if isinstance(value, StunServer) else StunServer.parse(str(value))


def _hostname(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", value):
        raise ValueError("must be a host name, such as turn.example.org")
    return value


def _realm(value: str) -> str:
    if len(value) > 127 or not is_visible(value):
        raise ValueError("must be 1 to 127 visible ASCII characters, without a space")
    return value


def _token(value: SecretStr) -> SecretStr:
    if not is_visible(value.get_secret_value()):
        raise ValueError("must be visible ASCII characters, without a space, at least one")
    return value


def _ports(value: object) -> object:
    if not isinstance(value, str):
        return value
    low, _, high = (part.strip() for part in value.partition("-"))
    if not (low.isdecimal() and high.isdecimal()):
        raise ValueError(f'{value!r} is no range, such as "49152-65535"')
    return int(low), int(high)


def _ports_in_order(value: tuple[int, int]) -> tuple[int, int]:
    if not 1024 <= value[0] <= value[1] <= 65535:
        raise ValueError(f"{value[0]}-{value[1]} is no range within 1024-65535, the lower port first")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and is_visible(value)
        httpx2.URL(value)  # what sends the requests is stricter
    except (ValueError, httpx2.InvalidURL):
        good = False
    if not good:
        raise ValueError("must be a URL such as http://127.0.0.1:8080/turn")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be a plain URL, without user, query or fragment")
    return value.rstrip("/")


def _several(value: object) -> object:
    return (value,) if isinstance(value, str | SecretStr | Address) else value


def _webhook_secret(value: SecretStr) -> SecretStr:
    webhook_key(value.get_secret_value())
    return value


def _password(value: SecretStr) -> SecretStr:
    opaque_string(value.get_secret_value())
    return value


def _token_key(value: SecretStr) -> SecretStr:
    token_key(value.get_secret_value())
    return value


def _username(value: str) -> str:
    if not 1 <= len(value.encode()) <= USERNAME_BYTES:
        raise ValueError(f"a user name has 1 to {USERNAME_BYTES} bytes")
    return value


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("must not be empty")
    return value


def _peer(value: str) -> str:
    parse_entry(value)
    return value


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no network, as 10.0.0.0/8: {error}") from None
    return value


def _python_name(value: str) -> str:
    module, _, name = value.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ValueError(f'{value!r} is no name in a module, such as "my_rules:Policy"')
    return value


def _nat64(value: str) -> str:
    parse_nat64(value)
    return value


AddressText = Annotated[Address, BeforeValidator(_address)]
IpText = Annotated[str, BeforeValidator(_ip)]
External = Annotated[Address | Literal["auto"], BeforeValidator(_external)]
ExternalIp = Annotated[str, BeforeValidator(_external_ip)]
StunUri = Annotated[StunServer, BeforeValidator(_stun_server)]
Several = BeforeValidator(_several)
Realm = Annotated[str, AfterValidator(_realm)]
Url = Annotated[str, AfterValidator(_url)]
Token = Annotated[SecretStr, AfterValidator(_token)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_webhook_secret)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
TokenKey = Annotated[SecretStr, AfterValidator(_token_key)]
Username = Annotated[str, AfterValidator(_username)]
Password = Annotated[SecretStr, AfterValidator(_password)]
Ports = Annotated[tuple[int, int], BeforeValidator(_ports), AfterValidator(_ports_in_order)]
PeerEntry = Annotated[str, AfterValidator(_peer)]
Network = Annotated[str, AfterValidator(_network)]
PythonName = Annotated[str, AfterValidator(_python_name)]
Nat64Prefix = Annotated[str, AfterValidator(_nat64)]
Hostname = Annotated[str, AfterValidator(_hostname)]
