"""docs/reference/commands.md, from the functions of the command line."""

import inspect
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Annotated, Any, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo, ParameterInfo

from hairpin.cli import app
from manual.markdown import code, page, table

SOURCE = "src/hairpin/cli.py"
INTRODUCTION = """\
`hairpin COMMAND --help` says the same in the terminal. What is wrong with settings or arguments is one line on stderr,
and exit status 2.
"""


def commands() -> str:
    """The whole page."""
    return page("Commands", SOURCE, [INTRODUCTION, *_commands("hairpin", app)])


def _commands(name: str, group: typer.Typer) -> Iterator[str]:
    for command in group.registered_commands:
        function = command.callback
        assert function is not None
        yield from _command(f"{name} {command.name or function.__name__.replace('_', '-')}", function)
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from _commands(f"{name} {below.name}", below.typer_instance)


def _command(name: str, function: Callable[..., object]) -> Iterator[str]:
    parameters = list(_parameters(function))
    arguments = [_metavar(parameter, info) for parameter, info in parameters if isinstance(info, ArgumentInfo)]
    yield from (f"## {code(' '.join([name, *arguments]))}", "", inspect.getdoc(function) or "", "")
    yield from table(
        ["argument", "default", "meaning"],
        ([_spelt(parameter, info), _default(parameter), _meaning(parameter, info)] for parameter, info in parameters),
    )


def _parameters(function: Callable[..., object]) -> Iterator[tuple[inspect.Parameter, ParameterInfo]]:
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        if get_origin(parameter.annotation) is Annotated:
            yield parameter, next(one for one in get_args(parameter.annotation) if isinstance(one, ParameterInfo))


def _spelt(parameter: inspect.Parameter, info: ParameterInfo) -> str:
    metavar = _metavar(parameter, info)
    if isinstance(info, ArgumentInfo):
        return code(metavar)
    assert isinstance(info, OptionInfo)
    given = [info.default] if isinstance(info.default, str) else []  # within Annotated the first spelling stands there
    spellings = [*given, *(info.param_decls or ())] or [f"--{parameter.name.replace('_', '-')}"]
    return ", ".join(code(f"{spelling} {metavar}".strip()) for spelling in spellings)


def _metavar(parameter: inspect.Parameter, info: ParameterInfo) -> str:
    """What stands for the value: as the command line shows it, else by the type. A flag has none."""
    kind = _kind(parameter)
    if info.metavar or kind is bool:
        return info.metavar or ""
    return {int: "NUMBER", float: "NUMBER", str: "TEXT"}.get(kind, parameter.name.upper())


def _meaning(parameter: inspect.Parameter, info: ParameterInfo) -> str:
    kind = _kind(parameter)
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        return info.help or ""
    return f"One of {', '.join(code(one.value) for one in kind)}. {info.help or ''}"


def _kind(parameter: inspect.Parameter) -> Any:
    """The type of the value, without None and without what is annotated."""
    kind = get_args(parameter.annotation)[0]
    return next((one for one in get_args(kind) if one is not type(None)), kind)


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is inspect.Parameter.empty:
        return "needed"
    if value is None or value is False or value == "":
        return ""
    return code(value.value if isinstance(value, Enum) else value)
