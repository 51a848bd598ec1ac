"""The sans-I/O client against scripted answers, made with the tests' own codec."""

import hashlib
import struct
from collections.abc import Callable
from itertools import count

import pytest

from client import (
    CHANNEL_BIND,
    CREATE_PERMISSION,
    ERROR,
    ERROR_CODE,
    INDICATION,
    LIFETIME,
    NONCE,
    REALM,
    REFRESH,
    SUCCESS,
    USERNAME,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Answer,
    build,
    mask,
    parse,
)
from hairpin.stun import Address
from hairpin.turnclient.client import Client
from hairpin.turnclient.failure import Cause, Failure
from hairpin.turnclient.target import Credentials

MS, S = 1_000_000, 1_000_000_000
SOFTWARE, ALTERNATE_SERVER = 0x8022, 0x8023
KEY = hashlib.md5(b"user:there:secret").digest()
PEER = Address("192.0.2.7", 4000)


def made(*, reliable: bool = False) -> Client:
    """A client whose chance is a counter."""
    numbers = count()
    return Client(
        Credentials("user", "secret"), reliable=reliable, chance=lambda size: next(numbers).to_bytes(size, "big")
    )


def sent(client: Client) -> Answer:
    """The one message that the client has just sent."""
    (data,) = client.outgoing
    client.outgoing.clear()
    return parse(data)


def refuse(client: Client, code: int, *more: tuple[int, bytes], reason: bytes = b"no") -> None:
    """Answer what was just sent with an error."""
    request = sent(client)
    number = struct.pack("!HBB", 0, code // 100, code % 100) + reason
    client.receive(build(request.method | ERROR, request.transaction, [(ERROR_CODE, number), *more]), 0)


def grant(client: Client, *attributes: tuple[int, bytes], now: int = 0) -> Answer:
    """Answer what was just sent with a signed success; what that was."""
    request = sent(client)
    client.receive(build(request.method | SUCCESS, request.transaction, list(attributes), KEY), now)
    return request


def challenge(client: Client, code: int = 401, nonce: bytes = b"once") -> None:
    """Ask for credentials."""
    refuse(client, code, (REALM, b"there"), (NONCE, nonce))


def allocated(lifetime: int = 600) -> Client:
    """A client that has its relay since the time 0."""
    client = made()
    client.allocate(4, 0)
    challenge(client)
    transaction = parse(client.outgoing[0]).transaction
    relay = (XOR_RELAYED_ADDRESS, mask(("192.0.2.1", 50000), transaction))
    grant(client, relay, (LIFETIME, struct.pack("!I", lifetime)))
    return client


def test_a_lost_request_is_sent_again_and_then_given_up() -> None:
    """The same bytes after 500 ms, 1 s and 2 s more; after 4 s more there is no hope (RFC 8489, section 6.2.1)."""
    client = made()
    client.allocate(4, 0)
    first = client.outgoing.popleft()
    for due in (500, 1500, 3500):
        assert client.deadline == due * MS
        client.tick(due * MS - 1)
        assert not client.outgoing
        client.tick(due * MS)
        assert client.outgoing.popleft() == first
    client.tick(7500 * MS)
    assert client.failure == Failure("Allocate", Cause.SILENCE)
    assert (client.idle, client.deadline, client.repeated, list(client.outgoing)) == (True, None, 3, [])


def test_nothing_is_sent_again_over_tcp() -> None:
    """The transport does that (RFC 8489, section 6.2.2); the patience is the same."""
    client = made(reliable=True)
    client.allocate(4, 0)
    client.outgoing.clear()
    assert client.deadline == 7500 * MS
    client.tick(7500 * MS)
    assert not client.outgoing
    assert client.failure == Failure("Allocate", Cause.SILENCE)


def test_a_challenge_is_met_with_credentials() -> None:
    """The second request names user, realm and nonce, is signed, and has a transaction of its own."""
    client = made()
    client.allocate(4, 0)
    first = parse(client.outgoing[0])
    challenge(client)
    second = sent(client)
    assert [first.get(USERNAME), first.signed(KEY)] == [None, False]
    assert [second.get(code) for code in (USERNAME, REALM, NONCE)] == [b"user", b"there", b"once"]
    assert second.signed(KEY)
    assert second.transaction != first.transaction


def test_an_allocation_is_known_by_its_relay() -> None:
    """As the answer says."""
    client = allocated()
    assert (client.relay, client.idle, client.failure) == (Address("192.0.2.1", 50000), True, None)


def test_who_has_proved_nothing_holds_nothing() -> None:
    """An allocation may come of a signed request, and is there until it is released."""
    client = made()
    client.allocate(4, 0)
    before = client.may_hold
    challenge(client)
    assert (before, client.may_hold, allocated().may_hold) == (False, True, True)


def test_a_second_401_is_final() -> None:
    """For the first answer to it was the best that we have."""
    client = made()
    client.allocate(4, 0)
    challenge(client)
    challenge(client, nonce=b"twice")
    assert client.failure == Failure("Allocate", Cause.ANSWER, 401, "no")
    assert client.idle


def test_a_stale_nonce_is_replaced() -> None:
    """The request goes out again with the fresh one."""
    client = allocated()
    client.release(0)
    refuse(client, 438, (REALM, b"there"), (NONCE, b"fresh"))
    again = sent(client)
    assert (again.method, again.get(NONCE), again.signed(KEY)) == (REFRESH, b"fresh", True)
    assert client.failure is None


def test_nonces_that_are_always_stale_come_to_an_end() -> None:
    """After three fresh ones."""
    client = allocated()
    client.release(0)
    for number in range(3):
        challenge(client, 438, b"fresh%d" % number)
        assert client.failure is None
    challenge(client, 438)
    assert client.failure == Failure("Refresh", Cause.ANSWER, 438, "no")


@pytest.mark.parametrize("code", [400, 403, 437, 442, 486, 500, 508])
def test_an_error_is_the_failure(code: int) -> None:
    """With the server's reason, fit for a terminal."""
    client = made()
    client.allocate(4, 0)
    challenge(client)
    refuse(client, code, reason="\x1b[31mbad\u202eday\n".encode())
    assert client.failure == Failure("Allocate", Cause.ANSWER, code, "\ufffd[31mbad\ufffdday\ufffd")


def test_an_alternate_server_is_told() -> None:
    """As the reason of the 300."""
    client = made()
    client.allocate(4, 0)
    refuse(client, 300, (ALTERNATE_SERVER, struct.pack("!BBH", 0, 1, 3479) + bytes([192, 0, 2, 9])))
    assert client.failure == Failure("Allocate", Cause.ANSWER, 300, "192.0.2.9:3479")


def test_the_software_is_told_as_plain_text() -> None:
    """Whatever the server calls itself."""
    client = made()
    client.allocate(4, 0)
    refuse(client, 401, (REALM, b"there"), (NONCE, b"once"), (SOFTWARE, b"some\x07 server"))
    assert client.software == "some\ufffd server"


def other_method(request: Answer) -> bytes:
    """A success for what was not asked."""
    return build(REFRESH | SUCCESS, request.transaction, [])


def other_transaction(request: Answer) -> bytes:
    """A refusal of what was asked some other time."""
    return build(request.method | ERROR, b"another one!", [(ERROR_CODE, b"\0\0\x04\0no")])


def no_answer(request: Answer) -> bytes:
    """An indication."""
    return build(request.method | INDICATION, request.transaction, [])


def half(request: Answer) -> bytes:
    """An answer that ends too early."""
    return build(request.method | ERROR, request.transaction, [(ERROR_CODE, b"\0\0\x04\0no")])[:-2]


def junk(request: Answer) -> bytes:
    """Not STUN at all."""
    return b"\x16\x03\x01" + request.transaction


@pytest.mark.parametrize("answer", [other_method, other_transaction, no_answer, half, junk])
def test_what_answers_nothing_changes_nothing(answer: Callable[[Answer], bytes]) -> None:
    """The request is still open, and due at its time."""
    client = made()
    client.allocate(4, 0)
    client.receive(answer(sent(client)), 1)
    client.receive(b"", 1)
    assert (client.idle, client.failure, client.deadline, list(client.outgoing)) == (False, None, 500 * MS, [])


def test_a_success_that_is_not_signed_is_not_believed() -> None:
    """As if never received (RFC 8489, section 9.2.5); in the end it is told apart from silence."""
    client = allocated()
    client.release(0)
    request = sent(client)
    client.receive(build(REFRESH | SUCCESS, request.transaction, []), 0)
    client.receive(build(REFRESH | SUCCESS, request.transaction, [], b"another key"), 0)
    assert not client.idle
    for due in (500, 1500, 3500, 7500):
        client.tick(due * MS)
    assert client.failure == Failure("Refresh", Cause.UNPROVED)


def test_a_success_without_a_relay_is_a_failure() -> None:
    """There is nothing to be used."""
    client = made()
    client.allocate(4, 0)
    challenge(client)
    grant(client)
    assert client.failure is not None
    assert (client.relay, client.failure.code) == (None, 0)
    assert "without a relayed address" in str(client.failure)


def test_a_peer_is_permitted_and_then_bound() -> None:
    """One request after the other."""
    client = allocated()
    client.reach(PEER, 0)
    permission = grant(client)
    binding = grant(client)
    assert [permission.method, binding.method] == [CREATE_PERMISSION, CHANNEL_BIND]
    assert permission.address(XOR_PEER_ADDRESS) == binding.address(XOR_PEER_ADDRESS) == (PEER.ip, PEER.port)
    assert (client.idle, client.failure) == (True, None)


def test_an_error_in_channel_bind_leaves_an_allocation_that_is_given_back() -> None:
    """The failure stays the first one."""
    client = allocated()
    client.reach(PEER, 0)
    grant(client)
    refuse(client, 400)
    assert client.failure == Failure("ChannelBind", Cause.ANSWER, 400, "no")
    client.release(0)
    request = grant(client, (LIFETIME, bytes(4)))
    assert (request.method, request.get(LIFETIME)) == (REFRESH, bytes(4))
    assert client.relay is None
    assert client.failure.step == "ChannelBind"


def test_a_long_run_is_kept_alive() -> None:
    """The channel and its permission every 240 s, the allocation a minute before its end."""
    client = allocated(lifetime=600)
    client.reach(PEER, 0)
    grant(client)
    grant(client)
    asked = []
    for now in range(1200):
        client.tick(now * S)
        if client.outgoing:
            asked.append((now, grant(client, (LIFETIME, struct.pack("!I", 600)), now=now * S).method))
    bindings = [(now, CHANNEL_BIND) for now in (240, 480, 720, 960)]
    refreshes = [(now, REFRESH) for now in (540, 1080)]
    assert asked == sorted(bindings + refreshes)


def test_a_lifetime_of_nothing_does_not_make_a_storm() -> None:
    """A second must pass before a refresh, whatever the server grants."""
    client = allocated(lifetime=1)
    assert client.deadline == S


def test_after_the_release_nothing_is_asked() -> None:
    """Nor kept alive."""
    client = allocated()
    client.reach(PEER, 0)
    grant(client)
    grant(client)
    client.release(0)
    grant(client, (LIFETIME, bytes(4)))
    assert (client.relay, client.deadline) == (None, None)


def test_an_ipv6_relay_is_asked_for_by_its_family() -> None:
    """REQUESTED-ADDRESS-FAMILY is 2 (RFC 8656, section 18.8)."""
    client = made()
    client.allocate(6, 0)
    assert sent(client).get(0x17) == bytes([2, 0, 0, 0])


def test_a_broken_link_ends_all() -> None:
    """Nothing can be asked over it any more."""
    client = allocated()
    client.reach(PEER, 0)
    client.fail(Cause.CLOSED)
    client.release(0)
    assert client.failure == Failure("CreatePermission", Cause.CLOSED)
    assert (client.idle, list(client.outgoing)) == (True, [])
