"""From a file's keys to tables of settings. A server's keys are a table, a row a key; none goes without a verdict."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hairpin.config import ConfigError
from hairpin.config.sources import Tables


class Fate(Enum):
    """What becomes of a key."""

    MAPPED = "mapped"
    NOT_NEEDED = "not needed"
    NOT_SUPPORTED = "not supported"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A key as it stands in a file; `index` counts the tables of a list that it may be in."""

    line: int
    key: str
    value: Any
    index: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: what becomes of the key, where it goes or why not, and how its value is read (ValueError: it is wrong)."""

    fate: Fate
    why: str
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """A value that was read."""

    entry: Entry
    value: Any


def flag(value: Any) -> bool:
    """Whether a switch is on, as coturn reads it; without a value it is."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in ("", "1", "on", "yes", "true", "y", "t"):
        return True
    if word in ("0", "off", "no", "false", "n", "f"):
        return False
    raise ValueError("is on or off")


def anything(value: Any) -> str:
    """Text that nothing is made of; it may be a secret."""
    return str(value)


def mapped(to: str, read: Callable[[Any], Any]) -> Rule:
    """It becomes this setting."""
    return Rule(Fate.MAPPED, to, read)


def not_needed(why: str, read: Callable[[Any], Any] = anything) -> Rule:
    """hairpin does it anyway, or has no use for it."""
    return Rule(Fate.NOT_NEEDED, why, read)


def not_supported(why: str, read: Callable[[Any], Any] = anything) -> Rule:
    """hairpin does not do it; what to do instead."""
    return Rule(Fate.NOT_SUPPORTED, why, read)


UNKNOWN = Rule(Fate.UNKNOWN, "no key of that server is called so; is it spelled right?", anything)


@dataclass
class Draft:
    """What is made of a file: the tables, a verdict for each key, and what has to be said beside them."""

    source: str
    tables: Tables = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    verdicts: dict[Entry, tuple[Fate, str]] = field(default_factory=dict)
    facts: dict[str, list[Fact]] = field(default_factory=dict)
    origins: dict[str, Entry] = field(default_factory=dict)

    def judge(self, entries: Iterable[Entry], rules: Mapping[str, Rule]) -> None:
        """Give each key its verdict, and keep what it says. ConfigError names the line whose value will not do."""
        for entry in entries:
            rule = rules.get(entry.key) or _wide(entry, rules)
            self.say(entry, rule.fate, rule.why)
            if entry.value in ({}, []) and rule.fate is Fate.MAPPED:
                self.say(entry, Fate.NOT_NEEDED, "it is empty")
                continue
            try:
                value = rule.read(entry.value)
            except ValueError as error:
                raise self.wrong(entry, str(error)) from None
            if value is False:
                self.say(entry, Fate.NOT_NEEDED, "it is off")
                continue
            self.facts.setdefault(entry.key, []).append(Fact(entry, value))
            if rule.fate is Fate.MAPPED:
                self.origins.setdefault(rule.why, entry)

    def say(self, entry: Entry, fate: Fate, why: str) -> None:
        """The verdict on a key; the last one counts."""
        self.verdicts[entry] = (fate, why)

    def wrong(self, entry: Entry, problem: str) -> ConfigError:
        """What is wrong with a line."""
        return ConfigError(problem, entry.key, f"{self.source}:{entry.line}")

    def all(self, key: str) -> list[Fact]:
        """What was said with a key, each time."""
        return self.facts.get(key, [])

    def last(self, key: str, default: Any = None) -> Any:
        """What was said with a key the last time."""
        return self.facts[key][-1].value if key in self.facts else default

    def below(self, key: str) -> list[tuple[str, Fact]]:
        """What was said with the keys of a table whose names are the file's own."""
        return [
            (name.removeprefix(f"{key}."), fact)
            for name, facts in self.facts.items()
            if name.startswith(f"{key}.")
            for fact in facts
        ]

    def groups(self, key: str) -> list[dict[str, Fact]]:
        """The tables of a list, each by its keys."""
        groups: dict[int, dict[str, Fact]] = {}
        for name, fact in self.below(key):
            groups.setdefault(fact.entry.index, {})[name] = fact
        return [groups[index] for index in sorted(groups)]

    def put(self, target: str, value: Any) -> None:
        """Set `section.key`, unless there is nothing to say."""
        if value is None or value == [] or value == {}:
            return
        section, _, key = target.partition(".")
        self.tables.setdefault(section, {})[key] = value

    def move(self, key: str, target: str) -> None:
        """Set what the key says, where the file has it."""
        self.put(target, self.last(key))


def _wide(entry: Entry, rules: Mapping[str, Rule]) -> Rule:
    """The rule for a table whose names are the file's own: `auth.static-credentials.*`."""
    parts = entry.key.split(".")
    for length in range(len(parts), 0, -1):
        if rule := rules.get(".".join([*parts[:length], "*"])):
            return rule
    return UNKNOWN
