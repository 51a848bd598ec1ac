"""What the rules make of a policy's ruling, which the Grant carries."""

from hairpin.stun import Attribute, Method
from hairpin.turn.errors import Forbidden, InsufficientCapacity
from hairpin.turn.grant import Ruling
from hairpin.turn.terms import Terms
from turning import OTHER_PEER, PEER, SECOND, UDP, World, error, told

NOBODY: frozenset[str] = frozenset()


def test_who_may_not_allocate_leaves_no_trace() -> None:
    """The answer is the one of the ruling, and no session has begun."""
    world = World()
    for refusal, code in ((Forbidden("no"), 403), (InsufficientCapacity("no"), 508)):
        world.ruling = Ruling(refusal=refusal)
        assert error(world.ask(1, Method.ALLOCATE, UDP)) == code
        assert not world.server.sessions
        assert not world.server.state.users


def test_what_the_rules_refuse_they_refuse_for_their_own_reason() -> None:
    """437 where there is an allocation, 300 or 508 while the server drains, whatever the ruling is."""
    world = World()
    world.allocate(1)
    world.ruling = Ruling(refusal=Forbidden("no"))
    assert error(world.ask(1, Method.ALLOCATE, UDP)) == 437
    world.server.draining = True
    assert error(world.ask(2, Method.ALLOCATE, UDP)) == 508


def test_a_session_that_has_begun_is_not_refused_again() -> None:
    """An Allocate that failed has begun one: the next one goes on with it."""
    world = World()
    assert error(world.ask(1, Method.ALLOCATE, (Attribute.REQUESTED_TRANSPORT, 6))) == 442
    world.ruling = Ruling(refusal=Forbidden("no"))
    assert error(world.allocate(1)) is None


def test_terms_stay_with_the_session() -> None:
    """They are those of the Allocate that began it; the end of a session is among them."""
    world, terms = World(session_max=1800), Terms(session_max=1800)
    world.ruling = Ruling(terms)
    world.allocate(1)
    world.ruling = Ruling()
    world.allocate(2)
    assert [world.session(flow).terms for flow in (1, 2)] == [terms, Terms()]
    assert world.session(1).ends == world.now + 1800 * SECOND


def test_peers_are_those_that_were_agreed_on() -> None:
    """All peers of a CreatePermission, or none (RFC 8656, section 10.2); and so for a channel."""
    world = World()
    world.allocate(1)
    world.ruling = Ruling(peers=frozenset({PEER.ip}))
    assert error(world.permit(1, PEER, OTHER_PEER)) == 403
    assert not world.allocation(1).permissions
    assert error(world.bind(1, 0x4000, OTHER_PEER)) == 403
    effects = world.permit(1, PEER)
    assert error(effects) is None
    assert told(effects) == [("create_permission", {"ports": (PEER.port,)})]
    assert error(world.bind(1, 0x4000, PEER)) is None


def test_the_error_of_a_peer_comes_after_those_of_the_allocation() -> None:
    """437 and 441 first, as without a policy (RFC 8656, section 5)."""
    world = World()
    world.ruling = Ruling(peers=NOBODY)
    assert error(world.permit(1, PEER)) == 437
    world.allocate(1)
    assert error(world.permit(1, PEER, user="bob")) == 441
    assert error(world.permit(1, PEER)) == 403


def test_a_copy_gets_the_same_answer() -> None:
    """Whatever the policy says by then (RFC 8489, section 6.3.1)."""
    world = World()
    world.allocate(1)
    message = world.message(Method.CREATE_PERMISSION, (Attribute.XOR_PEER_ADDRESS, PEER))
    assert error(world.send(1, message)) is None
    world.ruling = Ruling(peers=NOBODY)
    assert error(world.send(1, message)) is None
    assert error(world.permit(1, PEER)) == 403
