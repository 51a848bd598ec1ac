"""Long-term credentials (RFC 8489, sections 9.2 and 14.3 to 14.12), with Allocate and Refresh to carry them."""

import base64
import hashlib
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial

from conformance.clauses import MUST, SHOULD, Clause, NotOfferedError, SkippedError, add, check, expect
from conformance.client import UDP, Client, Credentials, Value, expect_error, lifetime, shown
from conformance.scene import Scene
from conformance.stun import Code, Message, Method, append, digest, long_term_key, sign, sign_sha256

COOKIE = b"obMatJos2"
MD5, SHA256 = 1, 2
INTEGRITY = (Code.MESSAGE_INTEGRITY, Code.MESSAGE_INTEGRITY_SHA256)
NAMES = (Code.USERNAME, Code.USERHASH)


def features(nonce: bytes) -> int:
    """The security features of a nonce cookie as 24 bits, 0 where there is none (section 9.2)."""
    if not nonce.startswith(COOKIE):
        return 0
    return int.from_bytes(base64.b64decode(nonce[len(COOKIE) : len(COOKIE) + 4]), "big")


def algorithm(number: int) -> bytes:
    """PASSWORD-ALGORITHM, or an entry of the list."""
    return struct.pack("!HH", number, 0)


def offered(client: Client) -> bytes:
    """The server's PASSWORD-ALGORITHMS; where it has none the rest of this part is not offered."""
    listed = client.challenge().get(Code.PASSWORD_ALGORITHMS)
    if listed is None:
        expect(not features(client.nonce) & 0x800000, "the nonce names password algorithms, and there is no list")
        raise NotOfferedError("no PASSWORD-ALGORITHMS in its 401")
    return listed


def sha256_key(client: Client) -> bytes:
    """The SHA-256 key of the client's credentials (section 18.5.1.2)."""
    return long_term_key(client.credentials.user, client.realm, client.credentials.password, "sha256")


def chosen(
    client: Client, listed: bytes, number: int, method: int = Method.ALLOCATE, values: Sequence[Value] = (UDP,)
) -> bytes:
    """A request that names the list and a choice, not signed yet."""
    names = [(Code.PASSWORD_ALGORITHMS, listed), (Code.PASSWORD_ALGORITHM, algorithm(number))]
    return client.unsigned(method, [*values, *client.known(), *names])


# The first answer


def unauthenticated(scene: Scene) -> tuple[Client, Message]:
    """A client and the 401 to its first Allocate."""
    client = scene.client()
    return client, client.challenge()


@check(8489, "9.2.4", MUST, "a request without integrity gets 401", line=16)
def no_integrity_is_401(scene: Scene) -> None:
    """First bullet: "the server MUST generate an error response with an error code of 401 (Unauthenticated)"."""
    for method in (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND):
        expect_error(scene.client().ask(method, [UDP] if method is Method.ALLOCATE else []), 401)


@check(8489, "9.2.4", MUST, "the 401 has REALM and NONCE", line=16)
def first_401_has_realm_and_nonce(scene: Scene) -> None:
    """First bullet: "MUST include a REALM value", "MUST include a NONCE, selected by the server"."""
    _, answer = unauthenticated(scene)
    expect(answer.get(Code.REALM), "no REALM")
    expect(answer.get(Code.NONCE), "no NONCE")


@check(8489, "9.2.4", SHOULD, "the first 401 has no user name and no integrity", line=16)
def first_401_is_not_signed(scene: Scene) -> None:
    """First bullet: it "SHOULD NOT contain a USERNAME, USERHASH, MESSAGE-INTEGRITY" or its SHA-256 sister."""
    _, answer = unauthenticated(scene)
    expect(not answer.has(*INTEGRITY, *NAMES), "a user name or an integrity is there")


@check(8489, "9.2.4", MUST, "two clients never get the same NONCE", line=16)
def nonce_is_bound_to_its_client(scene: Scene) -> None:
    """First bullet: never "the same NONCE for two requests unless they have the same source IP address and port"."""
    nonces = [scene.client().challenge().get(Code.NONCE) for _ in range(8)]
    expect(len(set(nonces)) == len(nonces), "a nonce was given twice")


@check(8656, "5", SHOULD, "a new random nonce is made when an allocation is first attempted", line=29)
def nonce_is_new_for_each_allocation(scene: Scene) -> None:
    """Section 5: "the server SHOULD generate a new random nonce when the allocation is first attempted"."""
    clients = [scene.allocated() for _ in range(3)]
    expect(len({one.nonce for one in clients}) == 3, "a nonce was used for two allocations")


@check(8656, "5", SHOULD, "the nonce of an allocation expires at least once an hour", line=29, lasts=3700)
def nonce_expires_within_an_hour(scene: Scene) -> None:
    """Section 5: "SHOULD expire the nonce at least once every hour during the lifetime of the allocation"."""
    client = scene.allocated()
    nonce, end = client.nonce, time.monotonic() + 3660
    while client.nonce == nonce:
        expect(time.monotonic() < end, "the nonce is still good after 61 minutes")
        time.sleep(60)
        client.refresh()


@check(8489, "9.2", MUST, "NONCE begins with the nonce cookie and the security features in base64", line=21)
def nonce_has_cookie(scene: Scene) -> None:
    """Section 9.2: "a server MUST prepend the NONCE attribute value with" obMatJos2 and four characters of base64."""
    client, _ = unauthenticated(scene)
    expect(client.nonce.startswith(COOKIE), "it does not begin with obMatJos2: the server is one of RFC 5389")
    base64.b64decode(client.nonce[len(COOKIE) : len(COOKIE) + 4], validate=True)


@check(8489, "9.2.4", MUST, "the list of password algorithms and its bit in the nonce come together", line=16)
def algorithms_come_with_their_bit(scene: Scene) -> None:
    """First bullet: with PASSWORD-ALGORITHMS the server "MUST set the STUN Security Feature" bit to 1."""
    client = scene.client()
    offered(client)
    expect(features(client.nonce) & 0x800000, "the list is there, and its bit in the nonce is not set")


# Attributes that are missing

MISSING = {"username": Code.USERNAME, "realm": Code.REALM, "nonce": Code.NONCE}


def incomplete(scene: Scene, missing: int) -> Message:
    """The answer to a request with integrity and without that attribute."""
    client = scene.client()
    client.challenge()
    values = [UDP, *(one for one in client.known() if one[0] != missing)]
    return client.exchange(sign(client.unsigned(Method.ALLOCATE, values), client.key))


def incomplete_is_400(missing: int, scene: Scene) -> None:
    """Second bullet of 9.2.4: "is missing either the USERNAME or USERHASH, REALM, or NONCE attribute": 400."""
    expect_error(incomplete(scene, missing), 400)


for _name, _code in MISSING.items():
    _clause = Clause(8489, "9.2.4", MUST, f"integrity without {_name.upper()} gets 400", 17)
    add(f"missing_{_name}_is_400", _clause, partial(incomplete_is_400, _code))


@check(8489, "9.2.4", SHOULD, "that 400 names neither user, realm nor nonce", line=17)
def that_400_says_little(scene: Scene) -> None:
    """Second bullet: "This response SHOULD NOT include a USERNAME, USERHASH, NONCE, or REALM attribute"."""
    for missing in MISSING.values():
        answer = expect_error(incomplete(scene, missing), 400)
        expect(not answer.has(*NAMES, Code.REALM, Code.NONCE), "one of them is there")


@check(8489, "9.2.4", MUST, "that 400 is not signed", line=17)
def that_400_is_not_signed(scene: Scene) -> None:
    """Second bullet: it "cannot contain a MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 attribute"."""
    for missing in MISSING.values():
        expect(not expect_error(incomplete(scene, missing), 400).has(*INTEGRITY), "an integrity is there")


# Users, passwords, realms and nonces that are not right


def refused(scene: Scene, credentials: Credentials) -> Message:
    """The answer to an Allocate with these credentials."""
    return scene.client(credentials=credentials).request(Method.ALLOCATE, [UDP])


@check(8489, "9.2.4", MUST, "an unknown user gets 401 with REALM and NONCE", line=18)
def unknown_user_is_401(scene: Scene) -> None:
    """Fourth bullet: "If the value of the USERNAME or USERHASH attribute is not valid": 401, REALM, NONCE."""
    rejected(refused(scene, Credentials("nobody-of-that-name", "x")))


@check(8489, "9.2.4", MUST, "a wrong password gets 401 with REALM and NONCE", line=18)
def wrong_password_is_401(scene: Scene) -> None:
    """Fifth bullet: "This response MUST use an error code of 401", "MUST include the REALM and NONCE attributes"."""
    rejected(refused(scene, Credentials(scene.target.user.user, "not the password")))


def rejected(answer: Message) -> None:
    """A 401 that lets a client try again."""
    expect_error(answer, 401)
    expect(answer.get(Code.REALM), "no REALM")
    expect(answer.get(Code.NONCE), "no NONCE")


@check(8489, "9.2.4", SHOULD, "that 401 has no user name and no integrity", line=18)
def second_401_is_not_signed(scene: Scene) -> None:
    """Fifth bullet: it "SHOULD NOT include the USERNAME, USERHASH, MESSAGE-INTEGRITY" or its SHA-256 sister."""
    answer = refused(scene, Credentials(scene.target.user.user, "not the password"))
    expect(not expect_error(answer, 401).has(*INTEGRITY, *NAMES), "a user name or an integrity is there")


@check(8489, "9.2.4", MUST, "401 and 438 list the password algorithms where the server has any", line=18)
def later_errors_list_algorithms(scene: Scene) -> None:
    """Fourth and sixth bullet: the responses "MUST include" PASSWORD-ALGORITHMS."""
    listed = offered(scene.client())
    client = scene.client()
    client.challenge()
    answers = [refused(scene, Credentials("nobody-of-that-name", "x")), stale(client)]
    expect(all(one.get(Code.PASSWORD_ALGORITHMS) == listed for one in answers), "the list is missing or another one")


@check(8489, "16.1.1", SHOULD, "an unknown user and a wrong password are answered alike but for the nonce", line=18)
def answers_do_not_tell_users(scene: Scene) -> None:
    """Section 16.1.1 speaks of attackers who gather names; equal answers tell them nothing."""
    answers = [
        refused(scene, Credentials("nobody-of-that-name", "x")),
        refused(scene, Credentials(scene.target.user.user, "not the password")),
    ]
    kept = [[one for one in answer.attributes if one[0] != Code.NONCE] for answer in answers]
    expect(kept[0] == kept[1], "they differ in more than the nonce")
    expect(len(answers[0].raw) == len(answers[1].raw), "they differ in length")


@check(8489, "9.2.4", MUST, "a wrong REALM gets 401", line=20)
def wrong_realm_is_401(scene: Scene) -> None:
    """The key is made of the realm (section 9.2.2), so what is signed for another one does not match: fifth bullet."""
    client = scene.client()
    client.challenge()
    client.realm = "some.other.realm"
    expect_error(client.exchange(client.signed(Method.ALLOCATE, [UDP])), 401)


@check(8489, "9.2.4", MUST, "a nonce that is not valid gets 438 with a new NONCE and REALM", line=19)
def stale_nonce_is_438(scene: Scene) -> None:
    """Sixth bullet: 438, and "This response MUST include NONCE, REALM, and PASSWORD-ALGORITHMS attributes"."""
    client = scene.client()
    client.challenge()
    answer = stale(client)
    expect(answer.get(Code.REALM), "no REALM")
    expect(answer.get(Code.NONCE), "no NONCE")


@check(8489, "9.2.4", MUST, "the NONCE of a 438 is valid", line=19)
def nonce_of_438_is_valid(scene: Scene) -> None:
    """Sixth bullet: "The NONCE attribute value MUST be valid"."""
    client = scene.client()
    client.challenge()
    client.learn(stale(client))
    answer = client.exchange(client.signed(Method.REFRESH, [lifetime(0)]))
    expect(answer.error == 437, f"{shown(answer)} to a Refresh without allocation, instead of 437")


@check(8489, "9.2.4", MUST, "a nonce given to another client is not valid", line=19)
def foreign_nonce_is_438(scene: Scene) -> None:
    """First and sixth bullet: a nonce is for one source address and port."""
    first, second = scene.client(), scene.client()
    first.challenge()
    second.challenge()
    second.nonce = first.nonce
    expect_error(second.exchange(second.signed(Method.ALLOCATE, [UDP])), 438)


@check(8489, "9.2.4", MUST, "a wrong integrity with a nonce that is not valid gets 401", line=19)
def integrity_is_judged_before_nonce(scene: Scene) -> None:
    """The checks are made "in the order specified": the integrity is the fifth, the nonce the sixth."""
    client = scene.client()
    client.challenge()
    client.nonce = forged(client.nonce)
    expect_error(client.exchange(client.signed(Method.ALLOCATE, [UDP], key=b"wrong")), 401)


def stale(client: Client) -> Message:
    """The answer to a request with a nonce that the server never gave; the client has been challenged."""
    nonce, client.nonce = client.nonce, forged(client.nonce)
    answer = client.exchange(client.signed(Method.ALLOCATE, [UDP]))
    client.nonce = nonce
    return expect_error(answer, 438)


def forged(nonce: bytes) -> bytes:
    """The nonce with its last byte changed; the cookie in front stays."""
    return nonce[:-1] + (b"0" if nonce[-1:] != b"0" else b"1")


# Integrity of responses

SIGNED: dict[str, tuple[str, Callable[[Client], Message]]] = {
    "success": ("a success", lambda client: client.allocate()),
    "error": ("an error after authentication", lambda client: client.request(Method.CREATE_PERMISSION)),
}


def response_is_signed(make: Callable[[Client], Message], scene: Scene) -> None:
    """End of 9.2.4: "In that case, the MESSAGE-INTEGRITY attribute MUST be used"."""
    client = scene.client()
    answer = make(client)
    expect(answer.signed(client.key), f"{shown(answer)} without a MESSAGE-INTEGRITY that holds")
    expect(not answer.has(Code.MESSAGE_INTEGRITY_SHA256), "MESSAGE-INTEGRITY-SHA256 is there too")


for _name, (_what, _make) in SIGNED.items():
    _clause = Clause(
        8489, "9.2.4", MUST, f"{_what} is signed with MESSAGE-INTEGRITY where MD5 was taken for granted", 26
    )
    add(f"{_name}_is_signed", _clause, partial(response_is_signed, _make))


@check(8489, "9.2.4", SHOULD, "a signed response has no REALM, NONCE or user name", line=26)
def signed_response_says_little(scene: Scene) -> None:
    """End of 9.2.4: "the REALM, NONCE, USERNAME, and USERHASH attributes SHOULD NOT be included"."""
    answer = scene.client().allocate()
    expect(not answer.has(*NAMES, Code.REALM, Code.NONCE), "one of them is there")


@check(8489, "9.2.4", MUST, "a 420 after authentication is signed", line=26)
def unknown_attribute_answer_is_signed(scene: Scene) -> None:
    """End of 9.2.4: "Any response generated by the server MUST include" the integrity."""
    client = scene.client()
    answer = expect_error(client.request(Method.ALLOCATE, [UDP, (0x7F00, b"")]), 420)
    expect(answer.signed(client.key), "no MESSAGE-INTEGRITY that holds")


# Password algorithms


@check(8489, "9.2.4", MUST, "a request that names no algorithm is processed as MD5", line=21)
def no_algorithm_means_md5(scene: Scene) -> None:
    """Third bullet: neither attribute: "processed as though PASSWORD-ALGORITHM were MD5"."""
    client = scene.client()
    answer = client.allocate()
    expect(answer.signed(client.key), "the answer is not signed with the MD5 key")


@check(8489, "9.2.4", MUST, "SHA-256 credentials work, and the answer is signed with them", line=21)
def sha256_works(scene: Scene) -> None:
    """Sections 9.2.4 and 18.5.1.2: the key is SHA-256, the answer carries MESSAGE-INTEGRITY-SHA256."""
    client = scene.client()
    listed = offered(client)
    for method, wanted in ((Method.ALLOCATE, [UDP]), (Method.REFRESH, [lifetime(0)])):
        answer = client.exchange(sign_sha256(chosen(client, listed, SHA256, method, wanted), sha256_key(client)))
        expect(answer.is_success, f"{shown(answer)} to {method.name}")
        expect(answer.signed_sha256(sha256_key(client)), "no MESSAGE-INTEGRITY-SHA256 that holds")
        expect(not answer.has(Code.MESSAGE_INTEGRITY), "MESSAGE-INTEGRITY is there too")


@check(
    8489, "9.2.4", MUST, "an error to a request that named an algorithm is signed with SHA-256, for MD5 too", line=26
)
def algorithm_asks_for_sha256_integrity(scene: Scene) -> None:
    """End of 9.2.4: MESSAGE-INTEGRITY-SHA256 "unless the request was processed as though" MD5, naming none."""
    for number, key in ((SHA256, sha256_key), (MD5, lambda one: one.key)):
        client = scene.client()
        message = chosen(client, offered(client), number, Method.REFRESH, ())
        answer = client.exchange(sign_sha256(message, key(client)))
        expect_error(answer, 437)
        expect(answer.signed_sha256(key(client)), "no MESSAGE-INTEGRITY-SHA256 that holds")


BID_DOWN: dict[str, tuple[str, Callable[[bytes], list[Value]], int]] = {
    "algorithms_alone": (
        "PASSWORD-ALGORITHMS without a choice gets 400",
        lambda listed: [(Code.PASSWORD_ALGORITHMS, listed)],
        21,
    ),
    "algorithm_alone": (
        "a choice without PASSWORD-ALGORITHMS gets 400",
        lambda _: [(Code.PASSWORD_ALGORITHM, algorithm(SHA256))],
        21,
    ),
    "other_algorithms": (
        "another list than the server's gets 400",
        lambda _: [(Code.PASSWORD_ALGORITHMS, algorithm(MD5)), (Code.PASSWORD_ALGORITHM, algorithm(MD5))],
        21,
    ),
    "algorithm_off_the_list": (
        "a choice that is not on the list gets 400",
        lambda listed: [(Code.PASSWORD_ALGORITHMS, listed), (Code.PASSWORD_ALGORITHM, algorithm(0x7FFF))],
        22,
    ),
}


def bid_down_is_400(values: Callable[[bytes], list[Value]], scene: Scene) -> None:
    """Third bullet of 9.2.4: unless all three conditions hold, "the server MUST generate" a 400."""
    client = scene.client()
    named = values(offered(client))
    message = client.unsigned(Method.ALLOCATE, [UDP, *client.known(), *named])
    expect_error(client.exchange(sign_sha256(message, sha256_key(client))), 400)


for _name, (_what, _values, _line) in BID_DOWN.items():
    add(f"{_name}_is_400", Clause(8489, "9.2.4", MUST, _what, _line), partial(bid_down_is_400, _values))


@check(8489, "14.6", MUST, "MESSAGE-INTEGRITY-SHA256 that is cut is not accepted", line=24)
def truncated_integrity_is_refused(scene: Scene) -> None:
    """Section 14.6: "The value must be the full 32 bytes unless the STUN Usage" allows truncation; TURN does not."""
    not_accepted(scene, (16, 20, 28))


@check(8489, "14.6", MUST, "MESSAGE-INTEGRITY-SHA256 under 16 bytes, or no multiple of four, is not accepted", line=24)
def integrity_of_wrong_size_is_refused(scene: Scene) -> None:
    """Section 14.6: "it MUST be at least 16 bytes and MUST be a multiple of 4 bytes"."""
    not_accepted(scene, (0, 4, 12, 17, 31, 36))


def not_accepted(scene: Scene, sizes: tuple[int, ...]) -> None:
    """A SHA-256 integrity of each of these sizes is refused with 400 or 401, or dropped."""
    for size in sizes:
        client = scene.client()
        message = chosen(client, offered(client), SHA256)
        value = (digest(message, sha256_key(client), "sha256", size) + bytes(4))[:size]
        answer = client.attempt(append(message, Code.MESSAGE_INTEGRITY_SHA256, value))
        expect(answer is None or answer.error in (400, 401), f"{shown(answer)} for {size} bytes")


@check(8489, "14.4", MUST, "USERHASH stands for USERNAME where the server offers it", line=25)
def userhash_works(scene: Scene) -> None:
    """Section 14.4: "userhash = SHA-256(OpaqueString(username) ":" OpaqueString(realm))"."""
    client = anonymous(scene)
    answer = client.exchange(sign(hashed(client, client.credentials.user), client.key))
    expect_error(answer, 437)
    expect(answer.signed(client.key), "the answer is not signed")


@check(8489, "9.2.4", MUST, "a USERHASH of nobody gets 401", line=25)
def unknown_userhash_is_401(scene: Scene) -> None:
    """Fourth bullet: "If the value of the USERNAME or USERHASH attribute is not valid": 401."""
    client = anonymous(scene)
    rejected(client.exchange(sign(hashed(client, "nobody-of-that-name"), client.key)))


def anonymous(scene: Scene) -> Client:
    """A client of a server whose nonce offers anonymous user names (section 18.1, bit 1)."""
    client = scene.client()
    client.challenge()
    if not features(client.nonce) & 0x400000:
        raise NotOfferedError("the nonce does not offer anonymous user names")
    return client


def hashed(client: Client, user: str) -> bytes:
    """A Refresh with USERHASH, not signed yet."""
    value = hashlib.sha256(f"{user}:{client.realm}".encode()).digest()
    return client.unsigned(Method.REFRESH, [(Code.USERHASH, value), *client.known()[1:]])


@check(8489, "9.2.2", MUST, "names and passwords beyond ASCII work", line=23)
def beyond_ascii_works(scene: Scene) -> None:
    """Section 9.2.2: MD5 over UTF-8 of the name and of what OpaqueString makes of realm and password."""
    if scene.target.beyond_ascii is None:
        raise SkippedError("no user beyond ASCII was named")
    client = scene.client(credentials=scene.target.beyond_ascii)
    expect_error(client.request(Method.REFRESH), 437)


# Another user on a five-tuple


def intruder(client: Client, scene: Scene) -> Client:
    """The same five-tuple in the hands of another user, whose credentials are right."""
    other = Client(client.link, scene.other())
    other.learn(client.ask(Method.REFRESH))
    return other


WRONG_USER: dict[str, tuple[Method, Callable[[Scene], list[Value]]]] = {
    "refresh": (Method.REFRESH, lambda _: [lifetime(0)]),
    "create_permission": (Method.CREATE_PERMISSION, lambda scene: [(Code.XOR_PEER_ADDRESS, (scene.peer_host, 9))]),
    "channel_bind": (
        Method.CHANNEL_BIND,
        lambda scene: [(Code.CHANNEL_NUMBER, b"\x40\0\0\0"), (Code.XOR_PEER_ADDRESS, (scene.peer_host, 9))],
    ),
}


def wrong_user_is_441(method: Method, values: Callable[[Scene], list[Value]], scene: Scene) -> None:
    """RFC 8656, section 5: "then the request MUST be rejected with a 441 (Wrong Credentials) error"."""
    client = scene.allocated()
    expect_error(intruder(client, scene).request(method, values(scene)), 441)
    expect(client.request(Method.REFRESH).is_success, "the owner's allocation is gone")


for _name, (_method, _wanted) in WRONG_USER.items():
    _clause = Clause(8656, "5", MUST, f"{_name.replace('_', ' ')} by another user on the five-tuple gets 441", 27)
    add(f"{_name}_by_another_user_is_441", _clause, partial(wrong_user_is_441, _method, _wanted))


@check(8656, "7.2", MUST, "Allocate by another user on a five-tuple in use gets 437", line=27)
def allocate_by_another_user_is_437(scene: Scene) -> None:
    """Section 5 excepts Allocate from 441; section 7.2, check 2: the 5-tuple is in use, so 437."""
    client = scene.allocated()
    expect_error(intruder(client, scene).request(Method.ALLOCATE, [UDP]), 437)
    expect(client.request(Method.REFRESH).is_success, "the owner's allocation is gone")


@check(8656, "5", MUST, "indications are never authenticated", line=28)
def indications_need_no_credentials(scene: Scene) -> None:
    """Section 5: "indications in TURN are never authenticated"; a Send without integrity is relayed."""
    client, far = scene.allocated(), scene.peer()
    client.permit(far.address)
    client.send_data(far.address, b"unsigned")
    far.receive(b"unsigned")


# Redirection


def redirected(scene: Scene) -> tuple[Client, Message]:
    """The answer to an Allocate of a server that redirects."""
    if scene.target.redirecting is None:
        raise SkippedError("no server that redirects was named")
    client = scene.client(server=scene.target.redirecting)
    return client, client.request(Method.ALLOCATE, [UDP])


@check(8489, "10", MUST, "300 names an alternate server of the client's address family", line=37)
def redirection_names_a_server(scene: Scene) -> None:
    """Section 10: an ALTERNATE-SERVER "of the same address family as the source IP address of the request"."""
    _, answer = redirected(scene)
    value = expect_error(answer, 300).get(Code.ALTERNATE_SERVER)
    expect(value is not None and len(value) == 8 and value[1] == 1, "no ALTERNATE-SERVER with an IPv4 address")


@check(8489, "14.8", MUST, "300 is signed", line=37)
def redirection_is_signed(scene: Scene) -> None:
    """Section 14.8: it "MUST be protected with the MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 attribute"."""
    client, answer = redirected(scene)
    expect(expect_error(answer, 300).signed(client.key), "no MESSAGE-INTEGRITY that holds")


@check(8489, "14.8", MUST, "300 is never sent to who has not proved a user name", line=37)
def strangers_are_not_redirected(scene: Scene) -> None:
    """Section 14.8: only if the request had "a valid MESSAGE-INTEGRITY"; "otherwise, it MUST NOT be sent"."""
    if scene.target.redirecting is None:
        raise SkippedError("no server that redirects was named")
    scene.client(server=scene.target.redirecting).challenge()
