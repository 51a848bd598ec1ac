"""RFC 8489: its own test vector, FINGERPRINT on every kind of answer, and what a stranger's answer may weigh."""

import hashlib
import hmac
import struct

import pytest

import client as codec
from client import Attributes, build
from driving import ALLOCATE, Caller, World
from hairpin._core import Options, Table
from hairpin.auth import long_term_key
from hairpin.auth.keys import SHA256, userhash
from hairpin.server.assembly import CHALLENGE_ROOM
from hairpin.stun import Address, DecodeError, Message

USER, EXAMPLE, PASSWORD = "マトリックス", "example.org", "TheMatrIX"
# Appendix B.1 as it is printed. Its length field counts the header in, and its integrity is over that.
PRINTED = bytes.fromhex(
    "0001009c2112a44278ad3433c6ad72c029da412e"
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c39465354767936347341000000"
    "0014000b6578616d706c652e6f726700"
    "001c0020e4686c8f0edeb59013e07090010a93efccbccc544c0a45d9f830aa6d6f735a01"
)
KEY = hashlib.sha256(f"{USER}:{EXAMPLE}:{PASSWORD}".encode()).digest()


def test_rfc8489_b_1_the_key_the_hash_and_the_integrity_are_those_of_the_vector() -> None:
    """USERHASH, and HMAC-SHA256 with the SHA-256 key over what is printed.

    The password is taken as it is after preparation: RFC 8265 forbids the soft hyphen that the vector has before.
    """
    assert long_term_key(USER, EXAMPLE, PASSWORD, SHA256) == KEY
    assert userhash(USER, EXAMPLE) == PRINTED[24:56]
    assert hmac.digest(KEY, PRINTED[:-36], "sha256") == PRINTED[-32:]


def test_rfc8489_b_1_with_its_true_length_hairpin_reads_and_verifies_it() -> None:
    """As printed it is no message: its length is not that of its bytes."""
    with pytest.raises(DecodeError):
        Message.decode(PRINTED)
    before = PRINTED[:2] + struct.pack("!H", len(PRINTED) - 20) + PRINTED[4:-36]
    message = Message.decode(before + PRINTED[-36:-32] + hmac.digest(KEY, before, "sha256"))
    assert message.userhash == PRINTED[24:56]
    assert (message.realm, message.nonce) == (EXAMPLE, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA")
    assert (message.username, message.unknown, message.malformed) == (None, (), ())
    assert message.verify(KEY)
    assert not message.verify(KEY[:-1])


def kinds(caller: Caller) -> dict[str, tuple[int, Attributes, bytes | None]]:
    """A request for each kind of answer: method, attributes, key."""
    signed = [*ALLOCATE, *caller.claim()]
    stale = [(code, b"stale" if code == codec.NONCE else value) for code, value in signed]
    return {
        "Binding": (codec.BINDING, [], None),
        "Binding 420": (codec.BINDING, [(0x7FFF, b"")], None),
        "Binding 400": (codec.BINDING, [(codec.LIFETIME, b"")], None),
        "401": (codec.ALLOCATE, ALLOCATE, None),
        "400": (codec.ALLOCATE, ALLOCATE, b"key"),
        "438": (codec.ALLOCATE, stale, caller.key),
        "401 for a password": (codec.ALLOCATE, signed, b"wrong"),
        "success": (codec.ALLOCATE, signed, caller.key),
        "error": (codec.ALLOCATE, [*caller.claim()], caller.key),
    }


@pytest.mark.parametrize("algorithm", [None, 2])
@pytest.mark.parametrize("fingerprint", [False, True])
@pytest.mark.parametrize("kind", kinds(Caller(World())))
def test_rfc8489_7_an_answer_has_a_fingerprint_if_the_request_had_one(
    kind: str, fingerprint: bool, algorithm: int | None
) -> None:
    """Last, and right (hairpin's decoder refuses a wrong one); a request with a wrong one is not answered."""
    caller = Caller(World(), algorithm=algorithm)
    method, attributes, key = kinds(caller)[kind]
    message = build(method, bytes(12), attributes, key, integrity=caller.integrity, fingerprint=fingerprint)
    if fingerprint:
        assert caller.raw(message[:-1] + bytes([message[-1] ^ 1])) == []
    answer = caller.exchange(message)
    codes = [code for code, _ in answer.attributes]
    assert (codec.FINGERPRINT in codes[:-1], codes[-1] == codec.FINGERPRINT) == (False, fingerprint)
    Message.decode(answer.raw)


def answered(realm: str, message: bytes, source: Address, name: str | None) -> bytes | None:
    """What a server of that realm, and of that name for access tokens, says to a stranger."""
    options = Options(realm=realm, nonce_secret=bytes(32), limiter_seed=1, relays=[], third_party=name)
    sent = Table(options, [(0, Address("192.0.2.1", 3478))]).from_client(0, source, message)
    return sent[0][2] if sent else None


@pytest.mark.parametrize("name", [None, "turn.example.org"])
@pytest.mark.parametrize(("ip", "headers"), [("198.51.100.1", 28), ("2001:db8::1", 48)])
@pytest.mark.parametrize("size", range(1, 128))
def test_a_stranger_gets_three_times_what_he_sent_at_most(size: int, ip: str, headers: int, name: str | None) -> None:
    """IP and UDP headers counted in: the reason phrase goes first; what is too large all the same is not sent.

    It is never sent without PASSWORD-ALGORITHMS: that would be a bid-down whose cause is the server.
    """
    shortest = build(codec.ALLOCATE, bytes(12), ALLOCATE)
    assert len(shortest) == 28
    answer = answered("r" * size, shortest, Address(ip, 1000), name)
    room = CHALLENGE_ROOM - 4 - (20 if name else 0)
    assert answer is not None or size > room
    if headers == 28:
        assert (answer is not None) == (size <= room)
    if answer is not None:
        assert len(answer) + headers <= 3 * (len(shortest) + headers)
        parsed = codec.parse(answer)
        assert parsed.get(codec.PASSWORD_ALGORITHMS)
        assert parsed.get(codec.REALM) == b"r" * size
        assert parsed.get(codec.THIRD_PARTY_AUTHORIZATION) == (name.encode() if name else None)
