"""Runs the blocks of a page, each by its language; what does not hold is a failure that names the page and the line."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Sequence
from itertools import zip_longest

import yaml

from fences import Command, Fence, MarkingError
from world import Ran, World

SERVE = re.compile(r"(\S*/)?hairpin serve\b")
OWN = re.compile(r"(.*/)?hairpin[^/]*\.toml")
INTERFACE = '\n[[turn.interfaces]]\ntransport = "udp"\nbind = "127.0.0.1:3478"\n'
SNIPPET = """import ast, asyncio, inspect, sys
code = compile(open(sys.argv[1]).read(), sys.argv[1], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
made = eval(code, {"__name__": "__main__"})
asyncio.run(made) if inspect.iscoroutine(made) else None
"""


def follow(fences: Sequence[Fence], world: World) -> None:
    """Do what the blocks say, in their order; AssertionError or MarkingError at the first that does not hold."""
    for fence in fences:
        if fence.excuse is None:
            _hold(fence, world)


def _hold(fence: Fence, world: World) -> None:
    if fence.first:
        ran = world.run(fence.first)
        assert ran.status == 0, f"{fence.place}: before it, {fence.first}: exit status {ran.status}\n{ran.printed}"
    if fence.language not in READERS:
        known = ", ".join(sorted(READERS))
        raise MarkingError(f"{fence.place}: {fence.language or 'no language'}: say what it is, one of {known}")
    READERS[fence.language](fence, world)


def _console(fence: Fence, world: World) -> None:
    """Each command ends with 0, unless it is the last of a block that says otherwise, or `echo $?` comes next."""
    commands = fence.commands()
    for command, after in zip_longest(commands, commands[1:]):
        ran = _run(command, world)
        told = f"{fence.page}:{command.line}: $ {command.text}\nexit status {ran.status}, and it printed\n{ran.printed}"
        wanted = fence.status if after is None else 0
        assert ran.status == wanted or (after and after.text == "echo $?"), f"{told}\nstatus {wanted} is promised"
        assert not command.shown or ran.shows(command.shown), f"{told}\nthe page shows\n{command.shown}"


def _run(command: Command, world: World) -> Ran:
    if SERVE.match(command.text):
        return world.serve(command.text)
    return world.background(command.text) if command.text.endswith("&") else world.run(command.text)


def _script(fence: Fence, world: World) -> None:
    """A file with a title is there for later blocks, and its grammar is looked at; without, it is run."""
    path = world.write(fence.title or ".script", fence.text)
    _ends_well(fence, world, f"bash -n {path}" if fence.title else f"bash -eu {path}")


def _toml(fence: Fence, world: World) -> None:
    """hairpin.toml, or a part of it, is settings that `hairpin check` finds fine; another file is TOML."""
    path = world.write(fence.title or ".part.toml", fence.text)
    tables = tomllib.loads(fence.text)
    if fence.title and not OWN.fullmatch(fence.title):
        return
    if not tables.get("turn", {}).get("interfaces"):
        path = world.write(".part.toml", fence.text + INTERFACE)
    _ends_well(fence, world, f"hairpin check {path}")


def _python(fence: Fence, world: World) -> None:
    """A file with a title is imported, and there for later blocks; without, it is run, `await` allowed at its top."""
    path = world.write(fence.title or ".snippet.py", fence.text)
    if fence.title:
        run = f"-c {shlex.quote(f'import runpy; runpy.run_path({str(path)!r})')}"
    else:
        run = f"{world.write('.run.py', SNIPPET)} {path}"
    _ends_well(fence, world, f"python {run}")


def _json(fence: Fence, world: World) -> None:
    world.write(fence.title or ".json", fence.text)
    json.loads(fence.text)


def _yaml(fence: Fence, world: World) -> None:
    world.write(fence.title or ".yaml", fence.text)
    list(yaml.safe_load_all(fence.text))


def _shown(fence: Fence, world: World) -> None:
    """Nothing can be run: it is only there for later blocks."""
    if fence.title:
        world.write(fence.title, fence.text)


def _ends_well(fence: Fence, world: World, command: str) -> None:
    ran = world.run(command)
    assert ran.status == fence.status, f"{fence.place}: exit status {ran.status}\n{ran.printed}"


ONLY_SHOWN = ("text", "html", "css", "javascript", "ini", "nginx", "dockerfile", "diff", "http", "promql", "php", "lua")
READERS: dict[str, Callable[[Fence, World], None]] = {
    "console": _console,
    "sh": _script,
    "toml": _toml,
    "python": _python,
    "json": _json,
    "yaml": _yaml,
    **dict.fromkeys(ONLY_SHOWN, _shown),
}
