"""A check passes where its clause is kept and fails where it is broken."""

import pytest

import conformance.checks
from conformance.clauses import CHECKS, Outcome, SkippedError, lines
from conformance.deviations import DEVIATIONS
from conformance.report import CHECKLIST
from conformance.runner import run
from conformance.scene import Scene
from conformance.stun import Code, Endpoint, Method, parse
from crooked import Answer, altered, challenge, crooked, dirty_padding, honest, without

assert conformance.checks.__all__


def echo_garbage(data: bytes, source: Endpoint) -> bytes | None:
    """Answers whatever comes."""
    return honest(data, source) or data


def same_nonce(data: bytes, answer: bytes, source: Endpoint) -> bytes:
    """The same nonce for everybody."""
    request = parse(data)
    return answer if request.method == Method.BINDING else challenge(request, b"obMatJos2AAAAfixed")


# How the server is crooked, and a check that must tell.
CROOKED: list[tuple[Answer, str]] = [
    (echo_garbage, "drops_length_beyond_end"),
    (echo_garbage, "drops_first_bits_10"),
    (echo_garbage, "drops_binding_success"),
    (echo_garbage, "indications_are_not_answered"),
    (echo_garbage, "wrong_fingerprint_is_dropped"),
    (altered(lambda _, said, source: without(Code.XOR_MAPPED_ADDRESS, said)), "binding_over_udp"),
    (altered(lambda _, said, source: without(Code.SOFTWARE, said)), "binding_has_software"),
    (altered(lambda _, said, source: without(Code.FINGERPRINT, said)), "fingerprint_is_answered"),
    (altered(lambda _, said, source: without(Code.UNKNOWN_ATTRIBUTES, said)), "unknown_attributes_are_all_listed"),
    (altered(lambda _, said, source: without(Code.REALM, said)), "first_401_has_realm_and_nonce"),
    (altered(lambda _, said, source: dirty_padding(said)), "unknown_attribute_is_420"),
    (altered(same_nonce), "nonce_is_bound_to_its_client"),
    (altered(lambda _, said, source: None), "binding_over_udp"),
]


@pytest.mark.parametrize("name", sorted({name for _, name in CROOKED}))
def test_honest_server_passes(name: str) -> None:
    """The checks that a crooked server fails are passed by an honest one."""
    with crooked(honest) as target:
        results = run(target, [CHECKS[name]])
    assert results[name].outcome is Outcome.PASS, results[name]


@pytest.mark.parametrize(("answer", "name"), [one for one in CROOKED if one[1] != "unknown_attribute_is_420"])
def test_crooked_server_fails(answer: Answer, name: str) -> None:
    """A server that breaks a clause fails the check of that clause, with a sentence that says how."""
    with crooked(answer) as target:
        results = run(target, [CHECKS[name]])
    assert results[name].outcome is Outcome.FAIL
    assert results[name].why


def test_what_lasts_is_left_out() -> None:
    """A check that takes minutes is skipped unless it is asked for, and the result says so."""
    slow = next(one for one in CHECKS.values() if one.lasts > 60)
    with crooked(honest) as target:
        results = run(target, [slow])
    assert results[slow.name].outcome is Outcome.SKIPPED
    assert "limit" in results[slow.name].why


def test_unknown_things_are_skipped() -> None:
    """What is not known of a server is not tried, which is no failure."""
    with crooked(honest) as target, pytest.raises(SkippedError):
        Scene.other(Scene(target, None))  # type: ignore[arg-type]


def test_each_line_has_a_check() -> None:
    """Every line of the checklist is tried by one check at least."""
    assert set(lines()) == set(CHECKLIST)


def test_clauses_are_told_in_a_line() -> None:
    """What a row says fits a cell: one sentence in our words, without the table's own marks."""
    for one in CHECKS.values():
        assert 10 < len(one.clause.asked) < 120, one.name
        assert "|" not in one.clause.asked, one.name


def test_deviations_name_checks() -> None:
    """A reason is given for checks that exist."""
    assert DEVIATIONS.keys() <= CHECKS.keys()
