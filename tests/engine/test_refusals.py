"""Why a client was refused: its operator is told one reason, the client the RFC's code and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

import client as codec
from client import Answer
from driving import ALLOCATE, INTERFACE, PEER, SECOND, Caller, World
from engine.test_engine import osError, secret_user
from hairpin.auth import Reason
from hairpin.stun import Address, Method
from hairpin.turn.effects import Refused

NOW = 1000  # of the worlds, in seconds
PEERS = {
    "10.1.2.3": "10.1.2.3 is in 10.0.0.0/8 (private, RFC 1918), which peers.allow does not name",
    "127.0.0.1": "127.0.0.1 is this machine, of which only live relays are peers, and peers.allow does not name it",
    "224.0.0.1": "224.0.0.1 is in 224.0.0.0/4 (multicast), which is no peer in any case",
}
LOGINS: list[tuple[tuple[str, str], dict[str, Any], Reason, str]] = [
    (("nobody", "x"), {"hooked": False, "secrets": ()}, Reason.NO_SUCH_USER, "no such user"),
    (
        ("nobody", "x"),
        {"hooked": False},
        Reason.NO_SUCH_USER,
        "no such user: for auth.static_auth_secret a name is EXPIRY or EXPIRY:NAME",
    ),
    (("alice", "x"), {}, Reason.WRONG_PASSWORD, "the password is not the one in auth.static_credentials"),
    (
        secret_user(f"{NOW + 1}:bob", "another secret"),
        {},
        Reason.WRONG_PASSWORD,
        "the password is not base64(HMAC-SHA1(secret, user name)) with a secret of auth.static_auth_secret",
    ),
    (secret_user(f"{NOW - 312}:bob"), {}, Reason.EXPIRED, "expired 312 s ago"),
    (
        secret_user("bob:1500000000"),
        {"hooked": False},
        Reason.SWAPPED,
        "the user name is NAME:EXPIRY, and has to be EXPIRY:NAME for auth.static_auth_secret",
    ),
]
HOOKS: list[tuple[object, Reason, str]] = [
    ((404, b""), Reason.NO_SUCH_USER, "no such user: the hook answered 404"),
    ((500, b"password"), Reason.HOOK_STATUS, "the hook answered 500"),
    ((200, b""), Reason.HOOK_NO_PASSWORD, "the hook answered 200 with a body that is no password"),
    ((200, b"another"), Reason.WRONG_PASSWORD, "the password is not the one that the hook says"),
    (TimeoutError("no answer in 5 s"), Reason.HOOK_TIMEOUT, "the hook failed: no answer in 5 s"),
    (ConnectionError("ConnectError: nobody"), Reason.HOOK_FAILED, "the hook failed: ConnectError: nobody"),
]


def only(refused: list[Refused]) -> Refused:
    """The one refusal."""
    (one,) = refused
    return one


def refused_login(user: str, password: str, world: World) -> tuple[Answer, Refused]:
    """The answer to the Allocate of a user, and what the operator is told."""
    caller = Caller(world, 1, user, password)
    answer = caller.exchange(caller.sign(codec.ALLOCATE, ALLOCATE))
    return answer, only(world.refused)


@pytest.mark.parametrize(("user", "options", "reason", "detail"), LOGINS, ids=lambda value: getattr(value, "value", ""))
def test_a_login_is_refused_for_one_reason(
    user: tuple[str, str], options: dict[str, Any], reason: Reason, detail: str
) -> None:
    """It names who asked, what for, from where, and what is wrong; never a password."""
    answer, refused = refused_login(*user, World(**options))
    assert (refused.refusal.reason, refused.refusal.detail) == (reason, detail)
    assert (refused.client, refused.interface) == (Address("198.51.0.1", 1000), Address(*INTERFACE))
    assert (refused.username, refused.method, refused.transport) == (user[0], Method.ALLOCATE, 0)
    assert refused.code == answer.error == 401
    assert user[1] not in refused.refusal.detail.split()


async def refused_by_hook(answer: object) -> tuple[Answer, Refused]:
    """The same for a user of the hook, which answers so."""
    world = World()
    caller = Caller(world, 1, "carol", "carol's password")
    assert caller.ask(codec.ALLOCATE, ALLOCATE) == []
    await world.settle()
    future = world.answers["carol"]
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)  # type: ignore[arg-type]
    await world.settle()
    (sent,) = world.outputs()
    return sent, only(world.refused)


@pytest.mark.parametrize(("answer", "reason", "detail"), HOOKS)
async def test_a_hook_that_lets_nobody_in_says_how(answer: object, reason: Reason, detail: str) -> None:
    """404, another status, no password, silence, no connection; what it answered stands nowhere."""
    _, refused = await refused_by_hook(answer)
    assert (refused.refusal.reason, refused.refusal.detail) == (reason, detail)


async def test_on_the_wire_all_of_them_are_the_same() -> None:
    """Byte by byte: nobody learns which names there are, nor what the hook said."""
    answers = [refused_login(*user, World(**options))[0] for user, options, _, _ in LOGINS if "secrets" not in options]
    answers += [(await refused_by_hook(answer))[0] for answer, _, _ in HOOKS]
    assert len(answers) == 11
    assert len({answer.raw for answer in answers}) == 1


def test_on_the_wire_nobody_is_as_somebody() -> None:
    """Also where all users are static ones, and may be named by a hash, which the nonce says."""
    worlds = (World(hooked=False, secrets=()) for _ in range(2))
    answers = [refused_login(user, "x", world)[0] for user, world in zip(("nobody", "alice"), worlds, strict=True)]
    assert answers[0].raw == answers[1].raw


def test_a_peer_is_denied_by_a_network() -> None:
    """CreatePermission and ChannelBind: 403 with the same bytes for each, and a sentence of its own."""
    channel = [(codec.CHANNEL_NUMBER, b"@\0\0\0")]
    for method, attributes in ((codec.CREATE_PERMISSION, []), (codec.CHANNEL_BIND, channel)):
        answers = set()
        for peer, detail in PEERS.items():
            world = World()
            caller = Caller(world)
            assert caller.allocate() == 0
            answers.add(caller.exchange(caller.sign(method, attributes, (peer, 4000))).raw)
            refused = only(world.refused)
            assert (refused.refusal.reason, refused.refusal.detail) == (Reason.PEER_DENIED, detail)
            assert (refused.code, refused.username, refused.is_login) == (403, "alice", False)
        assert len(answers) == 1


OTHERS: list[tuple[str, Callable[[Caller], object], int, Reason, str]] = [
    ("again", lambda it: it.allocate(), 437, Reason.ALREADY_ALLOCATED, "there is an allocation on this five-tuple"),
    (
        "late",
        lambda it: [it.refresh(0), it.refresh()],
        437,
        Reason.NO_ALLOCATION,
        "there is no allocation on this five-tuple: it has ended, or was never made",
    ),
    (
        "another",
        lambda it: Caller(it.world, 1, "bob", "other").refresh(),
        441,
        Reason.ANOTHER_USER,
        "the allocation is of another user, alice",
    ),
    (
        "quota",
        lambda it: Caller(it.world, 2).allocate(),
        486,
        Reason.USER_QUOTA,
        "alice has 1 sessions, and 1 are the most (limits.allocations_per_user)",
    ),
    (
        "full",
        lambda it: [
            Caller(it.world, 2, "bob", "other").allocate(),
            Caller(it.world, 3, *secret_user("2000:eve")).allocate(),
        ],
        508,
        Reason.SERVER_FULL,
        "there are 2 sessions, and 2 are the most (limits.allocations)",
    ),
    (
        "blocked",
        lambda it: [it.world.rules.block("bob", 2000 * SECOND, 0), Caller(it.world, 2, "bob", "other").allocate()],
        403,
        Reason.BLOCKED,
        "bob is blocked (DELETE /session with block)",
    ),
    (
        "draining",
        lambda it: [setattr(it.world.rules, "draining", True), Caller(it.world, 2, "bob", "other").allocate()],
        508,
        Reason.DRAINING,
        "the server is about to stop, and turn.alternate names no other",
    ),
    (
        "channel",
        lambda it: it.bind(0x7000),
        400,
        Reason.MALFORMED,
        "0x7000 is no channel of 0x4000 to 0x4fff",
    ),
    (
        "taken",
        lambda it: [it.bind(), it.bind(0x4001)],
        400,
        Reason.CHANNEL_TAKEN,
        f"channel 0x4001 or {PEER[0]}:{PEER[1]} is bound to another",
    ),
    (
        "channels",
        lambda it: [it.bind(), it.bind(0x4001, (PEER[0], 4001))],
        508,
        Reason.SESSION_FULL,
        "a session has 1 channels at most (limits.channels)",
    ),
    (
        "family",
        lambda it: it.bind(0x4000, ("2001:db8::1", 1)),
        443,
        Reason.PEER_FAMILY,
        "the allocation has no relay for IPv6, as 2001:db8::1 is",
    ),
    (
        "unknown",
        lambda it: it.ask(codec.REFRESH, [(0x7FFF, b"")]),
        420,
        Reason.NOT_UNDERSTOOD,
        "attributes are not understood that must be: 0x7fff",
    ),
]


@pytest.mark.parametrize(
    ("ask", "code", "reason", "detail"), [other[1:] for other in OTHERS], ids=[other[0] for other in OTHERS]
)
def test_what_the_rules_refuse_they_explain(
    ask: Callable[[Caller], object], code: int, reason: Reason, detail: str
) -> None:
    """Each error has its reason and a sentence with the figures of this case."""
    world = World(sessions=2, sessions_per_user=1, channels=1)
    caller = Caller(world)
    assert caller.allocate() == 0
    ask(caller)
    refused = only(world.refused)
    assert (refused.code, refused.refusal.reason, refused.refusal.detail) == (code, reason, detail)


def test_a_relay_that_no_port_is_left_for() -> None:
    """The Allocate is refused once its last port was tried."""
    world = World(ports=(50000, 50001))
    world.path.refuse = lambda _: osError(98)
    assert Caller(world).allocate() == 508
    refused = only(world.refused)
    assert (refused.code, refused.refusal.reason) == (508, Reason.NO_RELAY_PORT)
    assert (refused.username, refused.is_login) == ("alice", True)


def test_a_copy_is_no_second_refusal() -> None:
    """The same answer again, and nothing is told."""
    world = World()
    caller = Caller(world)
    assert caller.allocate() == 0
    message = caller.sign(codec.CREATE_PERMISSION, [], ("10.0.0.1", 1))
    assert [caller.exchange(message).error for _ in range(3)] == [403, 403, 403]
    assert len(world.refused) == 1


def test_requests_and_answers_are_counted() -> None:
    """By method, and by the error code of what was sent; what Rust answers alone is not among them."""
    world = World()
    caller = Caller(world)
    assert (caller.allocate(), caller.bind(), caller.bind(0x7000), caller.refresh(0)) == (0, 0, 400, 0)
    assert Caller(world, 2, password="wrong").allocate() == 401
    assert world.engine.tally.asked() == {Method.ALLOCATE: 2, Method.CHANNEL_BIND: 2, Method.REFRESH: 1}
    assert world.engine.tally.answers() == {
        (Method.ALLOCATE, 0): 1,
        (Method.ALLOCATE, 401): 1,
        (Method.CHANNEL_BIND, 0): 1,
        (Method.CHANNEL_BIND, 400): 1,
        (Method.REFRESH, 0): 1,
    }
