"""The tutorial's page in Chromium, with what a first run prints, in a network where the default ports are free."""

import subprocess
import sys
from pathlib import Path

import newcomer
from serving import HAIRPIN


def test_the_page_of_the_tutorial_makes_a_relayed_call(chromium: Path) -> None:
    """`hairpin serve` without a file says what to paste; pasted, two ends meet through two relays."""
    last = [*newcomer.OWN_NETWORK, sys.executable, newcomer.__file__, "call", str(HAIRPIN), "serve"]
    run = subprocess.run(last, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "The caller is connected." in run.stdout
    assert "A message went there and back through the relays" in run.stdout
