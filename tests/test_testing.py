"""hairpin.testing and pytest's fixtures: a TURN server for the tests of others."""

import os
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from client import Client as TurnClient
from client import TurnError
from hairpin import ConfigError
from hairpin.client import UnreachableError
from hairpin.testing import PORTS, TurnServer

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
# The plugin by its module: where hairpin is installed it has a name of its own, too, and comes once.
PLUGIN = ("-p", "hairpin.pytest_plugin", "-p", "no:hairpin", "-p", "no:cacheprovider")


def turn_client(server: TurnServer, index: int = 0) -> TurnClient:
    """A client that comes in by that URL."""
    host, port = server.urls[index].removeprefix("turn:").partition("?")[0].split(":")
    tcp = server.urls[index].endswith("tcp")
    return TurnClient((host, int(port)), server.username, server.password, tcp=tcp)


def test_a_server_for_a_while() -> None:
    """It says how to get in over UDP and TCP, shows who is there, and gives everything back."""
    threads = threading.active_count()
    with TurnServer() as server:
        (ice,) = server.ice_servers["iceServers"]
        assert (ice["urls"], ice["username"], ice["credential"]) == (server.urls, "user", server.password)
        assert server.url == server.urls[0]
        assert server.sessions() == []
        for index, transport in ((0, 0), (1, 1)):
            with turn_client(server, index) as client:
                client.allocate()
                (session,) = server.sessions()
                assert (session.username, session.transport) == ("user", transport)
                assert server.client.statistics(**session.which).received_pkts > 0
                server.client.throw_out("user")
        assert (server.realm, server.client.realm) == ("hairpin.test", "hairpin.test")
        assert server.client.credentials("bob").iceServers[0].urls == tuple(server.urls)
    assert threading.active_count() == threads


def test_the_password_is_no_others() -> None:
    """Each server makes its own, and a wrong one is refused."""
    with TurnServer() as one, TurnServer() as other:
        assert one.password != other.password
        assert one.url != other.url
        other.password = one.password
        with turn_client(other) as client, pytest.raises(TurnError, match="401"):
            client.allocate()


def test_settings_go_over_its_own() -> None:
    """Transports, user, realm and any table of hairpin's settings."""
    tables = {"limits": {"allocations_per_user": 1}, "api": {"token": "t"}}
    with TurnServer(["udp"], username="alice", realm="r", **tables) as server:
        assert [url.partition("?")[2] for url in server.urls] == ["transport=udp"]
        assert (server.realm, server.client.health().status, server.client.realm) == ("r", "ok", "r")
        with turn_client(server) as first, turn_client(server) as second:
            first.allocate()
            with pytest.raises(TurnError, match="486"):
                second.allocate()
            assert [session.username for session in server.sessions()] == ["alice"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"transports": ["sctp"]}, r"turn\.interfaces\[0\]\.transport"),
        ({"relm": {"x": 1}}, "relm: unknown key"),
        ({"limits": {"lifetime": 1}}, r"limits\.lifetime"),
        ({"turn": {"interfaces": [{"transport": "udp", "bind": "192.0.2.1:5"}]}}, "cannot listen on 192.0.2.1:5"),
    ],
)
def test_settings_that_will_not_do(options: dict, line: str) -> None:
    """Are said as hairpin says them, and leave nothing behind."""
    threads = threading.active_count()
    with pytest.raises(ConfigError, match=line), TurnServer(**options):
        pass
    assert threading.active_count() == threads


def test_a_taken_port_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the bind another process may be faster: then other ports are drawn."""
    with TurnServer() as first:
        taken = int(first.url.partition("?")[0].rpartition(":")[2])
        drawn = iter([taken, PORTS[-1], taken, PORTS[-2]])
        fresh = iter(PORTS[1000:])
        monkeypatch.setattr("hairpin.testing._free_port", lambda: next(drawn, None) or next(fresh))
        with TurnServer() as second:
            assert second.url != first.url


def test_a_server_that_goes_down() -> None:
    """Stops in the middle of a test: its sessions end, and nobody answers."""
    with TurnServer() as server:
        with turn_client(server, 1) as client:
            client.allocate()
            server.stop()
            with pytest.raises(EOFError):
                client.receive()
        with pytest.raises(UnreachableError):
            server.sessions()


def test_the_example_of_the_manual(pytester: pytest.Pytester) -> None:
    """docs/examples/test_call.py passes as it stands there."""
    pytester.makepyfile(test_call=(ROOT / "docs/examples/test_call.py").read_text())
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(passed=1)


def test_the_page_shows_the_example() -> None:
    """Word for word."""
    page = (ROOT / "docs/how-to/test-your-project.md").read_text()
    assert f'```python title="test_call.py"\n{(ROOT / "docs/examples/test_call.py").read_text()}```' in page


def test_options_of_the_fixtures(pytester: pytest.Pytester) -> None:
    """pytest's settings are for all, a marker for its test, and the nearest counts; one server is shared."""
    pytester.makeini("[pytest]\nturn_server_transports = tcp\nturn_server_realm = ours\naddopts = --strict-markers\n")
    pytester.makepyfile(
        """
        import pytest

        seen = []

        def test_settings(turn_server, shared_turn_server):
            for server in (turn_server, shared_turn_server):
                assert server.realm == "ours"
                assert [url.partition("=")[2] for url in server.urls] == ["tcp"]
                assert server.sessions() == []
            assert turn_server.url != shared_turn_server.url
            seen.append((turn_server, shared_turn_server))

        def test_another(turn_server, shared_turn_server):
            assert turn_server is not seen[0][0]
            assert shared_turn_server is seen[0][1]

        @pytest.mark.turn_server(realm="class", username="alice")
        class TestMarked:
            @pytest.mark.turn_server(realm="test", transports=["udp", "tcp"], limits={"lifetime": 700})
            def test_nearest(self, turn_server):
                assert (turn_server.realm, turn_server.username, len(turn_server.urls)) == ("test", "alice", 2)

        @pytest.mark.turn_server("udp")
        def test_without_a_name(turn_server):
            pass
        """
    )
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*the marker turn_server takes no values without a name*"])


def test_servers_do_not_meet(pytester: pytest.Pytester) -> None:
    """Several processes that start servers at the same time, as pytest-xdist's do, find ports of their own."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_one(turn_server, number):
            assert turn_server.client.health().status == "ok"
        """
    )
    command = [sys.executable, "-m", "pytest", *PLUGIN]
    runs = [subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [run.wait(120) for run in runs] == [0, 0, 0]


def test_it_costs_nothing_where_it_is_not_used(pytester: pytest.Pytester) -> None:
    """Neither the server nor what it needs is imported, and the fixtures are listed with what they are."""
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            loaded = {name for name in sys.modules if name.startswith("hairpin")}
            assert loaded == {"hairpin", "hairpin.version", "hairpin.pytest_plugin"}
            assert not {"pydantic", "httpx2", "fastapi", "structlog"} & set(sys.modules)
        """
    )
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", *PLUGIN]
    run = subprocess.run(command, cwd=pytester.path, env={**os.environ, **alone}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    listed = pytester.runpytest_subprocess(*PLUGIN, "--fixtures")
    listed.stdout.fnmatch_lines(["turn_server*", "*A TURN server of this test alone*"])


def test_the_entry_point() -> None:
    """pytest finds the plugin by itself where hairpin is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"hairpin": "hairpin.pytest_plugin"}
