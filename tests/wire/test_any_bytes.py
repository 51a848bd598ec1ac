"""Any bytes are a Message or a DecodeError, and nothing else; a Message then answers every question."""

import struct

from hypothesis import example, given, settings
from hypothesis import strategies as st

from client import COOKIE, REQUEST, Attributes, build
from hairpin.stun import Address, DecodeError, Message
from mutations import Mutator

NAMES = [name for name in dir(Message) if not name.startswith("_") and not callable(getattr(Message, name))]
MUTATIONS = 20_000


def asked_everything(data: bytes) -> Message | None:
    """The message in the bytes, all of its properties read; None where there is none."""
    try:
        message = Message.decode(data)
    except DecodeError:
        return None
    assert bytes(message) == data
    for name in NAMES:
        getattr(message, name)
    assert all(isinstance(peer, Address) for peer in message.peers)
    assert {code for code, value in message.attributes() if value is None} >= set(message.malformed)
    assert message.verify(b"key") in (True, False)
    assert len(repr(message)) < 70 * len(data) + 1000
    return message


def bodies() -> st.SearchStrategy[bytes]:
    """Attributes with true lengths and any value."""
    codes = st.integers(0, 0x30) | st.integers(0x8020, 0x8030) | st.integers(0, 0xFFFF)
    return st.lists(st.tuples(codes, st.binary(max_size=40)), max_size=8).map(
        lambda found: b"".join(struct.pack("!HH", code, len(v)) + v + bytes(-len(v) % 4) for code, v in found)
    )


@settings(max_examples=2000)
@given(st.binary(max_size=600))
@example(b"")
@example(bytes(20))
@example(struct.pack("!HHI", 1, 0, COOKIE) + bytes(12))
@example(struct.pack("!HHI", 1, 4, COOKIE) + bytes(12) + b"\x00\x06\xff\xff")
def test_random_bytes(data: bytes) -> None:
    """Whatever comes."""
    asked_everything(data)


@settings(max_examples=2000)
@given(st.integers(0, 0x3FFF), st.binary(min_size=12, max_size=12), st.binary(max_size=600))
def test_random_attributes(first: int, transaction: bytes, body: bytes) -> None:
    """A true header before whatever comes."""
    body = body[: len(body) // 4 * 4]
    asked_everything(struct.pack("!HHI", first, len(body), COOKIE) + transaction + body)


@settings(max_examples=2000)
@given(st.integers(0, 0x3FFF), st.binary(min_size=12, max_size=12), bodies())
def test_random_values(first: int, transaction: bytes, body: bytes) -> None:
    """Attributes with true lengths make a message whatever their values, but for a FINGERPRINT that is not true."""
    message = asked_everything(struct.pack("!HHI", first, len(body), COOKIE) + transaction + body)
    assert message is not None or struct.pack("!H", 0x8028) in body


def signed(method: int, attributes: Attributes, transaction: bytes) -> bytes:
    """A request with an integrity."""
    return build(method | REQUEST, transaction, attributes, b"key")


def test_mutated_messages() -> None:
    """Messages of every kind, bent in every way that the test of the running server knows."""
    mutator = Mutator(8489, signed)
    found = [asked_everything(mutator.datagram()) for _ in range(MUTATIONS)]
    assert MUTATIONS // 10 < sum(message is None for message in found) < MUTATIONS - MUTATIONS // 10
