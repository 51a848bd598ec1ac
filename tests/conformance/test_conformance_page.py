"""The page is made of the results and of nothing else."""

import conformance.checks
from conformance.clauses import CHECKS, Outcome, Result
from conformance.report import Run, page

assert conformance.checks.__all__
DEVIATES, BREAKS = "integrity_is_judged_before_nonce", "binding_over_udp"


def results(**changed: Result) -> dict[str, Result]:
    """All pass but these."""
    return {name: Result(Outcome.PASS) for name in CHECKS} | changed


def test_same_results_make_the_same_page() -> None:
    """Results in another order make the same page, to the byte."""
    passed = results()
    turned = dict(reversed(passed.items()))
    pages = {page([Run("hairpin", "1", one, 960)], "2026-01-01", "abc") for one in (passed, turned)}
    assert len(pages) == 1


def test_each_check_has_a_row() -> None:
    """The page has a row for each check, with a cell for each server."""
    runs = [Run("hairpin", "1", results(), 960), Run("coturn", "2", results(), 960)]
    rows = page(runs, "2026-01-01", "abc").splitlines()
    for name in CHECKS:
        assert [row.count(" pass ") for row in rows if f"| `{name}` |" in row] == [2], name


def test_deviation_is_named() -> None:
    """hairpin's deliberate deviation is called one, with its reason; another server's same result is a failure."""
    failed = results(**{DEVIATES: Result(Outcome.FAIL, "error 438 instead of 401")})
    runs = [Run("hairpin", "1", failed, 960), Run("coturn", "2", failed, 960)]
    row = next(line for line in page(runs, "2026-01-01", "abc").splitlines() if f"| `{DEVIATES}` |" in line)
    assert row.endswith("| deviates | fail |")
    assert [run.broken() for run in runs] == [[], [DEVIATES]]


def test_failed_must_is_broken() -> None:
    """A MUST that fails without a reason is what makes the run fail, and the page says what happened."""
    run = Run("hairpin", "1", results(**{BREAKS: Result(Outcome.FAIL, "no answer")}), 60)
    assert run.broken() == [BREAKS]
    assert f"- `{BREAKS}`: fail: no answer" in page([run], "2026-01-01", "abc")


def test_page_says_how_to_repeat() -> None:
    """Date, versions, commit and commands are on the page; a short run says that it was one."""
    text = page([Run("hairpin", "1.2", results(), 60)], "2026-01-01", "abc")
    for part in ("2026-01-01", "hairpin 1.2", "commit abc", "make conformance LIMIT=60", "SERVER=host:port"):
        assert part in text
