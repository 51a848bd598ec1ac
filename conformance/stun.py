"""The suite's own STUN codec, from the RFCs' text: it shares nothing with any server under test."""

import hashlib
import hmac
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address

COOKIE = 0x2112A442
HEADER = 20
FINGERPRINT_XOR = 0x5354554E


class Method(IntEnum):
    """The methods of RFC 8489, 8656 and 6062."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C


class Kind(IntEnum):
    """The class, where it stands in the message type (RFC 8489, section 5)."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class Code(IntEnum):
    """Attribute types, by the names that the RFCs give them."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    ACCESS_TOKEN = 0x001B
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PADDING = 0x0026
    RESPONSE_PORT = 0x0027
    CONNECTION_ID = 0x002A
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    ICMP = 0x8004
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C
    THIRD_PARTY_AUTHORIZATION = 0x802E
    MOBILITY_TICKET = 0x8030


Endpoint = tuple[str, int]
Attribute = tuple[int, bytes]


class MalformedError(Exception):
    """Bytes that are no STUN message at all."""


@dataclass(frozen=True)
class Message:
    """A message as it came; `faults` says which rules of RFC 8489 its sender broke."""

    method: int
    kind: int
    transaction: bytes
    attributes: tuple[Attribute, ...]
    raw: bytes
    faults: tuple[str, ...] = ()

    def get(self, code: int) -> bytes | None:
        """The first attribute of that type."""
        return next((value for found, value in self.attributes if found == code), None)

    def all(self, code: int) -> list[bytes]:
        """Every attribute of that type."""
        return [value for found, value in self.attributes if found == code]

    def has(self, *codes: int) -> bool:
        """Whether any of them is there."""
        return any(found in codes for found, _ in self.attributes)

    @property
    def error(self) -> int:
        """The number of the error, 0 where there is none."""
        value = self.get(Code.ERROR_CODE)
        return (value[2] & 7) * 100 + value[3] if value and len(value) >= 4 else 0

    @property
    def is_success(self) -> bool:
        """A success response."""
        return self.kind == Kind.SUCCESS

    def number(self, code: int) -> int | None:
        """An attribute of four bytes, as a number."""
        value = self.get(code)
        return None if value is None or len(value) != 4 else int.from_bytes(value, "big")

    def addresses(self, code: int) -> list[Endpoint]:
        """All XOR'ed addresses of that type."""
        return [unmask(value, self.transaction) for value in self.all(code)]

    def address(self, code: int) -> Endpoint | None:
        """The first of them."""
        return next(iter(self.addresses(code)), None)

    def unknown(self) -> list[int]:
        """What UNKNOWN-ATTRIBUTES lists."""
        value = self.get(Code.UNKNOWN_ATTRIBUTES) or b""
        return [code for (code,) in struct.iter_unpack("!H", value[: len(value) // 2 * 2])]

    def signed(self, key: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY is there and holds (RFC 8489, section 14.5)."""
        return self._holds(Code.MESSAGE_INTEGRITY, key, "sha1")

    def signed_sha256(self, key: bytes) -> bool:
        """The same of MESSAGE-INTEGRITY-SHA256 (section 14.6)."""
        return self._holds(Code.MESSAGE_INTEGRITY_SHA256, key, "sha256")

    def _holds(self, code: int, key: bytes, algorithm: str) -> bool:
        at = HEADER
        for found, value in self.attributes:
            if found == code:
                whole = digest(self.raw[:at], key, algorithm, len(value))
                return hmac.compare_digest(value, whole[: len(value)])
            at += 4 + len(value) + -len(value) % 4
        return False


def mask(endpoint: Endpoint, transaction: bytes) -> bytes:
    """An address as XOR-MAPPED-ADDRESS has it (RFC 8489, section 14.2)."""
    packed = ip_address(endpoint[0]).packed
    pad = struct.pack("!I", COOKIE) + transaction
    hidden = bytes(a ^ b for a, b in zip(packed, pad, strict=False))
    return struct.pack("!BBH", 0, 1 if len(packed) == 4 else 2, endpoint[1] ^ (COOKIE >> 16)) + hidden


def unmask(value: bytes, transaction: bytes) -> Endpoint:
    """The address inside."""
    address, port = plain(value)
    pad = struct.pack("!I", COOKIE) + transaction
    shown = bytes(a ^ b for a, b in zip(ip_address(address).packed, pad, strict=False))
    return str(ip_address(shown)), port ^ (COOKIE >> 16)


def plain(value: bytes) -> Endpoint:
    """An address as MAPPED-ADDRESS has it (section 14.1)."""
    if (len(value), value[1:2]) not in ((8, b"\1"), (20, b"\2")):
        raise MalformedError(f"not an address: {value.hex()}")
    return str(ip_address(value[4:])), int.from_bytes(value[2:4], "big")


def digest(before: bytes, key: bytes, algorithm: str, size: int) -> bytes:
    """The HMAC over what stands before the integrity, the header's length counting an integrity of `size` bytes in."""
    counted = before[:2] + struct.pack("!H", len(before) - HEADER + 4 + size) + before[4:]
    return hmac.digest(key, counted, algorithm)


def append(message: bytes, code: int, value: bytes, padding: bytes | None = None) -> bytes:
    """The message with one attribute more."""
    pad = bytes(-len(value) % 4) if padding is None else padding
    longer = message + struct.pack("!HH", code, len(value)) + value + pad
    return longer[:2] + struct.pack("!H", len(longer) - HEADER) + longer[4:]


def build(method: int, kind: int, transaction: bytes, attributes: Iterable[Attribute] = ()) -> bytes:
    """A message without integrity."""
    message = struct.pack("!HHI", message_type(method, kind), 0, COOKIE) + transaction
    for code, value in attributes:
        message = append(message, code, value)
    return message


def message_type(method: int, kind: int) -> int:
    """The method's bits around those of the class (section 5, figure 3)."""
    return (method & 0xF80) << 2 | (method & 0x70) << 1 | method & 0xF | kind


def sign(message: bytes, key: bytes) -> bytes:
    """With MESSAGE-INTEGRITY."""
    return append(message, Code.MESSAGE_INTEGRITY, digest(message, key, "sha1", 20))


def sign_sha256(message: bytes, key: bytes, size: int = 32) -> bytes:
    """With MESSAGE-INTEGRITY-SHA256, cut to `size` bytes."""
    return append(message, Code.MESSAGE_INTEGRITY_SHA256, digest(message, key, "sha256", size)[:size])


def fingerprint(message: bytes) -> bytes:
    """With FINGERPRINT (section 14.7)."""
    return append(message, Code.FINGERPRINT, crc(message))


def crc(before: bytes) -> bytes:
    """The value of a FINGERPRINT behind these bytes."""
    counted = before[:2] + struct.pack("!H", len(before) - HEADER + 8) + before[4:]
    return struct.pack("!I", zlib.crc32(counted) ^ FINGERPRINT_XOR)


def long_term_key(user: str, realm: str, password: str, algorithm: str = "md5") -> bytes:
    """The key of long-term credentials; names and passwords are given as OpaqueString leaves them (section 9.2.2)."""
    return hashlib.new(algorithm, f"{user}:{realm}:{password}".encode()).digest()


def parse(data: bytes) -> Message:
    """A whole message; MalformedError where it cannot be read, `faults` where it can and is wrong."""
    if len(data) < HEADER:
        raise MalformedError(f"only {len(data)} bytes")
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if kind & 0xC000 or cookie != COOKIE or length != len(data) - HEADER or length % 4:
        raise MalformedError(f"no STUN header: {data[:HEADER].hex()}")
    attributes = tuple(_attributes(data))
    method = kind & 0xF | (kind & 0xE0) >> 1 | (kind & 0x3E00) >> 2
    return Message(method, kind & 0x110, data[8:20], attributes, data, tuple(_faults(data, attributes)))


def _attributes(data: bytes) -> Iterator[Attribute]:
    at = HEADER
    while at < len(data):
        code, size = struct.unpack_from("!HH", data, at)
        if at + 4 + size > len(data):
            raise MalformedError(f"attribute {code:#06x} runs past the end")
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4


def _faults(data: bytes, attributes: tuple[Attribute, ...]) -> Iterator[str]:
    at = HEADER
    for index, (code, value) in enumerate(attributes):
        end = at + 4 + len(value)
        if any(data[end : end + -len(value) % 4]):
            yield f"padding of {code:#06x} is not zero"
        if code == Code.FINGERPRINT:
            if index != len(attributes) - 1:
                yield "FINGERPRINT is not last"
            if value != crc(data[:at]):
                yield "FINGERPRINT is wrong"
        at = end + -len(value) % 4
    for code, value in attributes:
        yield from _text_faults(code, value)


def _text_faults(code: int, value: bytes) -> Iterator[str]:
    """Rules of sections 14.8 to 14.10 and 14.14."""
    if code == Code.ERROR_CODE:
        if len(value) < 4:
            yield "ERROR-CODE is shorter than four bytes"
            return
        if not 3 <= value[2] <= 6 or value[3] > 99 or value[0] or value[1]:
            yield f"ERROR-CODE {value[:4].hex()} has a class, a number or reserved bits out of range"
        value = value[4:]
    elif code not in (Code.REALM, Code.NONCE, Code.SOFTWARE):
        return
    try:
        if len(value.decode()) >= 128:
            yield f"text of {code:#06x} has 128 characters or more"
    except UnicodeDecodeError:
        yield f"text of {code:#06x} is not UTF-8"
