"""Reads a file of another TURN server: which one's it is, what becomes of each key, and settings that hairpin takes."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from hairpin.config import Config, ConfigError
from hairpin.config.sources import Tables
from hairpin.migration import coturn, coturn_settings, eturnal, turn_rs
from hairpin.migration.draft import Draft, Fate
from hairpin.migration.toml import write

MOST_BYTES = 1 << 20
SHOWN = 64  # characters of a key


class Kind(Enum):
    """Whose file it is."""

    COTURN = "coturn"
    ETURNAL = "eturnal"
    TURN_RS = "turn-rs"


# The first that is found; what is neither is coturn's, whose lines may hold anything.
SIGNS = (
    (Kind.ETURNAL, re.compile(r"^eturnal\s*:", re.MULTILINE)),
    (Kind.TURN_RS, re.compile(r"^\s*\[{1,2}(server|turn|auth|api|rpc|hooks|log)\b[^\]]*\]", re.MULTILINE)),
)


@dataclass(frozen=True, slots=True)
class Imported:
    """Settings, and what is to be said of the file that they were made of. `toml` holds its secrets, `report` none."""

    toml: str
    report: tuple[str, ...]


def import_file(path: Path, kind: Kind | None = None) -> Imported:
    """Read a file of that kind, or of the one that it looks like. ConfigError names the line that will not do."""
    text = _read(path)
    draft = Draft(str(path))
    _fill(draft, text, kind or recognise(text), path.absolute().parent)
    _validate(draft)
    head = f"# Made of {_name(path)} by `hairpin import`.\n"
    return Imported(head + write(_in_order(draft.tables)), tuple(_report(draft)))


def recognise(text: str) -> Kind:
    """Whose file this is."""
    return next((kind for kind, sign in SIGNS if sign.search(text)), Kind.COTURN)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=path) from None
    if len(data) > MOST_BYTES:
        raise ConfigError(f"is larger than {MOST_BYTES} bytes", source=path)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("is no UTF-8", source=f"{path}:{line}") from None


def _fill(draft: Draft, text: str, kind: Kind, folder: Path) -> None:
    if kind is Kind.COTURN:
        draft.judge(coturn.parse(text), coturn.keys(folder))
        coturn_settings.settle(draft)
    elif kind is Kind.ETURNAL:
        eturnal.fill(draft, text, folder)
    else:
        turn_rs.fill(draft, text, folder)


def _validate(draft: Draft) -> None:
    """What hairpin itself would find wrong is told of the line that it comes from."""
    if not draft.tables.get("turn", {}).get("interfaces"):
        raise ConfigError("names nothing that hairpin could listen on", source=draft.source)
    try:
        Config(**draft.tables)
    except ConfigError as error:
        key = re.sub(r"\[\d+\]", "", error.key)
        entry = next((draft.origins[name] for name in _prefixes(key) if name in draft.origins), None)
        if entry is None:
            raise ConfigError(error.problem, error.key, draft.source) from None
        raise draft.wrong(entry, error.problem) from None


def _prefixes(key: str) -> Iterator[str]:
    """The key, and each part of it that names something larger; the longest first."""
    while key:
        yield key
        key = key.rpartition(".")[0]


def _report(draft: Draft) -> Iterator[str]:
    for entry, (fate, why) in draft.verdicts.items():
        to = f"{fate.value} to {why}" if fate is Fate.MAPPED else f"{fate.value}: {why}"
        yield f"{draft.source}:{entry.line}: {_cut(entry.key)}: {to}"
    for note in draft.notes:
        yield f"{draft.source}: {note}"
    counted = Counter(fate for fate, _ in draft.verdicts.values())
    yield f"{draft.source}: {', '.join(f'{counted[fate]} {fate.value}' for fate in Fate)}."
    if _secret(draft.tables):
        yield "The settings hold secrets: let nobody but the server's user read them (chmod 600)."


def _in_order(tables: Tables) -> Tables:
    return {section: tables[section] for section in Config.model_fields if section in tables}


def _secret(tables: Tables) -> bool:
    return "auth" in tables or "hooks_secret" in tables.get("api", {})


def _cut(key: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in key[: SHOWN + 1])
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"


def _name(path: Path) -> str:
    return "".join(c if c.isprintable() else "?" for c in path.name)
