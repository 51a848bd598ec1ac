"""A Grant is made of who it is, the limits and the peers in force."""

import pytest

from hairpin.policy.grants import Grants
from hairpin.policy.peers import Host, Peers
from hairpin.stun import Address, Reach
from hairpin.turn.errors import Forbidden
from hairpin.turn.grant import Identity, Limits


def test_grant() -> None:
    """A grant holds identity and limits, names a relay of ours by its announced address, and refuses with 403."""
    alice = Identity("alice", "alice", "secret", b"key")
    host = Host(relays=(("172.31.0.1", "198.18.0.1"),))
    grant = Grants(Limits(permissions=3), Peers(host, deny=["8.8.8.8"])).grant(alice)
    assert (grant.identity, grant.limits.permissions) == (alice, 3)
    assert grant.peer(Address("172.31.0.1", 50000)) == (
        Address("198.18.0.1", 50000),
        Reach.INSIDE,
        ((0, 65535, Reach.INSIDE),),
    )
    assert grant.peer(Address("9.9.9.9", 1)) == (Address("9.9.9.9", 1), Reach.OUTSIDE, ((0, 65535, Reach.OUTSIDE),))
    assert grant.mobility
    with pytest.raises(Forbidden, match=r"8\.8\.8\.8 is in 8\.8\.8\.8/32, which peers\.deny names"):
        grant.peer(Address("8.8.8.8", 1))


def test_mobility_is_for_the_users_named() -> None:
    """Where some are named others are left out; one of TURN REST credentials is meant by its part after the colon."""
    grants = Grants(Limits(), Peers(Host()), frozenset({"alice"}))
    for identity, mobile in (
        (Identity("alice", "alice", "secret", b"key"), True),
        (Identity("1700000000:alice", "alice", "secret", b"key"), True),
        (Identity("bob", "bob", "secret", b"key"), False),
    ):
        assert grants.grant(identity).mobility is mobile


def test_the_servers_own_sessions_have_no_quota_and_meet_inside() -> None:
    """Whatever the settings say of users and peers."""
    host = Host(relays=(("172.31.0.1", "198.18.0.1"),))
    limits, deny = Limits(sessions=1, sessions_per_user=1, rate=1), ["0.0.0.0/0"]
    own = Identity("made-up", "made-up", "secret", b"key", internal=True)
    grant = Grants(limits, Peers(host, deny=deny), inside=Peers(host)).grant(own)
    assert (grant.limits.sessions, grant.limits.sessions_per_user, grant.limits.rate) == (0, 0, 0)
    assert grant.peer(Address("198.18.0.1", 50000))[1] is Reach.INSIDE
    assert not grant.mobility
    with pytest.raises(Forbidden):
        grant.peer(Address("127.0.0.1", 50000))
