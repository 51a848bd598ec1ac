"""Long-term credentials (RFC 8489, section 9.2), with Allocate and Refresh to carry them."""

import base64
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial

from conformance.clauses import MUST, SHOULD, Clause, NotOfferedError, add, check, expect
from conformance.client import UDP, Client, Credentials, Value, expect_error, lifetime, shown
from conformance.scene import Scene
from conformance.stun import Code, Message, Method, long_term_key, sign

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
    expect_error(scene.client().ask(Method.ALLOCATE, [UDP]), 401)
    client = scene.allocated()
    for method in (Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND):
        expect_error(client.ask(method), 401)


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
