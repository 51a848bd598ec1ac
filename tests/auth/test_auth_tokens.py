"""Access tokens (RFC 7635): what opens one, and when it is good."""

from base64 import b64decode
from struct import pack

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from hairpin.auth import AccessTokens, Credentials, Reason, Refusal
from hairpin.auth.tokens import NOT_OPENED, UNKNOWN_KEY
from hairpin.turn.grant import Identity
from sealing import seal

NOW = 1_700_000_000.5
CLOCK = 77_000_000_000
SECOND = 10**9
LONG, SHORT = bytes(range(32)), bytes(range(16))
MAC_KEY = bytes(range(100, 120))
NAME = "turn.example.org"


def found(token: bytes, kid: str = "long", now: float = NOW) -> Credentials | Refusal:
    """What a server with two keys says."""
    return AccessTokens({"long": LONG, "short": SHORT}, NAME, lambda: now, lambda: CLOCK).find(kid, token)


def identity(token: bytes, kid: str = "long", now: float = NOW) -> Identity:
    """Who holds a good token."""
    answer = found(token, kid, now)
    assert isinstance(answer, Credentials)
    return answer.candidates[0]


@pytest.mark.parametrize(("kid", "key"), [("long", LONG), ("short", SHORT)])
def test_rfc7635_6_2_the_key_that_the_user_name_names_opens_the_token(kid: str, key: bytes) -> None:
    """AES-256-GCM with 32 bytes, AES-128-GCM with 16; inside is the key that messages are signed with."""
    token = seal(key, NAME, MAC_KEY, NOW, 600)
    assert (identity(token, kid).username, identity(token, kid).key) == (kid, MAC_KEY)
    assert identity(token, kid).user != identity(seal(key, NAME, MAC_KEY, NOW, 600), kid).user, "a token is a user"
    assert {found(token, other) for other in {"long", "short"} - {kid}} == {NOT_OPENED}
    assert {found(token, other) for other in ("", "other")} == {UNKNOWN_KEY}


def test_rfc7635_6_2_a_token_of_coturn_is_opened() -> None:
    """As `turnutils_oauth -e` of coturn 4.6.1 makes it, with the values of its example script."""
    token = b64decode("AAxoZHNqa2ZoanNkZmgfAweuxTVAhoHTYomhEi8qhFfF+bNRYJPadL42q1bmOTGFM0Vfws58z7Rnwidqdt1w1w==")
    key = b64decode("SEdrajMyS0pHaXV5MDk4c2RmYXFiTmpPaWF6NzE5MjM=")
    made = 16333642137600 >> 16
    tokens = AccessTokens({"1234": key}, "example.com", lambda: made + 3599, lambda: CLOCK)
    answer = tokens.find("1234", token)
    assert isinstance(answer, Credentials)
    assert answer.candidates[0].key == b"ZksjpweoixXmvn67534m"
    assert answer.candidates[0].until == CLOCK + 6 * SECOND


@pytest.mark.parametrize("bit", range(0, 8 * 64, 7))
def test_rfc7635_6_2_a_token_that_was_changed_is_not_opened(bit: int) -> None:
    """Not one bit of it, nonce and lengths included."""
    token = bytearray(seal(LONG, NAME, MAC_KEY, NOW, 600))
    assert len(token) == 64
    token[bit // 8] ^= 1 << bit % 8
    assert found(bytes(token)) == NOT_OPENED


def test_rfc7635_6_2_a_token_for_another_server_is_not_opened() -> None:
    """The name is authenticated with it."""
    assert found(seal(LONG, "turn.example.com", MAC_KEY, NOW, 600)) == NOT_OPENED


@given(st.binary(max_size=100))
def test_any_bytes_are_no_token(token: bytes) -> None:
    """Whatever comes: a refusal."""
    assert found(token) == NOT_OPENED


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\0",
        pack("!H", 20) + MAC_KEY,
        pack("!H", 20) + MAC_KEY + bytes(11),
        pack("!H", 20) + MAC_KEY + bytes(13),
        pack("!H", 0xFFFF) + MAC_KEY + bytes(12),
        pack("!H", 19) + MAC_KEY[1:] + pack("!QI", int(NOW) << 16, 600),
        pack("!H", 0) + pack("!QI", int(NOW) << 16, 600),
    ],
)
def test_rfc7635_6_2_a_malformed_token_is_refused(block: bytes) -> None:
    """Also where an authorization server sealed it: too short, too long, a key of less than 160 bits."""
    nonce = bytes(12)
    assert found(pack("!H", 12) + nonce + AESGCM(LONG).encrypt(nonce, block, NAME.encode())) == NOT_OPENED


def test_rfc7635_6_2_a_token_that_was_cut_is_refused() -> None:
    """Anywhere: whoever has a nonce may send what he likes."""
    token = seal(LONG, NAME, MAC_KEY, NOW, 600)
    assert {found(token[:size]) for size in range(len(token))} == {NOT_OPENED}


def test_rfc7635_6_2_the_nonce_has_12_bytes() -> None:
    """As AEAD_AES_256_GCM has it (RFC 5116, section 5.2)."""
    assert found(seal(LONG, NAME, MAC_KEY, NOW, 600, nonce=bytes(16))) == NOT_OPENED


@pytest.mark.parametrize(
    ("made", "left"),
    [(NOW, 600.0), (NOW - 5, 600.0), (NOW - 6, 599.0), (NOW - 604, 1.0), (NOW + 604, 600.0)],
)
def test_rfc7635_7_a_token_is_good_for_its_lifetime(made: float, left: float) -> None:
    """Clocks may be five seconds apart; nobody is let in for longer than the lifetime."""
    assert identity(seal(LONG, NAME, MAC_KEY, made, 600)).until == CLOCK + int(left * SECOND)


@pytest.mark.parametrize(
    ("made", "detail"),
    [
        (NOW - 605, "the access token expired 5 s ago"),
        (NOW - 10_000, "the access token expired 9400 s ago"),
        (NOW + 605, "the access token was made 605 s from now: one of the two clocks is wrong"),
    ],
)
def test_rfc7635_7_a_token_that_is_over_is_refused(made: float, detail: str) -> None:
    """Or one that is not good yet; the refusal says by how much."""
    assert found(seal(LONG, NAME, MAC_KEY, made, 600)) == Refusal(Reason.TOKEN_EXPIRED, detail)


def test_rfc7635_7_a_token_without_a_time_is_over() -> None:
    """It was made at the beginning of Unix time."""
    refusal = found(seal(LONG, NAME, MAC_KEY, 0, 600))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.TOKEN_EXPIRED
