"""hairpin, started as `make conformance` starts it, against the quick part of the suite."""

from pathlib import Path

import conformance.checks
from conformance import servers
from conformance.clauses import CHECKS
from conformance.report import Run
from conformance.runner import run

assert conformance.checks.__all__


def test_no_must_fails(tmp_path: Path) -> None:
    """Every MUST that can be tried in a moment passes, is not offered in the RFC's way, or deviates for a reason."""
    quick = [one for one in CHECKS.values() if not one.lasts]
    with servers.hairpin(tmp_path) as target:
        found = Run("hairpin", "this tree", run(target, quick), 60)
    assert {name: found.why(name) for name in found.broken()} == {}
