"""A policy behind the engine: what it is asked, what comes of its words, and what waits for it."""

import asyncio
import struct
from dataclasses import replace

import pytest

import client as codec
from client import mask
from driving import ALLOCATE, PEER, REALM, SECOND, Caller, World
from hairpin import Deny, Peer, Terms, TurnClient
from hairpin.auth.keys import identity
from hairpin.auth.passes import Passes
from hairpin.engine.waiting import QUEUE
from hairpin.policy.grants import Grants
from hairpin.policy.peers import Host, Peers
from hairpin.stun import Request
from hairpin.turn.grant import Limits
from hairpin.turn.refusal import Reason
from policies import Answers, Later

CHANNEL = [(codec.CHANNEL_NUMBER, struct.pack("!HH", 0x4000, 0))]
OTHER = ("203.0.113.6", 4000)
METHODS = (codec.ALLOCATE, codec.CREATE_PERMISSION, codec.CHANNEL_BIND)


def asking(policy: Answers | Later, **limits: int) -> World:
    """A world with this policy."""
    world = World(**limits)
    world.ask_policy(policy)
    return world


async def let_in() -> tuple[Later, World, Caller]:
    """A policy that answers later, and a client that it let in."""
    policy = Later()
    world = asking(policy)
    caller = Caller(world)
    caller.ask(codec.ALLOCATE, ALLOCATE)
    await world.settle()
    policy.asked[0].set_result(True)
    await world.settle()
    assert world.codes() == [(codec.ALLOCATE, 0)]
    return policy, world, caller


def permit(caller: Caller, *peers: tuple[str, int]) -> int:
    """CreatePermission for several peers: the error."""
    transaction = next(caller.transactions).to_bytes(12, "big")
    named = [(codec.XOR_PEER_ADDRESS, mask(peer, transaction)) for peer in peers]
    message = codec.build(codec.CREATE_PERMISSION, transaction, [*named, *caller.claim()], caller.key)
    return caller.exchange(message).error


def test_what_a_policy_is_told() -> None:
    """Who, where from, how and by which session; a peer as an IP with all ports."""
    policy = Answers()
    world = asking(policy)
    caller = Caller(world, tcp=True)
    assert caller.allocate() == caller.bind() == 0
    (session,) = world.rules.sessions.values()
    ip, port = caller.address
    first = TurnClient("alice", "alice", ip, port, "192.0.2.1:3478", "tcp")
    assert policy.clients == [first, TurnClient("alice", "alice", ip, port, "192.0.2.1:3478", "tcp", session.id)]
    assert policy.peers == [Peer(PEER[0])]


@pytest.mark.parametrize("word", [False, Deny("no plan")])
def test_who_may_not_allocate_is_answered_403(word: bool | Deny) -> None:
    """Signed, as an answer to one whose password is right; nothing is left behind."""
    world = asking(Answers(word))
    caller = Caller(world)
    answer = caller.exchange(caller.sign(codec.ALLOCATE, ALLOCATE))
    assert (answer.error, answer.signed(caller.key)) == (403, True)
    assert world.is_empty()
    (refused,) = world.refused
    said = "the policy says no to alice" + (": no plan" if word else "")
    assert (refused.refusal.reason, refused.refusal.detail) == (Reason.POLICY_DENIED, said)


def test_who_has_not_proved_anything_is_not_asked_about() -> None:
    """A wrong password is 401, and the policy hears nothing of it."""
    policy = Answers()
    assert Caller(asking(policy), password="wrong").allocate() == 401
    assert policy.clients == []


@pytest.mark.parametrize("word", [False, Deny("a guest")])
def test_a_peer_that_is_denied_is_answered_403(word: bool | Deny) -> None:
    """For a permission and for a channel; the others are served, and the session lives on."""
    policy = Answers(reach=lambda peer: peer.ip == PEER[0] or word)
    world = asking(policy)
    caller = Caller(world)
    assert caller.allocate() == 0
    assert (permit(caller, OTHER), caller.bind(0x4000, OTHER)) == (403, 403)
    assert (permit(caller, PEER), caller.bind(0x4000, PEER)) == (0, 0)
    assert permit(caller, PEER, OTHER, PEER) == 403, "all of them, or none"
    said = f"the policy says no to {OTHER[0]}" + (": a guest" if word else "")
    assert {refused.refusal.detail for refused in world.refused} == {said}
    assert [peer.ip for peer in policy.peers[-2:]] == [PEER[0], OTHER[0]], "each once, and no more after a no"


@pytest.mark.parametrize("ip", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "255.255.255.255"])
def test_a_policy_opens_nothing_that_the_settings_close(ip: str) -> None:
    """It is not even asked."""
    policy = Answers()
    world = asking(policy)
    caller = Caller(world)
    assert caller.allocate() == 0
    assert caller.bind(0x4000, (ip, 80)) == 403
    assert permit(caller, PEER, (ip, 80)) == 403
    assert {refused.refusal.reason for refused in world.refused} == {Reason.PEER_DENIED}
    assert policy.peers == []


def test_terms_hold_as_long_as_the_session_lives() -> None:
    """Quota, channels, lifetime and end, also after the limits were read again."""
    terms = Terms(allocations_per_user=1, channels=1, lifetime=600, session_max=1000, bytes_per_second=5000)
    world = asking(Answers(terms), channels=9, lifetime_max=7200)
    caller = Caller(world)
    assert (caller.allocate(), Caller(world, 2).allocate()) == (0, 486)
    session = world.rules.sessions[caller.flow]
    assert (session.terms, session.ends) == (terms, world.table.now + 1000 * SECOND)
    world.engine.regrant(caller.flow, world.table.now)
    assert caller.refresh(3000) == 0
    assert session.expires == world.table.now + 600 * SECOND
    assert (caller.bind(0x4000), caller.bind(0x4001, OTHER)) == (0, 508)


def test_terms_may_be_more_than_the_settings_give() -> None:
    """Whose policy it is, its server it is."""
    world = asking(Answers(Terms(allocations_per_user=3)), sessions_per_user=1)
    assert [Caller(world, number).allocate() for number in range(4)] == [0, 0, 0, 486]


def test_what_is_refused_anyway_is_not_asked_about() -> None:
    """A second Allocate (437), one that comes while the server drains (508) or of who is blocked (403)."""
    policy = Answers()
    world = asking(policy, permissions=1)
    caller = Caller(world)
    assert (caller.allocate(), caller.allocate()) == (0, 437)
    assert permit(caller, PEER, OTHER) == 508
    assert permit(caller) == 400
    assert Caller(world, 3).bind() == 437
    world.rules.block("bob", world.table.now + SECOND, world.table.now)
    assert Caller(world, 2, "bob", "other").allocate() == 403
    world.rules.draining = True
    assert Caller(world, 4).allocate() == 508
    assert len(policy.clients) == 1


def test_an_allocate_that_failed_for_another_reason_is_asked_about_once() -> None:
    """Its session has begun on these terms."""
    policy = Answers(Terms(channels=3))
    world = asking(policy)
    caller = Caller(world)
    assert caller.ask(codec.ALLOCATE, [(codec.TRANSPORT, bytes([6, 0, 0, 0]))]) == [(codec.ALLOCATE, 442)]
    assert caller.allocate() == 0
    assert len(policy.clients) == 1
    assert world.rules.sessions[caller.flow].terms == Terms(channels=3)


def test_a_copy_is_not_asked_about_again() -> None:
    """It gets the answer that was given, though the policy would say no by now."""
    policy = Answers()
    caller = Caller(asking(policy))
    assert caller.allocate() == 0
    for message, code in (
        (caller.sign(codec.CREATE_PERMISSION, [], PEER), 0),
        (caller.sign(codec.CHANNEL_BIND, CHANNEL, OTHER), 403),
    ):
        policy.reach = not code
        assert [caller.exchange(message).error for _ in range(3)] == [code] * 3
        policy.reach = bool(code)
        assert caller.exchange(message).error == code
    assert len(policy.peers) == 2


def test_refreshes_are_not_asked_about() -> None:
    """What was agreed on holds; to end a session there is DELETE."""
    policy = Answers()
    caller = Caller(asking(policy))
    assert caller.allocate() == 0
    policy.allocate = policy.reach = False
    assert (caller.refresh(600), caller.refresh(0)) == (0, 0)
    assert len(policy.clients) == 1


def test_the_server_s_own_tests_are_no_matter_of_the_policy() -> None:
    """Neither those in which it is its own client, nor those from the dashboard: a strict policy made them fail."""
    policy = Answers(False, False)
    world = asking(policy)
    own, passes = replace(identity("own", "secret", REALM), internal=True), Passes(REALM, world.seconds)
    world.engine.authenticator = replace(world.engine.authenticator, internal=own, passes=passes)
    for number, credentials in enumerate([("own", "secret"), passes.issue()]):
        assert Caller(world, number, *credentials).allocate() == 0
    assert Caller(world, 2).allocate() == 403
    assert [client.user for client in policy.clients] == ["alice"]


@pytest.mark.parametrize("method", ["may_allocate", "may_reach"])
def test_methods_that_a_policy_lacks_allow(method: str) -> None:
    """The other one is asked all the same."""

    class Half:
        pass

    setattr(Half, method, lambda *_: False)
    world = World()
    world.ask_policy(Half())  # type: ignore[arg-type]
    caller = Caller(world)
    assert caller.allocate() == (403 if method == "may_allocate" else 0)
    if method == "may_reach":
        assert caller.bind() == 403


async def test_a_policy_that_waits_holds_up_nobody_else() -> None:
    """Other clients are served meanwhile, those of the same user, too."""
    policy = Later()
    world = asking(policy)
    slow, quick = Caller(world, 1), Caller(world, 2)
    for caller in (slow, quick):
        assert caller.ask(codec.ALLOCATE, ALLOCATE) == []
        await world.settle()
    policy.asked[1].set_result(True)
    await world.settle()
    assert world.codes() == [(codec.ALLOCATE, 0)]
    policy.asked[0].set_result(Deny())
    await world.settle()
    assert world.codes() == [(codec.ALLOCATE, 403)]
    assert len(world.rules.sessions) == 1


async def test_requests_of_a_flow_are_judged_in_their_order() -> None:
    """Each waits for the one before it, though each waits for the policy anew; copies are one request."""
    policy = Later()
    world = asking(policy)
    caller = Caller(world)
    messages = [
        caller.sign(codec.ALLOCATE, ALLOCATE),
        caller.sign(codec.CREATE_PERMISSION, [], PEER),
        caller.sign(codec.CHANNEL_BIND, CHANNEL, PEER),
        caller.sign(codec.REFRESH, []),
    ]
    for message in (*messages, *messages):
        caller.raw(message)
        world.drain()
    for number, method in enumerate(METHODS):
        await world.settle()
        assert (len(policy.asked), world.codes()) == (number + 1, [])
        policy.asked[number].set_result(True)
        for _ in range(20):
            await asyncio.sleep(0)
        answers = [(method, 0)] if method != codec.CHANNEL_BIND else [(method, 0), (codec.REFRESH, 0)]
        assert world.codes() == answers
    assert len(policy.asked) == 3
    assert [event.kind for event in world.events] == ["allocated", "create_permission", "channel_bind", "refresh"]


async def test_a_policy_after_the_hook() -> None:
    """First the password is waited for, then the policy; what came behind the request still is behind it."""
    policy = Later()
    world = asking(policy)
    caller = Caller(world, user="slow")
    for message in (caller.sign(codec.ALLOCATE, ALLOCATE), caller.sign(codec.REFRESH, [])):
        caller.raw(message)
        world.drain()
    await world.settle()
    assert policy.asked == []
    world.answers["slow"].set_result((200, b"secret"))
    await world.settle()
    assert (len(policy.asked), world.codes()) == (1, [])
    policy.asked[0].set_result(True)
    await world.settle()
    assert world.codes() == [(codec.ALLOCATE, 0), (codec.REFRESH, 0)]


async def test_the_time_is_taken_anew_after_the_policy() -> None:
    """A lease begins when the request is judged, not when it came."""
    policy = Later()
    world = World()
    world.ask_policy(policy, deadline=1000)
    caller = Caller(world)
    caller.ask(codec.ALLOCATE, ALLOCATE)
    await world.settle()
    world.table.now += 100 * SECOND
    policy.asked[0].set_result(True)
    await world.settle()
    assert world.rules.sessions[caller.flow].expires == world.table.now + 600 * SECOND


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_a_client_that_leaves_meanwhile_leaves_nothing(tcp: bool) -> None:
    """Its flow is gone when the policy lets it in: no session, no port, no answer."""
    policy = Later()
    world = asking(policy)
    caller = Caller(world, tcp=tcp)
    caller.raw(caller.sign(codec.ALLOCATE, ALLOCATE))
    (request,) = world.table.drain(10)
    assert isinstance(request, Request)
    world.engine._request(request, world.table.now)
    await world.settle()
    world.table.close(request.flow, True, 0)
    policy.asked[0].set_result(True)
    await world.settle()
    assert world.codes() == []
    assert world.is_empty()


async def test_a_session_that_ends_meanwhile_gets_437() -> None:
    """The peer that the policy allows is one of an allocation that is no more."""
    policy, world, caller = await let_in()
    caller.ask(codec.CREATE_PERMISSION, [], PEER)
    await world.settle()
    session = world.rules.sessions[caller.flow]
    world.engine._apply(world.rules.state.close(session, "gone", world.table.now), world.table.now)
    policy.asked[1].set_result(True)
    await world.settle()
    assert world.codes() == [(codec.CREATE_PERMISSION, 437)]


async def test_settings_that_are_read_again_meanwhile_hold() -> None:
    """A peer that was open when the policy was asked is closed when it answers: 403."""
    policy, world, caller = await let_in()
    caller.ask(codec.CREATE_PERMISSION, [], PEER)
    await world.settle()
    world.engine.grants = Grants(Limits(), Peers(Host(), deny=["203.0.113.0/24"]))
    policy.asked[1].set_result(True)
    await world.settle()
    assert world.codes() == [(codec.CREATE_PERMISSION, 403)]


async def test_more_than_a_flow_may_have_waiting_is_dropped() -> None:
    """A client that sends on and on while the policy thinks is asked about as often as its queue is long."""
    policy, world, caller = await let_in()
    for _ in range(3 * QUEUE):
        caller.raw(caller.sign(codec.CREATE_PERMISSION, [], PEER))
        world.drain()
        await world.settle()
    for answered in range(1, QUEUE + 1):
        assert len(policy.asked) == answered + 1
        policy.asked[answered].set_result(False)
        await world.settle()
    assert world.codes() == [(codec.CREATE_PERMISSION, 403)] * QUEUE
    assert len(policy.asked) == QUEUE + 1


async def test_what_comes_behind_one_who_is_turned_away_is_not_asked_about() -> None:
    """Over UDP its flow is closed, and nobody would hear the answer."""
    policy = Later()
    world = asking(policy)
    caller = Caller(world)
    for _ in range(3):
        caller.raw(caller.sign(codec.ALLOCATE, ALLOCATE))
        world.drain()
    await world.settle()
    policy.asked[0].set_result(False)
    await world.settle()
    assert world.codes() == [(codec.ALLOCATE, 403)]
    assert len(policy.asked) == 1


async def test_over_tcp_what_comes_behind_one_who_is_turned_away_is_answered() -> None:
    """Its connection goes on, and no copy comes over one: each request has its answer (RFC 8489, section 6.3.1)."""
    policy = Later()
    world = asking(policy)
    caller = Caller(world, tcp=True)
    for message in (
        caller.sign(codec.ALLOCATE, ALLOCATE),
        caller.sign(codec.REFRESH, []),
        caller.sign(codec.ALLOCATE, ALLOCATE),
    ):
        caller.raw(message)
        world.drain()
    await world.settle()
    policy.asked[0].set_result(False)
    await world.settle()
    assert world.codes() == [(codec.ALLOCATE, 403), (codec.REFRESH, 437)]
    policy.asked[1].set_result(True)
    await world.settle()
    assert world.codes() == [(codec.ALLOCATE, 0)]
    assert len(world.rules.sessions) == 1


async def test_a_tcp_client_that_leaves_while_it_waits_leaves_nothing_behind_it_either() -> None:
    """What it had sent behind its refused Allocate is let in too late: no session, no port, no answer."""
    policy = Later()
    world = asking(policy)
    caller = Caller(world, tcp=True)
    for _ in range(2):
        caller.raw(caller.sign(codec.ALLOCATE, ALLOCATE))
    requests = world.table.drain(10)
    for request in requests:
        assert isinstance(request, Request)
        world.engine._request(request, world.table.now)
    await world.settle()
    policy.asked[0].set_result(False)
    await world.settle()
    assert world.codes() == [(codec.ALLOCATE, 403)]
    world.table.close(request.flow, True, 0)
    policy.asked[1].set_result(True)
    await world.settle()
    assert world.codes() == []
    assert world.is_empty()


async def test_the_end_gives_up_what_waits() -> None:
    """A stop waits for no policy."""
    policy = Later()
    world = World()
    calls = world.ask_policy(policy, deadline=1000)
    Caller(world).ask(codec.ALLOCATE, ALLOCATE)
    await world.settle()
    await world.engine.stop()
    assert policy.asked[0].cancelled()
    assert calls.failures == {}
    assert len(world.rules.sessions) == 0
