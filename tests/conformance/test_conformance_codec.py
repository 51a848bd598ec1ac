"""The suite's own codec against RFC 5769's vectors."""

import pytest

from conformance.stun import (
    Code,
    Kind,
    MalformedError,
    Method,
    append,
    build,
    fingerprint,
    long_term_key,
    mask,
    message_type,
    parse,
    sign,
    sign_sha256,
)

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
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
    """Section 2.1: method, class, user name, integrity and FINGERPRINT; its padding is of spaces, which is a fault."""
    message = parse(REQUEST)
    assert (message.method, message.kind, message.transaction) == (Method.BINDING, Kind.REQUEST, TRANSACTION)
    assert message.get(Code.USERNAME) == b"evtj:h6vY"
    assert message.signed(PASSWORD)
    assert not message.signed(PASSWORD + b"x")
    assert message.faults == ("padding of 0x0006 is not zero",)


@pytest.mark.parametrize(
    ("data", "ip"), [(RESPONSE_IPV4, "192.0.2.1"), (RESPONSE_IPV6, "2001:db8:1234:5678:11:2233:4455:6677")]
)
def test_sample_responses(data: bytes, ip: str) -> None:
    """Sections 2.2 and 2.3: the XOR'ed address is that of the text, and masks to the same bytes."""
    message = parse(data)
    assert message.is_success
    assert message.address(Code.XOR_MAPPED_ADDRESS) == (ip, 32853)
    assert mask((ip, 32853), TRANSACTION) == message.get(Code.XOR_MAPPED_ADDRESS)
    assert message.signed(PASSWORD)


def test_long_term_request() -> None:
    """Section 2.4: the key of a user name and a password beyond ASCII, and the request is rebuilt to the byte."""
    key = long_term_key("マトリックス", "example.org", "TheMatrIX")
    message = parse(LONG_TERM)
    assert message.signed(key)
    unsigned = build(message.method, message.kind, message.transaction, message.attributes[:-1])
    assert sign(unsigned, key) == LONG_TERM


def test_written_messages_hold() -> None:
    """What is signed and fingerprinted here is found right when read."""
    message = build(Method.REFRESH, Kind.REQUEST, TRANSACTION, [(Code.SOFTWARE, b"12345")])
    read = parse(fingerprint(sign_sha256(sign(message, b"key"), b"key")))
    assert read.signed(b"key")
    assert read.signed_sha256(b"key")
    assert read.faults == ()


@pytest.mark.parametrize(
    "data",
    [b"", REQUEST[:19], REQUEST[:-4], b"\x80" + REQUEST[1:], REQUEST[:4] + bytes(4) + REQUEST[8:]],
    ids=["nothing", "cut header", "cut end", "first bits", "cookie"],
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    """Bytes that are no message raise, whatever is wrong with them."""
    with pytest.raises(MalformedError):
        parse(data)


def test_faults_are_named() -> None:
    """A message that can be read and breaks a rule says which."""
    message = build(Method.BINDING, Kind.ERROR, TRANSACTION, [(Code.ERROR_CODE, b"\0\0\x09\x01" + b"x" * 128)])
    spoiled = append(append(message, Code.SOFTWARE, b"1", b"\1\1\1"), Code.FINGERPRINT, bytes(4))
    assert set(parse(spoiled).faults) == {
        "ERROR-CODE 00000901 has a class, a number or reserved bits out of range",
        "text of 0x0009 has 128 characters or more",
        "padding of 0x8022 is not zero",
        "FINGERPRINT is wrong",
    }


def test_message_types() -> None:
    """The method's bits stand around those of the class (RFC 8489, section 5)."""
    assert message_type(Method.BINDING, Kind.SUCCESS) == 0x0101
    assert message_type(0xFFF, Kind.ERROR) == 0x3FFF
    assert parse(build(0x0AB, Kind.INDICATION, TRANSACTION)).method == 0x0AB
