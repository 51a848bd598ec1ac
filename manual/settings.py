"""docs/reference/settings.md, from the tree of settings."""

from collections.abc import Iterator
from typing import get_args, get_type_hints

from pydantic.fields import FieldInfo

from hairpin.config import Config
from hairpin.config.section import Section
from manual.markdown import code, page, table
from manual.values import written

SOURCE = "src/hairpin/config/tree.py"
DERIVED = {("interfaces", "external"): "`bind`"}
INTRODUCTION = """\
A file is TOML. Each setting of a section is also a variable of the environment, `HAIRPIN_SECTION_KEY` (lists and
tables as JSON), which beats the file: `HAIRPIN_TURN_REALM=example.org`. An unknown key, a bad value, a port in use: one
line that names the file and the key, exit status 2, before anything is served. `hairpin check FILE` says what a file
will do.

SIGHUP reads `auth`, `limits`, `peers`, the certificates and `log.level` again: the whole file or nothing of it.
"""


def settings() -> str:
    """The whole page."""
    return page("Settings", SOURCE, [INTRODUCTION, *_sections()])


def missing() -> list[str]:
    """The settings that do not say what they mean."""
    return [name for name, field in _walk(Config, "") if not field.description]


def _walk(model: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        below = _below(field)
        if below is None or get_args(field.annotation):
            yield f"{prefix}{name}", field
        if below is not None:
            yield from _walk(below, f"{prefix}{name}.")


def _below(field: FieldInfo) -> type[Section] | None:
    """The section that a field is, or has a list of."""
    for one in (field.annotation, *get_args(field.annotation)):
        if isinstance(one, type) and issubclass(one, Section):
            return one
    return None


def _sections() -> Iterator[str]:
    for name, field in Config.model_fields.items():
        if section := _below(field):
            yield from _section(f"[{name}]", name, section)


def _section(heading: str, name: str, model: type[Section]) -> Iterator[str]:
    yield from (f"## {code(heading)}", "", model.__doc__ or "", "")
    hints = get_type_hints(model, include_extras=True)
    yield from table(
        ["setting", "value", "default", "meaning"],
        (
            [code(key), written(hints[key]), _default(name, key, field), field.description or ""]
            for key, field in model.model_fields.items()
        ),
    )
    for key, field in model.model_fields.items():
        if below := _below(field):
            yield from _section(f"[[{name}.{key}]]", key, below)


def _default(section: str, key: str, field: FieldInfo) -> str:
    if field.is_required():
        return DERIVED.get((section, key), "needed")
    value = field.get_default(call_default_factory=True)
    match value:
        case None | () | "":
            return ""
        case bool():
            return code(str(value).lower())
        case (int(low), int(high)):
            return code(f'"{low}-{high}"')
        case int() | float():
            return code(f"{value:g}" if isinstance(value, float) else value)
        case dict():
            return ", ".join(f"{code(name)}" for name in value)
        case _:
            return code(f'"{value}"')
