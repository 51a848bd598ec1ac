"""Allocate: RFC 8656, section 7."""

from dataclasses import replace

import pytest

from hairpin.stun import Address, Attribute, Method
from hairpin.turn.effects import Close, InstallKey, Notify, OpenRelay, Refused, Reply
from hairpin.turn.grant import MD5
from hairpin.turn.settings import ListenerSettings
from turning import (
    INTERFACE,
    RELAY_IP,
    RELAY_IP6,
    SECOND,
    SETTINGS,
    UDP,
    World,
    error,
    identity,
    only,
    reply,
    told,
    wire,
)


def test_success() -> None:
    """RFC 8656, 7.2: the answer names the announced relay, its lifetime and the client; it waits for the bind."""
    world = World()
    asked = world.ask(1, Method.ALLOCATE, UDP)
    assert [type(effect) for effect in asked] == [InstallKey, OpenRelay]
    assert asked[0] == InstallKey(1, "alice", MD5, identity("alice").key, 0)
    answered = world.server.relay_opened(1, world.now)
    assert [type(effect) for effect in answered] == [Notify, Reply]
    relay = world.relay(1)
    assert reply(answered) == {
        Attribute.XOR_RELAYED_ADDRESS: relay,
        Attribute.LIFETIME: 600,
        Attribute.XOR_MAPPED_ADDRESS: Address("198.51.100.1", 1001),
        Attribute.SOFTWARE: "hairpin/test",
    }
    assert told(answered) == [("allocated", {"port": relay.port})]
    assert asked[1] == OpenRelay(1, Address("10.9.9.9", relay.port), relay, world.now + 600 * SECOND)
    assert (relay.ip, relay.port in range(49152, 65536)) == (RELAY_IP, True)
    assert world.session(1).interface == INTERFACE
    assert only(answered, Reply)[0].key == identity("alice").key


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ((), 400),
        (((Attribute.REQUESTED_TRANSPORT, 6),), 442),
        (((Attribute.REQUESTED_TRANSPORT, 0),), 442),
        ((UDP, (Attribute.REQUESTED_ADDRESS_FAMILY, 3)), 440),
        ((UDP, (Attribute.REQUESTED_ADDRESS_FAMILY, 0)), 440),
    ],
)
def test_refused(attributes: tuple[tuple[int, int], ...], code: int) -> None:
    """RFC 8656, 7.2: no transport 400, another one 442, another family 440; the session has begun and holds no port."""
    world = World()
    effects = world.ask(1, Method.ALLOCATE, *attributes)
    assert [type(effect) for effect in effects] == [InstallKey, Reply, Refused]
    assert error(effects) == code
    assert (world.session(1).allocation, world.server.ports_allocated(4)) == (None, 0)
    assert error(world.allocate(1)) is None


@pytest.mark.parametrize(("family", "ip"), [(None, RELAY_IP), (1, RELAY_IP), (2, RELAY_IP6)])
def test_family(family: int | None, ip: str) -> None:
    """RFC 8656, 7.2: the family that was asked for, IPv4 where none was."""
    world = World()
    world.allocate(1, *(() if family is None else ((Attribute.REQUESTED_ADDRESS_FAMILY, family),)))
    assert world.relay(1).ip == ip


def test_family_without_relay() -> None:
    """RFC 8656, 7.2: 440 for a family that the listener has no relay for."""
    world = World(replace(SETTINGS, listeners=(ListenerSettings(INTERFACE, {4: SETTINGS.listeners[0].relays[4]}),)))
    assert error(world.allocate(1, (Attribute.REQUESTED_ADDRESS_FAMILY, 2))) == 440


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 600), (0, 600), (1, 600), (600, 600), (601, 601), (3600, 3600), (2**32 - 1, 3600)]
)
def test_lifetime(asked: int | None, granted: int) -> None:
    """RFC 8656, 7.2: at least 600 s, at most the limit, and the lease of the relay is the life of the allocation."""
    world = World()
    effects = world.allocate(1, *(() if asked is None else ((Attribute.LIFETIME, asked),)))
    expires = world.now + granted * SECOND
    assert reply(effects)[Attribute.LIFETIME] == granted
    assert {only(effects, OpenRelay)[0].deadline, world.allocation(1).expires, world.session(1).expires} == {expires}


def test_lifetime_ends_with_the_session() -> None:
    """A session that has an end grants no lifetime beyond it, and says so."""
    world = World(session_max=700)
    world.now += 5
    assert reply(world.allocate(1, (Attribute.LIFETIME, 3600)))[Attribute.LIFETIME] == 700
    world.now += 650 * SECOND
    assert reply(world.refresh(1))[Attribute.LIFETIME] == 50
    world.now += 50 * SECOND
    effects = world.server.expire(world.now)
    assert effects[0] == Close(1, disconnect=True)
    assert told(effects) == [("closed", {"reason": "session_max"})]


def test_second_allocate() -> None:
    """RFC 8656, 7.2: a five-tuple has one allocation; 437 whoever asks for another, and the first one is untouched."""
    world = World()
    world.allocate(1)
    relay = world.relay(1)
    for user in ("alice", "bob"):
        effects = world.allocate(1, user=user)
        assert (error(effects), only(effects, Reply)[0].key) == (437, identity(user).key)
    assert (world.relay(1), world.session(1).identity) == (relay, identity("alice"))


def test_retransmission() -> None:
    """RFC 8489, 6.3.1: a copy gets the same answer for 40 s and has no second effect; while the first waits, none."""
    world = World()
    message = world.message(Method.ALLOCATE, UDP)
    world.send(1, message)
    assert world.send(1, message) == []
    (first,) = only(world.server.relay_opened(1, world.now), Reply)
    world.now += 40 * SECOND - 1
    assert world.send(1, message) == [first]
    world.now += 1
    assert error(world.send(1, message)) == 437


def test_another_allocate_while_the_first_waits() -> None:
    """RFC 8656, 7.2: another transaction on the five-tuple is too late already: 437."""
    world = World()
    world.ask(1, Method.ALLOCATE, UDP)
    assert error(world.ask(1, Method.ALLOCATE, UDP)) == 437
    assert error(world.refresh(1)) == 437
    assert error(world.server.relay_opened(1, world.now)) is None


def test_another_user_takes_over_a_session_without_allocation() -> None:
    """A five-tuple without an allocation is whose credentials came last; both count in no quota but their own."""
    world = World()
    world.ask(1, Method.ALLOCATE)
    effects = world.allocate(1, user="bob")
    assert [type(effect) for effect in effects] == [InstallKey, Notify, OpenRelay, Notify, Reply]
    assert told(effects)[0] == ("closed", {"reason": "replaced"})
    assert (world.session(1).identity.user, world.server.state.users) == ("bob", {"bob": 1})


def test_quota() -> None:
    """RFC 8656, 7.2: 486 for a user that has enough, signed, and nothing is left of it; others are served."""
    world = World(sessions_per_user=2)
    assert [error(world.allocate(flow)) for flow in (1, 2, 3)] == [None, None, 486]
    assert 3 not in world.server.sessions
    assert error(world.allocate(4, user="bob")) is None
    world.refresh(1, 0)
    assert error(world.allocate(3)) is None


def test_quota_counts_sessions() -> None:
    """A session counts from its first proved Allocate on, also from one that failed, for the 60 s that it lives."""
    world = World(sessions_per_user=1)
    world.ask(1, Method.ALLOCATE)
    assert error(world.allocate(2)) == 486
    world.now += 60 * SECOND
    assert error(world.allocate(2)) is None
    assert list(world.server.sessions) == [2]


def test_total() -> None:
    """RFC 8656, 7.2: 508 when the server holds as many sessions as it may."""
    world = World(sessions=1)
    assert [error(world.allocate(1)), error(world.allocate(2, user="bob"))] == [None, 508]
    assert list(world.server.sessions) == [1]


def test_blocked() -> None:
    """RFC 8656, 7.2: 403 for a user who was thrown out, until then, and no session; also where one had begun."""
    world = World()
    world.ask(2, Method.ALLOCATE)
    world.server.block("alice", world.now + SECOND, world.now)
    assert [error(world.allocate(1)), error(world.allocate(2))] == [403, 403]
    assert error(world.allocate(3, user="bob")) is None
    world.now += SECOND
    assert error(world.allocate(1)) is None


def test_a_lapsed_block_leaves_nothing() -> None:
    """It is gone when the next user is blocked; those that hold stay."""
    world = World()
    for number in range(100):
        world.server.block(f"user{number}", world.now + SECOND, world.now)
    world.server.block("bob", world.now + 3 * SECOND, world.now)
    world.now += SECOND
    world.server.block("alice", world.now + SECOND, world.now)
    assert set(world.server.state.blocked) == {"alice", "bob"}


HERE, THERE = Address("203.0.113.1", 3478), Address("2001:db8::9", 3478)


@pytest.mark.parametrize("algorithm", [None, 1, 2])
@pytest.mark.parametrize("domain", [None, "other.example.org"])
@pytest.mark.parametrize(
    ("alternate", "told"), [((), ()), ((HERE,), (HERE,)), ((THERE,), ()), ((THERE, HERE), (HERE, THERE))]
)
def test_rfc8489_10_who_cannot_be_served_is_sent_elsewhere(
    alternate: tuple[Address, ...], told: tuple[Address, ...], domain: str | None, algorithm: int | None
) -> None:
    """300, signed, with a server of the client's family first, else 508; what lives goes on.

    The name in that server's certificate is told to those who sign with SHA-256.
    """
    world = World(replace(SETTINGS, alternate=alternate, alternate_domain=domain))
    world.allocate(1)
    world.server.draining = True
    chosen = () if algorithm is None else ((Attribute.PASSWORD_ALGORITHM, algorithm),)
    (answer,) = only(world.ask(2, Method.ALLOCATE, UDP, *chosen), Reply)
    (number, _), *more = (value for _, value in answer.attributes)
    name = [domain] if told and domain and algorithm else []
    assert (number, more) == (300 if told else 508, [*told, *name])
    assert answer.key == identity("alice").key
    assert error(world.refresh(1)) is None
    assert list(world.server.sessions) == [1]


def test_next_port() -> None:
    """RFC 8656, 7.2: a port that cannot be bound is passed over; each was tried once before it is 508."""
    world = World(replace(SETTINGS, ports=(50000, 50003)))
    tried = only(world.ask(1, Method.ALLOCATE, UDP), OpenRelay)
    while again := only(effects := world.server.relay_refused(1, world.now, exhausted=False), OpenRelay):
        tried += again
    assert sorted(relay.external.port for relay in tried) == [50000, 50001, 50002, 50003]
    assert (error(effects), world.server.ports_allocated(4), world.session(1).allocation) == (508, 0, None)
    assert error(world.allocate(1)) is None


def test_exhausted() -> None:
    """508 at once where no other port would do, and a copy of the request is answered alike."""
    world = World()
    message = world.message(Method.ALLOCATE, UDP)
    world.send(1, message)
    effects = world.server.relay_refused(1, world.now, exhausted=True)
    assert (error(effects), world.send(1, message)) == (508, only(effects, Reply))


def test_no_port_left() -> None:
    """RFC 8656, 7.2: 508 when every port is taken."""
    world = World(replace(SETTINGS, ports=(50000, 50001)))
    assert [error(world.allocate(flow)) for flow in (1, 2, 3)] == [None, None, 508]
    assert [world.server.ports_allocated(version) for version in (4, 6)] == [2, 0]
    assert [world.server.ports_capacity(version) for version in (4, 6)] == [2, 2]


def test_even_port() -> None:
    """RFC 8656, 7.2: EVEN-PORT gets even ports, resting ones when no other is left, then 508."""
    world = World(replace(SETTINGS, ports=(50000, 50003)))
    assert [error(world.allocate(flow, (Attribute.EVEN_PORT, 0))) for flow in (1, 2, 3)] == [None, None, 508]
    assert {world.relay(flow).port for flow in (1, 2)} == {50000, 50002}
    world.refresh(1, 0)
    assert error(world.allocate(4, (Attribute.EVEN_PORT, 0))) is None
    assert error(world.allocate(5)) is None
    assert world.relay(5).port % 2 == 1


def test_late_news_of_a_relay() -> None:
    """A relay that was bound for a session which is gone changes nothing."""
    world = World()
    world.ask(1, Method.ALLOCATE, UDP)
    world.server.closed(1, "gone", world.now)
    assert world.server.relay_opened(1, world.now) == world.server.relay_refused(1, world.now, exhausted=False) == []
    assert (world.server.state.relays, world.server.ports_allocated(4)) == ({}, 0)


def test_dont_fragment() -> None:
    """RFC 8656, 7.2: DF can be set here, so that DONT-FRAGMENT in an Allocate is understood."""
    world = World()
    effects = world.send(1, wire(Method.ALLOCATE, (0x0019, b"\x11\0\0\0"), (Attribute.DONT_FRAGMENT, b"")))
    assert [type(effect) for effect in effects] == [InstallKey, OpenRelay]
    assert error(world.send(2, wire(Method.ALLOCATE, (Attribute.DONT_FRAGMENT, b"what")))) == 400


@pytest.mark.parametrize("code", [0x0021, 0x7FFF])
def test_unknown_attribute(code: int) -> None:
    """RFC 8489, 6.3.1: 420 with all that we do not understand."""
    world = World()
    effects = world.send(1, wire(Method.ALLOCATE, (code, b""), (0x7ABC, b"abc"), (code, b""), (0x8123, b"fine")))
    assert (error(effects), reply(effects)[Attribute.UNKNOWN_ATTRIBUTES]) == (420, (code, 0x7ABC))
    assert only(effects, Reply)[0].key == identity("alice").key


def test_many_unknown_attributes() -> None:
    """The 420 names some of them: 16,000 codes in each answer that is kept for a retransmission would be megabytes."""
    world = World()
    effects = world.send(1, wire(Method.ALLOCATE, *((code, b"") for code in range(0x1000, 0x4E00))))
    assert reply(effects)[Attribute.UNKNOWN_ATTRIBUTES] == tuple(range(0x1000, 0x1000 + 64))
    (kept,) = world.session(1).transactions.values()
    assert len(dict(kept.attributes)[Attribute.UNKNOWN_ATTRIBUTES]) == 64  # type: ignore[arg-type]


def test_malformed_attribute() -> None:
    """RFC 8489, 6.3.1: 400 for a known attribute that cannot be read, also where no rule would look at it."""
    world = World()
    good = (Attribute.REQUESTED_TRANSPORT, b"\x11\0\0\0")
    assert error(world.send(1, wire(Method.ALLOCATE, good, (Attribute.LIFETIME, b"\0")))) == 400


def test_first_attribute_counts() -> None:
    """RFC 8489, 14: of an attribute that stands twice the first one counts."""
    world = World()
    effects = world.allocate(1, (Attribute.LIFETIME, 700), (Attribute.LIFETIME, 800))
    assert reply(effects)[Attribute.LIFETIME] == 700


@pytest.mark.parametrize("method", [Method.BINDING, 0x0FF])
def test_unknown_method(method: int) -> None:
    """RFC 8489, 6.3: an unknown method is not answered and begins nothing."""
    world = World()
    assert (world.ask(1, method), dict(world.server.sessions)) == ([], {})  # type: ignore[arg-type]
