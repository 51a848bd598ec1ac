"""`[policy] module`: where it is looked for, and that what will not do is one line, before anything is served."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from typer.testing import CliRunner

from hairpin import Config, ConfigError, Policy, Server, TurnClient
from hairpin.cli import app

SETTINGS = """
[[turn.interfaces]]
transport = "udp"
bind = "127.0.0.1:0"
[api]
bind = "127.0.0.1:0"
[policy]
module = "{module}"
"""
RULES = """
from hairpin import Policy

class Rules(Policy):
    def may_allocate(self, client):
        return client.user == "alice"

rules = Rules()

class Group:
    class Inner(Rules):
        pass
"""


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """What a test imports, and where from, is forgotten."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        if name.startswith("policy_of_"):
            del sys.modules[name]


def settings(folder: Path, code: str, name: str = "Rules") -> Path:
    """A file of settings, and a module beside it that is called like the folder."""
    module = f"policy_of_{folder.name}"
    folder.joinpath(f"{module}.py").write_text(dedent(code))
    file = folder / "hairpin.toml"
    file.write_text(SETTINGS.format(module=f"{module}:{name}"))
    return file


def check(file: Path) -> tuple[int, str, str]:
    """`hairpin check FILE`: its status, stdout and stderr."""
    result = CliRunner().invoke(app, ["check", str(file)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("name", ["Rules", "rules", "Group.Inner"])
def test_a_class_or_an_object(tmp_path: Path, name: str) -> None:
    """From beside the settings file, behind all else that Python finds; `hairpin check` says that it is asked."""
    file = settings(tmp_path, RULES, name)
    status, said, _ = check(file)
    assert status == 0
    assert f"Asks policy_of_{tmp_path.name}:{name} what else is refused, for at most 1 s each time." in said
    assert sys.path[-1] == str(tmp_path)
    policy = Server(Config.load(file)).policy
    assert policy is not None
    assert policy.may_allocate(TurnClient("alice", "alice", "192.0.2.1", 1, "192.0.2.2:3478", "udp")) is True


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import no_such_module_anywhere", "cannot be had: ModuleNotFoundError: No module named 'no_such_module"),
        ("class Rules(:", "cannot be had: SyntaxError: "),
        ("raise OSError('a\\nb')", "cannot be had: OSError: a b"),
        ("Other = 1", "cannot be had: AttributeError: "),
        ("class Rules:\n  def __init__(self, x): pass", "cannot be had: TypeError: "),
        ("class Rules: pass", "has none of may_allocate, may_reach, session_ended"),
        ("from hairpin import Policy as Rules", "cannot be had: TypeError: "),
        ("from hairpin import Policy\nclass Rules(Policy): pass", "has none of may_allocate, may_reach, session_ended"),
        ("Rules = None", "has none of"),
        ("class Rules:\n  def may_alocate(self, client): pass", "has may_alocate, which is never asked: may_allocate"),
        (
            "class Rules:\n  def may_reach(self, c, p): pass\n  def session_end(self, s): pass",
            "has session_end, which is never asked: session_ended may be meant",
        ),
        ("class Rules:\n  def may_reach(self, client): pass", "may_reach has to take (client, peer)"),
        ("class Rules:\n  def may_allocate(self, client, more): pass", "may_allocate has to take (client)"),
        ("class Rules:\n  session_ended = 7", "session_ended has to take (session)"),
    ],
)
def test_what_will_not_do(tmp_path: Path, code: str, problem: str) -> None:
    """One line that names the file and the setting, and exit 2, for `check` and for a server, which binds nothing."""
    file = settings(tmp_path, code)
    status, said, line = check(file)
    assert (status, said) == (2, "")
    assert line.startswith(f"hairpin: {file}: policy.module: policy_of_{tmp_path.name}:Rules")
    assert problem in line
    assert line.count("\n") == 1
    with pytest.raises(ConfigError, match=r"^policy\.module: "):
        Server(Config.load(file))


def test_methods_of_its_own_are_nobodys_business(tmp_path: Path) -> None:
    """Helpers may have names that begin alike, arguments may have any names and defaults."""
    code = """
    class Rules:
        def may_reach(self, who, whom, *, why=None): return self.may_reach_sfu(whom)
        def may_reach_sfu(self, whom): return True
        async def session_ended(self, *args, **more): pass
    """
    assert check(settings(tmp_path, code))[0] == 0


@pytest.mark.parametrize("name", ["my_rules", "my_rules:", ":Rules", "my rules:Rules", "my_rules:Rules()", "a/b:C"])
def test_what_is_no_name(tmp_path: Path, name: str) -> None:
    """It is said without a look at any module."""
    file = tmp_path / "hairpin.toml"
    file.write_text(SETTINGS.format(module=name))
    status, _, line = check(file)
    assert status == 2
    assert line == f'hairpin: {file}: policy.module: {name!r} is no name in a module, such as "my_rules:Policy"\n'


def test_a_module_that_cannot_be_found_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the environment have no folder: Python's own path is all."""
    config = Config(turn={"interfaces": [{"transport": "udp", "bind": "127.0.0.1:0"}]}, policy={"module": "no_such:P"})
    with pytest.raises(ConfigError, match=r"policy\.module: no_such:P cannot be had: ModuleNotFoundError"):
        Server(config)


def test_a_policy_that_is_given() -> None:
    """It is looked at likewise; with `policy.module` there would be two."""

    class Given(Policy):
        def may_allocate(self, client: TurnClient, /) -> bool:
            return True

    class Misspelt(Policy):
        def may_raech(self) -> bool:
            return True

    turn = {"interfaces": [{"transport": "udp", "bind": "127.0.0.1:0"}]}
    given = Given()
    assert Server(Config(turn=turn), policy=given).policy is given
    assert Server(Config(turn=turn)).policy is None
    with pytest.raises(ConfigError, match="policy: Misspelt has may_raech"):
        Server(Config(turn=turn), policy=Misspelt())
    with pytest.raises(ConfigError, match=r"policy\.module: names a:B, but a policy was given: leave one of them out"):
        Server(Config(turn=turn, policy={"module": "a:B"}), policy=given)


@pytest.mark.parametrize("deadline", [0, -1, 61, "soon"])
def test_deadlines_that_are_none(deadline: object) -> None:
    """More than nothing, a minute at most."""
    with pytest.raises(ConfigError, match=r"^policy\.deadline: "):
        Config(turn={"interfaces": [{"transport": "udp", "bind": "127.0.0.1:0"}]}, policy={"deadline": deadline})
