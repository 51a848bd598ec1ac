"""aioice's codec as a second opinion: the two read each other's messages, and broken ones alike."""

import struct
from ipaddress import ip_address
from typing import Any

from aioice import stun
from hypothesis import example, given, settings
from hypothesis import strategies as st

from client import REQUEST, Attributes, build
from hairpin.stun import Address, Attribute, DecodeError, Kind, Message, Method
from mutations import Mutator
from strategies import attribute_lists, transactions

CLASSES = {
    Kind.REQUEST: stun.Class.REQUEST,
    Kind.INDICATION: stun.Class.INDICATION,
    Kind.SUCCESS: stun.Class.RESPONSE,
    Kind.ERROR: stun.Class.ERROR,
}
KNOWN = {code: name for code, name, *_ in stun.ATTRIBUTES if code in set(Attribute)}
METHODS = [method for method in Method if method in set(stun.Method)]
MUTATIONS = 40_000


def ours(value: Any) -> Any:
    """A value of hairpin's in aioice's form."""
    return (value.ip, value.port) if isinstance(value, Address) else value


def theirs(code: int, value: Any) -> Any:
    """A value of aioice's in hairpin's form."""
    if code == Attribute.NONCE:
        return value.decode()
    if code == Attribute.REQUESTED_TRANSPORT:
        return value >> 24
    if (
        code == Attribute.ERROR_CODE
    ):  # the class has three bits, and aioice reads the reserved ones with it (RFC 8489, 14.8)
        return value[0] // 100 % 8 * 100 + value[0] % 100, value[1]
    if isinstance(value, tuple):
        ip = ip_address(value[0])
        return str(getattr(ip, "ipv4_mapped", None) or ip), value[1]
    return value


def assert_same(message: Message, other: stun.Message) -> None:
    """Method, class, transaction and every attribute that both know, where it stands once and has a value."""
    assert (message.method, CLASSES[Kind(message.kind)]) == (other.message_method, other.message_class)
    assert message.transaction_id == other.transaction_id
    found = message.attributes()
    for code, value in found:
        once = sum(other_code == code for other_code, _ in found) == 1
        if code in KNOWN and value is not None and once and is_before_integrity(found, code):
            assert ours(value) == theirs(code, other.attributes[KNOWN[code]]), KNOWN[code]


def is_before_integrity(found: list[tuple[int, Any]], code: int) -> bool:
    """Whether the attribute counts for both: aioice knows no MESSAGE-INTEGRITY-SHA256, which ends what is signed."""
    codes = [other_code for other_code, _ in found]
    return Attribute.MESSAGE_INTEGRITY_SHA256 not in (codes[: codes.index(code)] if code in codes else codes)


@settings(max_examples=2000)
@given(st.sampled_from(METHODS), st.sampled_from(Kind), transactions, attribute_lists, st.binary(max_size=40))
@example(Method.ALLOCATE, Kind.ERROR, bytes(12), [(Attribute.ERROR_CODE, (401, ""))], b"key")
def test_aioice_reads_ours(
    method: Method, kind: Kind, transaction: bytes, attributes: list[tuple[int, Any]], key: bytes
) -> None:
    """What hairpin builds and signs, aioice reads and verifies."""
    built = Message.build(method, kind, transaction, attributes, key)
    other = stun.parse_message(bytes(built))
    assert_same(built, other)
    assert other.check_message_integrity(key)


@settings(max_examples=2000)
@given(st.sampled_from(stun.Method), st.sampled_from(stun.Class), transactions, attribute_lists, st.binary(max_size=40))
def test_hairpin_reads_aioice(
    method: stun.Method, kind: stun.Class, transaction: bytes, attributes: list[tuple[int, Any]], key: bytes
) -> None:
    """What aioice builds, signs and marks with a FINGERPRINT, hairpin reads and verifies."""
    other = stun.Message(method, kind, transaction, {KNOWN[c]: as_theirs(c, v) for c, v in attributes if c in KNOWN})
    other.add_message_integrity(key)
    message = Message.decode(bytes(other))
    assert_same(message, other)
    assert message.verify(key)
    assert not message.verify(key + b"x")


def as_theirs(code: int, value: Any) -> Any:
    """A value of hairpin's as aioice wants to write it."""
    if code == Attribute.NONCE:
        return value.encode()
    return value << 24 if code == Attribute.REQUESTED_TRANSPORT else ours(value)


def signed(method: int, attributes: Attributes, transaction: bytes) -> bytes:
    """A request with an integrity of ours."""
    return build(method | REQUEST, transaction, attributes, b"key")


def test_broken_messages() -> None:
    """Of messages bent in every way, those that both read mean the same, and there are many of them."""
    mutator = Mutator(5389, signed)
    both = 0
    for _ in range(MUTATIONS):
        data = mutator.datagram()
        try:
            message, other = Message.decode(data), stun.parse_message(data)
        except (DecodeError, ValueError, struct.error, IndexError):
            continue
        assert_same(message, other)
        if is_before_integrity(message.attributes(), Attribute.MESSAGE_INTEGRITY):
            assert message.verify(b"key") == other.check_message_integrity(b"key")
        both += 1
    assert both > 2_000
