"""What is built is read again: by hairpin's codec, and by the tests' own."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import client
from hairpin.stun import Address, Attribute, Kind, Message
from strategies import addresses, attribute_lists, transactions

Attributes = list[tuple[int, Any]]
CLASSES = {Kind.REQUEST: 0x000, Kind.INDICATION: 0x010, Kind.SUCCESS: 0x100, Kind.ERROR: 0x110}


@settings(max_examples=2000)
@given(st.integers(0, 0xFFF), st.sampled_from(Kind), transactions, attribute_lists, st.none() | st.binary(max_size=40))
@example(0xFFF, Kind.ERROR, b"\xff" * 12, [], b"")
@example(0, Kind.REQUEST, bytes(12), [(Attribute.DATA, b"")], None)
def test_messages(method: int, kind: Kind, transaction: bytes, attributes: Attributes, key: bytes | None) -> None:
    """Method, class, transaction, attributes and integrity come back; the tests' own codec sees no flaw."""
    built = Message.build(method, kind, transaction, attributes, key)
    message = Message.decode(bytes(built))
    assert message == built
    assert (message.method, message.kind, message.transaction_id) == (method, kind, transaction)
    assert [entry for entry in message.attributes() if entry[0] != Attribute.MESSAGE_INTEGRITY] == attributes
    assert message.malformed == ()
    assert message.verify(key or b"") == (key is not None)

    answer = client.parse(bytes(built))
    assert answer.kind == CLASSES[kind]
    assert [code for code, _ in answer.attributes if code != Attribute.MESSAGE_INTEGRITY] == [c for c, _ in attributes]
    assert answer.signed(key or b"") == (key is not None)


@settings(max_examples=2000)
@given(addresses)
@example(("::ffff:192.0.2.1", 1))
@example(("::ffff:0:0:0", 0))
@example(("::", 0))
@example(("255.255.255.255", 65535))
def test_addresses(endpoint: tuple[str, int]) -> None:
    """An address is the same after a round through its text, and a v4-mapped one is its IPv4 address."""
    address = Address(*endpoint)
    text = f"[{address.ip}]:{address.port}" if address.version == 6 else f"{address.ip}:{address.port}"
    assert Address.parse(text) == address
    ip = ip_address(endpoint[0])
    assert address.version == (4 if getattr(ip, "ipv4_mapped", None) else ip.version)
    assert (address.port, hash(address)) == (endpoint[1], hash(Address(*endpoint)))


@settings(max_examples=2000)
@given(transactions, addresses)
def test_xor_addresses_against_our_own(transaction: bytes, endpoint: tuple[str, int]) -> None:
    """The XOR'ed form is the one that the RFC's text gives (RFC 8489, 14.2)."""
    address = Address(*endpoint)
    built = Message.build(1, Kind.SUCCESS, transaction, [(Attribute.XOR_MAPPED_ADDRESS, address)])
    assert client.parse(bytes(built)).address(client.XOR_MAPPED_ADDRESS) == (address.ip, address.port)


@settings(max_examples=2000)
@given(st.integers(), st.integers(), st.binary(max_size=20), st.lists(st.tuples(st.integers(), st.none() | st.text())))
def test_nonsense_is_refused(method: int, kind: int, transaction: bytes, attributes: Attributes) -> None:
    """Values that no message can hold raise ValueError, TypeError or OverflowError, and never stop the interpreter."""
    try:
        built = Message.build(method, kind, transaction, attributes)
    except (ValueError, TypeError, OverflowError):
        return
    assert Message.decode(bytes(built)) == built


@pytest.mark.parametrize("transaction", [b"", bytes(11), bytes(13)])
def test_a_transaction_id_has_twelve_bytes(transaction: bytes) -> None:
    """Any other length is refused."""
    with pytest.raises(ValueError, match="12"):
        Message.build(1, Kind.REQUEST, transaction, [])
