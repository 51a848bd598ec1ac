"""Users that the server makes up for a test of itself."""

from itertools import count

from hairpin.auth import Authenticator, Passes, SharedSecrets, StaticUsers
from hairpin.auth.passes import LIFE, PASSES, TEST_USER
from hairpin.policy.grants import TEST_RATE, TEST_SECONDS, TEST_SESSIONS, Grants, is_a_test
from hairpin.policy.peers import Host, Peers
from hairpin.stun import Address, Reach
from hairpin.turn.grant import Limits

REALM = "hairpin.test"


def made():
    """Passes, and the clock that they look at."""
    clock, numbers = [0.0], count()
    return Passes(REALM, lambda: clock[0], lambda: f"{next(numbers):018}"), clock


def test_a_pass_is_known_for_a_while():
    """By its name, with the password that was made for it, and as one user for all quotas."""
    passes, clock = made()
    username, password = passes.issue()
    (identity,) = passes.find(username).candidates
    assert (identity.username, identity.password, identity.user) == (username, password, TEST_USER)
    assert passes.find("hairpin-test-") is None
    clock[0] = LIFE - 1
    assert passes.find(username)
    clock[0] = LIFE
    assert passes.find(username) is None


def test_passes_are_so_many_at_most():
    """The oldest goes for one more."""
    passes, _ = made()
    names = [passes.issue()[0] for _ in range(PASSES + 1)]
    assert [passes.find(name) is not None for name in names[:2]] == [False, True]


def test_names_and_passwords_are_drawn_by_chance():
    """Nobody guesses one, and none is like another."""
    passes = Passes(REALM, lambda: 0.0)
    drawn = {text for _ in range(PASSES) for text in passes.issue()}
    assert len(drawn) == 2 * PASSES
    assert all(len(text) >= 24 for text in drawn)


def test_a_pass_is_found_where_nobody_else_may_relay():
    """Without any other users, as with them."""
    passes, _ = made()
    username, password = passes.issue()
    users = Authenticator(StaticUsers({}, REALM), SharedSecrets((), REALM, lambda: 0.0), passes=passes)

    class Asked:
        """An Allocate of that user."""

        method, access_token = 3, None

    Asked.username = username
    assert users.find(Asked, None).candidates[0].password == password


def test_what_a_pass_may_do():
    """It reaches live relays of this server and nothing else, whatever is allowed to others; for a while, slowly."""
    peers = Peers(Host(relays=(("10.0.0.1", "198.51.100.9"),)), ["127.0.0.0/8", "198.51.100.9/32"])
    grants = Grants(Limits(sessions_per_user=500, session_max=9, rate=0), peers)
    passes, _ = made()
    grant = grants.grant(passes.find(passes.issue()[0]).candidates[0])
    assert (grant.limits.sessions_per_user, grant.limits.session_max) == (TEST_SESSIONS, 9)
    assert grant.limits.rate == TEST_RATE
    assert Grants(Limits(), peers).grant(grant.identity).limits.session_max == TEST_SECONDS
    assert grant.mobility is False
    assert grant.reaches("198.51.100.9") == ((0, 65535, Reach.INSIDE),)
    assert all(reach is Reach.INSIDE for _, _, reach in grant.reaches("127.0.0.1"))
    assert grant.reaches("8.8.8.8") == ()
    assert grant.canonical(Address("10.0.0.1", 5)) == Address("198.51.100.9", 5)


def test_a_user_of_that_name_is_like_any_other():
    """Who has credentials under the name that quotas count has the limits of all, and a policy is asked about it."""
    peers, limits = Peers(Host(), []), Limits(sessions_per_user=7, rate=3)
    static = StaticUsers({TEST_USER: "right"}, REALM).find(TEST_USER)
    shared = SharedSecrets(("secret",), REALM, lambda: 0.0).find(f"4000000000:{TEST_USER}", expires=True)
    for known in (static, shared):
        (identity,) = known.candidates
        assert identity.user == TEST_USER
        assert not is_a_test(identity)
        grant = Grants(limits, peers).grant(identity)
        assert grant.limits == limits
        assert grant.reaches("8.8.8.8") != ()
