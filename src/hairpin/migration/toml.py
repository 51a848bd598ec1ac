"""Settings as a file: the tables that hairpin has, written in its own order of importance."""

import json
from collections.abc import Iterator
from typing import Any

from hairpin.config.sources import Tables


def write(tables: Tables) -> str:
    """The tables as TOML."""
    return "\n".join(line for section, table in tables.items() for line in _section(section, table))


def _section(section: str, table: Tables) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not _is_table(value)}
    if plain:
        yield f"[{section}]"
        yield from _lines(plain)
        yield ""
    for key, value in table.items():
        if isinstance(value, dict):
            yield f"[{section}.{key}]"
            yield from _lines(value)
            yield ""
        elif _is_table(value):
            for one in value:
                yield f"[[{section}.{key}]]"
                yield from _lines(one)
                yield ""


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _lines(table: Tables) -> Iterator[str]:
    return (f"{_key(key)} = {_value(value)}" for key, value in table.items())


def _key(key: str) -> str:
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # A JSON string is a basic string of TOML but for DEL, which TOML wants escaped; numbers and booleans are the same.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
