"""RFC 8489, section 9.2: the long-term credential mechanism, clause by clause, by a client that computes for itself."""

import hashlib
import struct
from base64 import b64decode, b64encode

import pytest

import client as codec
from client import Answer, Attributes, build, long_term_key
from driving import ALLOCATE, OFFER, PEER, REALM, SECOND, Caller, World

MD5, SHA256 = 1, 2
ALGORITHMS = [None, MD5, SHA256]  # None: the client sends neither attribute, as every browser does
ID = bytes(range(12))
INTEGRITIES = (codec.INTEGRITY, codec.INTEGRITY_SHA256)


def static_only() -> World:
    """A server on which all users are static ones."""
    return World(hooked=False, secrets=())


def request(
    caller: Caller, changes: dict[int, bytes | None], method: int = codec.ALLOCATE, integrity: int | None = None
) -> bytes:
    """A signed request in which some attributes have other values, are added, or are left out (None)."""
    claimed: dict[int, bytes | None] = {**dict(caller.claim()), **changes}
    attributes: Attributes = ALLOCATE + [(code, value) for code, value in claimed.items() if value is not None]
    return build(method, ID, attributes, caller.key, integrity=integrity or caller.integrity)


def integrities(answer: Answer) -> list[int]:
    """The integrity attributes of an answer."""
    return [code for code, _ in answer.attributes if code in INTEGRITIES]


def assert_challenge(answer: Answer, error: int, cookie: bytes = b"obMatJos2gAAA") -> None:
    """REALM, a NONCE with the cookie, PASSWORD-ALGORITHMS, and nothing that must not be there."""
    assert answer.error == error
    codes = {code for code, _ in answer.attributes}
    assert codes - {codec.ERROR_CODE} == {codec.REALM, codec.NONCE, codec.PASSWORD_ALGORITHMS}
    assert answer.get(codec.REALM) == REALM.encode()
    assert (answer.get(codec.NONCE) or b"").startswith(cookie)
    assert answer.get(codec.PASSWORD_ALGORITHMS) == OFFER


def test_rfc8489_9_2_the_nonce_cookie_says_what_is_offered() -> None:
    """Three bytes of base64 behind "obMatJos2": bit 0 is password algorithms, bit 1 username anonymity (18.1)."""
    for world, features in ((World(), 0x800000), (static_only(), 0xC00000)):
        nonce = Caller(world).nonce
        assert nonce[:9] == b"obMatJos2"
        assert int.from_bytes(b64decode(nonce[9:13])) == features


def test_rfc8489_9_2_4_without_an_integrity_it_is_401() -> None:
    """With realm, nonce and algorithms, unsigned; and another nonce for another client."""
    world = World()
    one, other = Caller(world, 1), Caller(world, 2)
    assert_challenge(one.exchange(build(codec.ALLOCATE, ID, ALLOCATE)), 401)
    assert_challenge(one.exchange(build(codec.ALLOCATE, ID, one.claim())), 401)
    assert one.nonce != other.nonce


@pytest.mark.parametrize("integrity", INTEGRITIES)
@pytest.mark.parametrize("missing", [codec.USERNAME, codec.REALM, codec.NONCE])
def test_rfc8489_9_2_4_an_integrity_without_its_attributes_is_400(missing: int, integrity: int) -> None:
    """Bare: no REALM, no NONCE, no integrity."""
    caller = Caller(World(), algorithm=SHA256)
    answer = caller.exchange(request(caller, {missing: None}, integrity=integrity))
    assert answer.error == 400
    assert [code for code, _ in answer.attributes] == [codec.ERROR_CODE]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rfc8489_9_2_4_no_user_and_a_wrong_password_look_the_same(algorithm: int | None) -> None:
    """401, byte for byte: who asks learns nothing of the names."""
    world = World(hooked=False)
    wrong = Caller(world, password="guess", algorithm=algorithm)
    nobody = Caller(world, user="nobody", algorithm=algorithm)
    assert wrong.nonce == nobody.nonce, "one client, one moment"
    refusals = {caller.exchange(request(caller, {})).raw for caller in (wrong, nobody)}
    assert len(refusals) == 1
    assert_challenge(codec.parse(refusals.pop()), 401)
    assert world.is_empty()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rfc8489_9_2_4_a_nonce_that_is_no_longer_valid_is_438(algorithm: int | None) -> None:
    """Stale, forged, without its cookie, or another client's; with the new nonce the next try is let in."""
    world = World()
    caller, other = Caller(world, 1, algorithm=algorithm), Caller(world, 2)
    forged = caller.nonce[:-1] + (b"A" if caller.nonce[-1:] != b"A" else b"B")
    for nonce in (forged, caller.nonce[13:], b"obMatJos2AAAA" + caller.nonce[13:], other.nonce, b"x"):
        assert_challenge(caller.exchange(request(caller, {codec.NONCE: nonce})), 438)
    world.table.now += 31 * 60 * SECOND
    stale = caller.exchange(request(caller, {}))
    assert_challenge(stale, 438)
    assert stale.get(codec.NONCE) != caller.nonce
    caller.nonce = stale.get(codec.NONCE) or b""
    assert caller.allocate() == 0


@pytest.mark.parametrize(
    ("by", "ip", "port", "error"),
    [
        ("tcp to tcp", "198.51.0.1", 1001, 0),
        ("tcp to tcp", "198.51.0.2", 1000, 438),
        ("tcp to udp", "198.51.0.1", 1000, 438),
        ("udp to udp", "198.51.0.1", 1001, 438),
        ("udp to tcp", "198.51.0.1", 1000, 438),
    ],
)
def test_whose_a_nonce_is(by: str, ip: str, port: int, error: int) -> None:
    """A UDP client's IP address and port, which its datagrams could forge; over TCP every connection from the IP."""
    first, second = by.split(" to ")
    world = World()
    caller, other = Caller(world, tcp=first == "tcp"), Caller(world, tcp=second == "tcp")
    other.nonce, other.address = caller.nonce, (ip, port)
    assert other.allocate() == error


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rfc8489_9_2_4_another_realm_is_401(algorithm: int | None) -> None:
    """The user is none of that realm."""
    caller = Caller(World(), algorithm=algorithm)
    assert_challenge(caller.exchange(request(caller, {codec.REALM: b"elsewhere"})), 401)


BOTH = {codec.PASSWORD_ALGORITHM: struct.pack("!HH", MD5, 0), codec.PASSWORD_ALGORITHMS: OFFER}


@pytest.mark.parametrize(
    "changes",
    [
        BOTH | {codec.PASSWORD_ALGORITHM: None},
        BOTH | {codec.PASSWORD_ALGORITHMS: None},
        BOTH | {codec.PASSWORD_ALGORITHMS: OFFER[4:]},
        BOTH | {codec.PASSWORD_ALGORITHMS: OFFER[:4]},
        BOTH | {codec.PASSWORD_ALGORITHMS: OFFER[4:] + OFFER[:4]},
        BOTH | {codec.PASSWORD_ALGORITHMS: OFFER + bytes([0, 3, 0, 0])},
        BOTH | {codec.PASSWORD_ALGORITHMS: b""},
        BOTH | {codec.PASSWORD_ALGORITHM: bytes([0, 3, 0, 0])},
        BOTH | {codec.PASSWORD_ALGORITHM: bytes([0, 0, 0, 0])},
        BOTH | {codec.PASSWORD_ALGORITHM: b""},
        BOTH | {codec.PASSWORD_ALGORITHM: bytes([0, 2, 0, 4, 1, 2, 3, 4])},
    ],
)
def test_rfc8489_9_2_4_who_bids_down_gets_400(changes: dict[int, bytes | None]) -> None:
    """The list must come back as it was sent, with a choice out of it, or neither; nothing begins."""
    world = World()
    caller = Caller(world)
    answer = caller.exchange(request(caller, changes, integrity=codec.INTEGRITY_SHA256))
    assert answer.error == 400
    assert [code for code, _ in answer.attributes] == [codec.ERROR_CODE]
    assert world.is_empty()


def test_rfc8489_9_2_4_neither_attribute_is_md5() -> None:
    """Both integrities prove the MD5 key then, and no other key does."""
    for integrity in INTEGRITIES:
        world = World()
        caller = Caller(world)
        assert caller.exchange(request(caller, {}, integrity=integrity)).error == 0
        caller = Caller(World())
        caller.key = long_term_key("alice", REALM, "secret", SHA256)
        assert caller.exchange(request(caller, {}, integrity=integrity)).error == 401


def test_rfc8489_9_2_4_the_sha256_integrity_counts_where_both_are() -> None:
    """A right MESSAGE-INTEGRITY before a wrong MESSAGE-INTEGRITY-SHA256 proves nothing; the other way round it does."""
    for right, error in ((codec.INTEGRITY, 401), (codec.INTEGRITY_SHA256, 0)):
        caller = Caller(World())
        keys = {code: caller.key if code == right else b"wrong" for code in INTEGRITIES}
        message = request(caller, {})[:-24]
        for code, key in keys.items():
            message = codec.append(message, code, codec.digest(message, key, code))
        assert caller.exchange(message).error == error


@pytest.mark.parametrize("algorithm", [MD5, SHA256])
@pytest.mark.parametrize(
    ("user", "password"),
    [("alice", "secret"), ("9999:bob", ""), ("hooked", "from the hook")],
    ids=["static", "secret", "hook"],
)
async def test_rfc8489_9_2_2_each_provider_knows_both_algorithms(user: str, password: str, algorithm: int) -> None:
    """A static user, a shared secret, the hook: the key is made of the same password."""
    world = World()
    if not password:
        password = b64encode(codec.hmac.digest(b"shared", user.encode(), "sha1")).decode()
    caller = Caller(world, user=user, password=password, algorithm=algorithm)
    caller.raw(request(caller, {}))
    world.drain()
    await world.settle()
    if user == "hooked":
        world.answers[user].set_result((200, password.encode()))
        await world.settle()
    (answer,) = world.outputs()
    assert (answer.error, answer.signed(caller.key, codec.INTEGRITY_SHA256)) == (0, True)
    assert caller.bind() == 0, "the packet path has that key"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("user", "password", "spelt"),
    [
        ("マトリックス", "TheMªtrⅨ", "TheMªtrⅨ"),
        ("alice", "a\u00a0u\u0308", "a \u00fc"),
        ('al"ice', "secret", "secret"),
    ],
)
def test_rfc8489_9_2_2_the_key_is_of_the_password_as_an_opaque_string(
    algorithm: int | None, user: str, password: str, spelt: str
) -> None:
    """Other spaces become spaces, accents are composed; quotes count or not, as the client reads the RFC."""
    for name in {user, user.replace('"', "")}:
        caller = Caller(World(static={user: password}), user=user, algorithm=algorithm)
        caller.key = long_term_key(name, REALM, spelt, algorithm)
        assert caller.allocate() == 0


@pytest.mark.parametrize("algorithm", [MD5, SHA256])
@pytest.mark.parametrize("size", [0, 4, 12, 15, 17, 18, 33, 36])
def test_rfc8489_14_6_a_sha256_integrity_of_another_length_is_400(size: int, algorithm: int) -> None:
    """It has 16 to 32 bytes, a multiple of four."""
    caller = Caller(World(), algorithm=algorithm)
    assert caller.exchange(shortened(request(caller, {}), size)).error == 400


@pytest.mark.parametrize("size", [16, 20, 24, 28])
def test_rfc8489_14_6_a_sha256_integrity_that_is_cut_short_proves_nothing(size: int) -> None:
    """TURN asks for the whole of it: 401, also where what is there is right."""
    caller = Caller(World(), algorithm=SHA256)
    before = request(caller, {})[:-36]
    length = struct.pack("!H", len(before) - 20 + 4 + size)
    right = codec.hmac.digest(caller.key, before[:2] + length + before[4:], "sha256")
    assert caller.exchange(codec.append(before, codec.INTEGRITY_SHA256, right[:size])).error == 401
    assert caller.allocate() == 0


def shortened(message: bytes, size: int) -> bytes:
    """The message with so many bytes of integrity, padded."""
    before, tag = message[:-36], (message[-32:] * 2)[:size]
    longer = before + struct.pack("!HH", codec.INTEGRITY_SHA256, size) + tag + bytes(-size % 4)
    return longer[:2] + struct.pack("!H", len(longer) - 20) + longer[4:]


def hashed(caller: Caller, user: str | None = None, realm: str = REALM) -> dict[int, bytes | None]:
    """USERHASH instead of USERNAME."""
    digest = hashlib.sha256(f"{user or caller.user}:{realm}".encode()).digest()
    return {codec.USERNAME: None, codec.USERHASH: digest}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rfc8489_14_4_userhash_finds_the_user_where_all_are_static(algorithm: int | None) -> None:
    """By SHA-256 of name and realm, from the first request to the last, and the session has its name."""
    world = static_only()
    caller = Caller(world, algorithm=algorithm)
    assert caller.exchange(request(caller, hashed(caller))).error == 0
    assert world.rules.sessions[caller.flow].username == "alice"
    caller.raw(request(caller, hashed(caller), codec.REFRESH))
    (again,) = world.table.drain(10)
    assert again.verified, "the packet path knows the hash"
    assert caller.bind() == 0, "the same user by its name"


def test_rfc8489_14_4_a_userhash_of_nobody_is_401() -> None:
    """Of another name, another realm, or of another size, for which it is 400 as if it was not there."""
    world = static_only()
    caller = Caller(world)
    for changes in (hashed(caller, "nobody"), hashed(caller, "bob"), hashed(caller, realm="elsewhere")):
        assert_challenge(caller.exchange(request(caller, changes)), 401, b"obMatJos2wAAA")
    for size in (0, 31, 33):
        assert caller.exchange(request(caller, {codec.USERNAME: None, codec.USERHASH: bytes(size)})).error == 400
    assert world.is_empty()


@pytest.mark.parametrize("world", [World(secrets=()), World(hooked=False)], ids=["hook", "secret"])
def test_rfc8489_14_4_userhash_is_not_offered_where_others_know_users(world: World) -> None:
    """The nonce says so, and a hash finds nobody; the hook is not asked about it."""
    caller = Caller(world)
    assert_challenge(caller.exchange(request(caller, hashed(caller))), 401)
    assert world.asked == []


@pytest.mark.parametrize(
    ("algorithm", "integrity", "expected"),
    [
        (None, codec.INTEGRITY, codec.INTEGRITY),
        (None, codec.INTEGRITY_SHA256, codec.INTEGRITY),
        (MD5, codec.INTEGRITY_SHA256, codec.INTEGRITY_SHA256),
        (MD5, codec.INTEGRITY, codec.INTEGRITY_SHA256),
        (SHA256, codec.INTEGRITY_SHA256, codec.INTEGRITY_SHA256),
        (SHA256, codec.INTEGRITY, codec.INTEGRITY_SHA256),
    ],
)
def test_rfc8489_9_2_4_answers_are_signed_as_the_request_chose(
    algorithm: int | None, integrity: int, expected: int
) -> None:
    """Success and error: by SHA-256 if and only if the request named an algorithm, whatever it signed with."""
    caller = Caller(World(), algorithm=algorithm)
    success = caller.exchange(request(caller, {}, integrity=integrity))
    error = caller.exchange(request(caller, {codec.REALM: REALM.encode()}, codec.CHANNEL_BIND, integrity))
    assert (success.error, error.error) == (0, 400)
    for answer in (success, error):
        assert integrities(answer) == [expected]
        assert answer.signed(caller.key, expected)
        assert not {code for code, _ in answer.attributes} & {codec.USERNAME, codec.USERHASH, codec.REALM, codec.NONCE}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rfc8656_5_another_user_gets_441_and_437_in_its_own_signature(algorithm: int | None) -> None:
    """A valid other user on the five-tuple; the allocation is untouched."""
    world = World()
    owner, other = Caller(world), Caller(world, user="bob", password="other", algorithm=algorithm)
    assert owner.allocate() == 0
    before = world.rules.sessions[owner.flow].expires
    world.table.now += SECOND
    for method, code in ((codec.REFRESH, 441), (codec.ALLOCATE, 437)):
        answer = other.exchange(other.sign(method, ALLOCATE))
        assert (answer.error, answer.signed(other.key, other.integrity)) == (code, True)
    assert world.rules.sessions[owner.flow].expires == before
    assert owner.bind() == 0


@pytest.mark.parametrize("first", ALGORITHMS)
@pytest.mark.parametrize("second", ALGORITHMS)
def test_rfc8489_9_2_3_2_a_client_may_choose_anew(first: int | None, second: int | None) -> None:
    """It is the same user all the time; each answer is signed with the key of its request, a repeated one too."""
    world = World()
    callers = [Caller(world, algorithm=first), Caller(world, algorithm=second)]
    assert callers[0].allocate() == 0
    for caller in (callers[1], callers[0], callers[1]):
        message = caller.sign(codec.REFRESH, [])
        for _ in range(2):
            answer = caller.exchange(message)
            assert (answer.error, answer.signed(caller.key, caller.integrity)) == (0, True)
    assert len(world.rules.sessions) == 1
    callers[1].key = b"wrong"
    assert callers[1].refresh() == 401


def test_rfc8489_9_2_indications_are_never_authenticated() -> None:
    """A Send with a wrong integrity is relayed, a Binding with one is not answered."""
    world = World()
    caller = Caller(world, algorithm=SHA256)
    assert (caller.allocate(), caller.bind()) == (0, 0)
    data = [(codec.XOR_PEER_ADDRESS, codec.mask(PEER, ID)), (codec.DATA_VALUE, b"data")]
    for integrity in INTEGRITIES:
        send = build(codec.SEND | codec.INDICATION, ID, data, b"wrong", integrity=integrity)
        ((_, to, sent),) = caller.raw(send)
        assert ((to.ip, to.port), sent) == (PEER, b"data")
        assert caller.raw(build(codec.BINDING | codec.INDICATION, ID, [], b"wrong", integrity=integrity)) == []


def test_rfc8656_5_a_nonce_changes_at_least_hourly() -> None:
    """An allocation that lives for hours is asked for a new nonce every half an hour."""
    world = World()
    caller = Caller(world)
    assert caller.allocate() == 0
    given, changes, start = {caller.nonce}, 0, world.table.now
    while world.table.now < start + 3 * 3600 * SECOND:
        world.table.now += 300 * SECOND
        answer = caller.exchange(caller.sign(codec.REFRESH, []))
        if answer.error == 438:
            caller.nonce = answer.get(codec.NONCE) or b""
            given.add(caller.nonce)
            changes += 1
            answer = caller.exchange(caller.sign(codec.REFRESH, []))
        assert answer.error == 0
    assert changes == len(given) - 1 == 5
