"""Finds the policy that the settings name, and looks at it once: what is misspelt would never be asked."""

import difflib
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import cast

from hairpin.config import Config, ConfigError
from hairpin.policy.answers import METHODS, implemented
from hairpin.policy.protocol import Policy

MODULE = "policy.module"
NEAR = 0.85  # of 1: a letter or two are wrong


def look_beside(file: Path) -> None:
    """Let modules in the folder of a settings file be found, behind all others: none of them hides another's."""
    folder = str(file.absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)


def look_at_policy(config: Config, file: Path) -> None:
    """Look at the policy that a settings file names, if it does; ConfigError says what is wrong with it."""
    look_beside(file)
    try:
        choose(config, None)
    except ConfigError as error:
        raise ConfigError(error.problem, error.key, file) from error


def choose(config: Config, given: Policy | None) -> Policy | None:
    """The policy that was given, or that the settings name; ConfigError where both are there, or it will not do."""
    named = config.policy.module
    if given is not None and named:
        raise ConfigError(f"names {named}, but a policy was given: leave one of them out", MODULE)
    if given is not None:
        return _look_at(given, "policy", type(given).__name__)
    return _look_at(_load(named), MODULE, named) if named else None


def _load(named: str) -> object:
    module, _, name = named.partition(":")
    try:
        imported = import_module(module)
        found = attrgetter(name)(imported)
        return found() if inspect.isclass(found) else found
    except Exception as error:
        where = getattr(sys.modules.get(module), "__file__", None)
        what = f"{named} ({where})" if where else named
        raise ConfigError(f"{what} cannot be had: {_one_line(error)}", MODULE) from error


def _look_at(policy: object, key: str, name: str) -> Policy:
    methods = implemented(policy)
    for public in (public for public in dir(policy) if not public.startswith("_") and public not in METHODS):
        if near := difflib.get_close_matches(public, METHODS, 1, NEAR):
            raise ConfigError(f"{name} has {public}, which is never asked: {near[0]} may be meant", key)
    if not methods:
        raise ConfigError(f"{name} has none of {', '.join(METHODS)}", key)
    for method in sorted(methods):
        _look_at_method(getattr(policy, method), method, key, name)
    return cast(Policy, policy)


def _look_at_method(method: object, called: str, key: str, name: str) -> None:
    wanted = list(inspect.signature(getattr(Policy, called)).parameters)[1:]
    try:
        inspect.signature(cast(Callable[..., object], method)).bind(*wanted)
    except (TypeError, ValueError):  # or it is nothing that can be called
        raise ConfigError(f"{name}.{called} has to take ({', '.join(wanted)})", key) from None


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
