"""pytest's fixtures `turn_server` and `shared_turn_server`. The server is imported only where one of them is used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hairpin.testing import TurnServer

MARKER = "turn_server"
_MARKER_HELP = (
    f"{MARKER}(transports=..., username=..., realm=..., **settings): how the fixture turn_server serves; "
    "settings are tables of hairpin's settings, such as limits={'lifetime': 600}."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What pytest's own settings may say of all servers."""
    parser.addini("turn_server_transports", "Transports of hairpin's fixtures: udp, tcp.", "args", ["udp", "tcp"])
    parser.addini("turn_server_realm", "Realm of hairpin's fixtures.", "string", "hairpin.test")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker, for --strict-markers."""
    config.addinivalue_line("markers", _MARKER_HELP)


@pytest.fixture
def turn_server(request: pytest.FixtureRequest) -> Iterator["TurnServer"]:
    """A TURN server of this test alone; its marker `turn_server` says how it serves."""
    yield from _serve(request.config, _marked(request.node))


@pytest.fixture(scope="session")
def shared_turn_server(request: pytest.FixtureRequest) -> Iterator["TurnServer"]:
    """A TURN server for all tests of the session: of each process, where pytest-xdist runs several."""
    yield from _serve(request.config, {})


def _serve(config: pytest.Config, options: dict[str, Any]) -> Iterator["TurnServer"]:
    from hairpin.testing import TurnServer

    common = {"transports": config.getini("turn_server_transports"), "realm": config.getini("turn_server_realm")}
    with TurnServer(**{**common, **options}) as server:
        yield server


def _marked(node: pytest.Item) -> dict[str, Any]:
    """What the markers say, those nearest to the test last."""
    marks = list(node.iter_markers(MARKER))
    if any(mark.args for mark in marks):
        raise pytest.UsageError(f"the marker {MARKER} takes no values without a name: {_MARKER_HELP}")
    return {name: value for mark in reversed(marks) for name, value in mark.kwargs.items()}
