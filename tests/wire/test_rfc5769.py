"""The test vectors of RFC 5769, byte for byte."""

import hashlib

import pytest

from hairpin.stun import Address, Kind, Message, Method

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
LONG_TERM_KEY = hashlib.md5("マトリックス:example.org:TheMatrIX".encode()).digest()
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")

REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff"
    "80290008932ff9b151263b36000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE_IPV4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
RESPONSE_IPV6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


def test_sample_request() -> None:
    """Section 2.1: a signed Binding request; PRIORITY is required and not ours, ICE-CONTROLLED is optional."""
    message = Message.decode(REQUEST)
    assert (message.method, message.kind, message.transaction_id) == (Method.BINDING, Kind.REQUEST, TRANSACTION)
    assert message.username == "evtj:h6vY"
    assert message.unknown == (0x0024,)
    assert message.malformed == ()
    assert message.verify(PASSWORD)
    assert not message.verify(PASSWORD + b"x")


@pytest.mark.parametrize(
    ("data", "ip"), [(RESPONSE_IPV4, "192.0.2.1"), (RESPONSE_IPV6, "2001:db8:1234:5678:11:2233:4455:6677")]
)
def test_sample_responses(data: bytes, ip: str) -> None:
    """Sections 2.2 and 2.3: the XOR'ed address is that of the text."""
    message = Message.decode(data)
    assert (message.method, message.kind, message.transaction_id) == (Method.BINDING, Kind.SUCCESS, TRANSACTION)
    assert message.xor_mapped_address == Address(ip, 32853)
    assert message.unknown == ()
    assert message.verify(PASSWORD)


def test_long_term_request() -> None:
    """Section 2.4: a user name and a password beyond ASCII, in the long-term mechanism."""
    message = Message.decode(LONG_TERM)
    assert (message.username, message.realm) == ("マトリックス", "example.org")
    assert message.nonce == "f//499k954d6OL34oL9FSTvy64sA"
    assert message.verify(LONG_TERM_KEY)


@pytest.mark.parametrize("data", [REQUEST, RESPONSE_IPV4, RESPONSE_IPV6, LONG_TERM])
def test_bytes_come_back(data: bytes) -> None:
    """A message keeps the bytes that it was made of, and equals another one made of them."""
    assert bytes(Message.decode(data)) == data
    assert Message.decode(data) == Message.decode(bytes(bytearray(data)))
