"""SHA-256 credentials, USERHASH and the protection against bidding down (RFC 8489, sections 9.2 and 14)."""

import hashlib
from collections.abc import Callable
from functools import partial

from conformance.checks.credentials import MD5, SHA256, algorithm, chosen, features, offered, rejected, sha256_key
from conformance.clauses import MUST, Clause, NotOfferedError, SkippedError, add, check, expect
from conformance.client import UDP, Client, Value, expect_error, lifetime, shown
from conformance.scene import Scene
from conformance.stun import Code, Method, append, digest, sign, sign_sha256


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
