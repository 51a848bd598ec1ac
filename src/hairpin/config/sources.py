"""Where settings come from: a TOML file, and the environment, which beats it. What is wrong is said in one line."""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

Tables: TypeAlias = dict[str, Any]

PREFIX = "HAIRPIN_"
NEAR = 0.75  # of 1: four letters, two of them swapped
_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


class ConfigError(ValueError):
    """A setting that will not do; `str` of it is one line that names the file and the key."""

    def __init__(self, problem: str, key: str = "", source: Path | str | None = None) -> None:
        """Name the file in `source`, where there is one, and the key."""
        self.problem = problem
        self.key = key
        self.source = source
        super().__init__(": ".join(str(part) for part in (source, key, problem) if part))


class MisplacedError(ValueError):
    """A problem that a validator of a whole section finds in one of its keys."""

    def __init__(self, key: str, problem: str) -> None:
        """Name the key below the section."""
        super().__init__(problem)
        self.key = key


def read(path: Path) -> Tables:
    """The tables of a TOML file."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=path) from None
    except UnicodeDecodeError:
        raise ConfigError("is no TOML: it is not UTF-8", source=path) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is no TOML: {error}", source=path) from None


def environment(sections: Collection[str]) -> Tables:
    """The values of HAIRPIN_SECTION_KEY, for the sections given."""
    _refuse_near_misses(sections)
    fields: dict[str, Any] = {section: (dict[str, Any], {}) for section in sections}
    reader = create_model("Environment", __base__=_Environment, **fields)
    try:
        tables = reader().model_dump(exclude_unset=True)
    except ValidationError as error:
        section = error.errors()[0]["loc"][0]
        name = f"{PREFIX}{section}".upper()
        raise ConfigError(f"is a whole section: write {name}_KEY for each of its keys", name) from None
    return {section: {key: _decode(text) for key, text in table.items()} for section, table in tables.items()}


def _refuse_near_misses(sections: Collection[str]) -> None:
    """HAIRPIN_LIMIT_LIFETIME would be ignored; names far from ours are, for Kubernetes sets HAIRPIN_PORT and others."""
    for name in sorted(os.environ):
        section, line, key = name.upper().removeprefix(PREFIX).lower().partition("_")
        if not name.upper().startswith(PREFIX) or section in sections:
            continue
        if near := difflib.get_close_matches(section, sections, 1, NEAR):
            meant = f"{PREFIX}{near[0]}{line}{key}".upper()
            raise ConfigError(f"is no setting; {meant} may be meant", name)


def merge(file: Tables, overrides: Tables) -> Tables:
    """Both, key by key; the overrides win. What is no table stays, for the validators to refuse."""
    merged = dict(file)
    for section, table in overrides.items():
        below = merged.get(section, {})
        merged[section] = {**below, **table} if isinstance(below, dict) else below
    return merged


def explain(error: ValidationError) -> ConfigError:
    """The first thing that is wrong, in plain words and without the value (it may be a secret)."""
    first = error.errors(include_url=False, include_input=False)[0]
    cause = first.get("ctx", {}).get("error")
    path = [*first["loc"], *([cause.key] if isinstance(cause, MisplacedError) else [])]
    return ConfigError(_problem(first), key=spell(path))


def locate(error: ConfigError, file: Path | None, overrides: Tables) -> ConfigError:
    """The same error, with the name of the file, or of the variable in the environment that brought the value."""
    section, _, rest = error.key.partition(".")
    match = re.match(r"\w+", rest)
    if match is None or match[0] not in overrides.get(section, {}):
        return ConfigError(error.problem, error.key, file)
    name = f"{PREFIX}{section}_{match[0]}".upper()
    return ConfigError(error.problem, name + rest[match.end() :])


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1, enable_decoding=False
    )


def _decode(text: object) -> object:
    """A list or a table is written as JSON; anything else is a plain value."""
    if not isinstance(text, str) or not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _problem(error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    if cause is not None:
        return str(cause)
    return _WORDS.get(error["type"]) or error["msg"].replace("Input should", "must")


def spell(path: Iterable[int | str]) -> str:
    """A key as people read it: turn.interfaces[0].bind."""
    key = ""
    for part in path:
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            key += ("." if key else "") + (part if re.fullmatch(r"[\w\[\].-]+", part) else json.dumps(part))
    return key
