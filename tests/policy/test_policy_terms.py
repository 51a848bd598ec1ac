"""What a policy may answer, what that means, and what it makes of a Grant."""

from typing import Any

import pytest

from hairpin import Deny, EndedSession, Policy, Terms, TurnClient
from hairpin.policy.answers import FORMS, METHODS, AnswerError, Failure, Why, Word, implemented, read, refusal
from hairpin.policy.grants import Grants
from hairpin.policy.peers import Host, Peers
from hairpin.stun import Address
from hairpin.turn.errors import Forbidden, InsufficientCapacity
from hairpin.turn.grant import Grant, Identity, Limits, Ruling
from hairpin.turn.terms import USUAL

ALICE = Identity("1700000000:alice", "alice", "secret", b"key")
PEER, OTHER = Address("203.0.113.5", 4000), Address("203.0.113.6", 4000)


class Empty(Policy):
    """Has nothing of its own."""


class Half:
    """Derives from nothing, and has two methods."""

    def may_reach(self, *_: object) -> bool:
        """Never."""
        return False

    async def session_ended(self, session: EndedSession) -> None:
        """Whatever."""


@pytest.mark.parametrize(("method", "said", "meant"), [
    ("may_allocate", True, USUAL),
    ("may_allocate", False, Deny()),
    ("may_allocate", Deny("no plan"), Deny("no plan")),
    ("may_allocate", Terms(channels=2), Terms(channels=2)),
    ("may_reach", True, USUAL),
    ("may_reach", False, Deny()),
    ("may_reach", Deny("a guest"), Deny("a guest")),
    ("session_ended", None, USUAL),
    ("session_ended", "whatever", USUAL),
])  # fmt: skip
def test_what_an_answer_means(method: str, said: object, meant: object) -> None:
    """Yes, no, no for a reason, or yes on terms; the answer of `session_ended` is nobody's business."""
    assert read(method, said) == meant


@pytest.mark.parametrize("said", [None, 1, 0, "yes", "", {}, object(), Terms, Deny, ("allow",)])
@pytest.mark.parametrize("method", list(FORMS))
def test_no_other_answer_opens_anything(method: str, said: object) -> None:
    """Not even one that Python takes for true; the error names the type, never the value."""
    with pytest.raises(AnswerError, match=f"^{method} answered with a {type(said).__name__}; it may answer True, Fals"):
        read(method, said)


def test_terms_are_no_answer_about_a_peer() -> None:
    """They are agreed on when a session begins."""
    with pytest.raises(AnswerError):
        read("may_reach", Terms(channels=2))


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        ({"permissions": 0}, "permissions must be a whole number from 1 to 4294967295, not 0"),
        ({"channels": 0}, "channels must be"),
        ({"connections": 0}, "connections must be"),
        ({"lifetime": 599}, "lifetime must be a whole number from 600"),
        ({"session_max": -1}, "session_max must be a whole number from 0"),
        ({"bytes_per_second": 2**32}, "bytes_per_second must be"),
        ({"allocations_per_user": "3"}, "allocations_per_user must be a whole number from 0 to 4294967295, not '3'"),
        ({"session_max": 1.5}, "session_max must be"),
    ],
)
def test_terms_that_no_limit_can_be(terms: dict[str, Any], problem: str) -> None:
    """They are refused where they are made, in the policy."""
    with pytest.raises(ValueError, match=f"^{problem}"):
        Terms(**terms)


def test_methods_of_a_policy() -> None:
    """Those that it has of its own: what it inherits from Policy is not asked."""
    assert implemented(Empty()) == frozenset()
    assert implemented(Half()) == {"may_reach", "session_ended"}
    assert implemented(object()) == frozenset()


async def test_the_methods_of_policy_itself_allow() -> None:
    """Whoever calls `super()` gets an answer that may be given."""
    client = TurnClient("u", "u", "198.51.100.1", 1, "192.0.2.1:3478", "udp")
    for method in FORMS:
        arguments = (client,) * (1 + (method == "may_reach"))
        assert read(method, getattr(Empty(), method)(*arguments)) == USUAL
    assert (*FORMS, "session_ended") == METHODS


def test_what_a_client_is_answered() -> None:
    """403 for a no; where nobody has answered 508 for an allocation, 403 for a peer."""
    assert refusal(USUAL, "alice") is None
    assert told(Deny("no plan")) == (403, "policy_denied", "the policy says no to alice: no plan")
    assert told(Deny()) == (403, "policy_denied", "the policy says no to alice")
    for why in Why:
        said = f"the policy gave no answer about alice ({why.value})"
        assert told(Failure("may_allocate", why)) == (508, "policy_failed", said)
        assert told(Failure("may_reach", why)) == (403, "policy_failed", said)


def test_a_long_reason_is_cut() -> None:
    """Whoever writes one does not fill the memory of refusals."""
    assert len(told(Deny("x" * 10_000))[2]) < 200


def told(word: Word | Failure) -> tuple[int, str, str]:
    """The code for the client, and the reason for the operator."""
    error = refusal(word, "alice")
    assert error
    return error.code, error.refusal.reason, error.refusal.detail


def granted(ruling: Ruling, **settings: int) -> Grant:
    """A grant for alice, who must not move by the settings."""
    peers = Peers(Host(), allow=["203.0.113.0/24"])
    return Grants(Limits(**settings), peers, frozenset({"bob"})).grant(ALICE, ruling)


def test_terms_go_over_the_limits_of_the_settings() -> None:
    """By the names of the settings; what they do not name stays, whether it is more or less."""
    terms = Terms(
        allocations_per_user=1,
        bytes_per_second=2,
        permissions=3,
        channels=4,
        connections=5,
        lifetime=600,
        session_max=7,
        mobility=True,
    )
    grant = granted(Ruling(terms), sessions=9)
    assert grant.limits == Limits(9, 1, 3, 4, 5, 600, 7, 2)
    assert grant.mobility
    grant = granted(Ruling(Terms(channels=1000)), permissions=9, channels=10)
    assert grant.limits == Limits(permissions=9, channels=1000)
    assert not grant.mobility


def test_a_peer_that_was_not_agreed_on() -> None:
    """It is 403, or what the ruling says; without a policy all are that the settings let through."""
    assert granted(Ruling()).peer(OTHER)[0] == OTHER
    assert granted(Ruling(peers=frozenset({OTHER.ip}))).peer(OTHER)[0] == OTHER
    with pytest.raises(Forbidden):
        granted(Ruling(peers=frozenset({OTHER.ip}))).peer(PEER)
    with pytest.raises(InsufficientCapacity):
        granted(Ruling(refusal=InsufficientCapacity("no"), peers=frozenset())).peer(PEER)


def test_a_ruling_opens_no_peer() -> None:
    """What the settings close stays closed, whatever was agreed on."""
    for ip in ("10.0.0.1", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255"):
        with pytest.raises(Forbidden):
            granted(Ruling(peers=frozenset({ip}))).peer(Address(ip, 80))


@pytest.mark.parametrize(
    ("ip", "forms"),
    [
        ("203.0.113.5", ["203.0.113.5"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("64:ff9b::cb00:7105", ["64:ff9b::cb00:7105", "203.0.113.5"]),
        ("2001:db8:64::cb00:7105", ["2001:db8:64::cb00:7105", "203.0.113.5"]),
    ],
)
def test_forms_of_a_peer(ip: str, forms: list[str]) -> None:
    """An IPv6 address that holds an IPv4 address is both of them."""
    assert list(Peers(Host(), nat64=["2001:db8:64::/96"]).forms(ip)) == forms
