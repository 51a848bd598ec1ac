"""What all tests share: Hypothesis's profile, and the real server with one worker and with two."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from serving import Serving, serving

settings.register_profile(
    "ci",
    max_examples=100,  # where more are worth their time, the test says so
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")
# pytest-xdist's processes ignore Ctrl-C, and what a test starts there would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", params=[1, 2], ids=["one-worker", "two-workers"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """hairpin itself, `.venv/bin/hairpin serve`, once for each number of workers."""
    with serving(tmp_path_factory.mktemp("hairpin"), request.param) as running:
        yield running


def tool(name: str, package: str) -> Path:
    """An installed program; its absence fails the test that needs it, and says what to install."""
    found = shutil.which(name)
    assert found, f"{name} is missing: apt-get install {package}"
    return Path(found)


@pytest.fixture(scope="session")
def uclient() -> Path:
    """coturn's TURN client."""
    return tool("turnutils_uclient", "coturn")


@pytest.fixture(scope="session")
def echo_peer_program() -> Path:
    """coturn's echoing UDP peer."""
    return tool("turnutils_peer", "coturn")


@pytest.fixture(scope="session")
def natdiscovery() -> Path:
    """coturn's client of NAT behaviour discovery."""
    return tool("turnutils_natdiscovery", "coturn")


@pytest.fixture(scope="session")
def certutil() -> Path:
    """What writes the store of certificates that Debian's browser trusts."""
    return tool("certutil", "libnss3-tools")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Debian's browser."""
    return tool("chromium", "chromium")
