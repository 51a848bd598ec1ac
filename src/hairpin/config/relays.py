"""Which addresses relays bind and announce, for each interface and IP version."""

from dataclasses import dataclass
from typing import TypeAlias

from hairpin.config.fields import AUTO, by_family
from hairpin.config.tree import Config

Pair: TypeAlias = tuple[str, str]
"""The IP that relay sockets bind, and the one that clients and peers are told: `auto` until it is found."""


@dataclass(frozen=True, slots=True)
class Relays:
    """All pairs, each once, and for each interface (in the order of the settings) its pair by IP version."""

    pairs: tuple[Pair, ...]
    interfaces: tuple[dict[int, Pair], ...]


def relays_for(config: Config) -> Relays:
    """The relay addresses: of `[relay]`, else of the interface, and of the first one for a family that it lacks."""
    given = _given(config)
    first: dict[int, Pair] = {}
    own: list[dict[int, Pair]] = []
    for interface in config.turn.interfaces:
        pair = (interface.bind.ip, interface.external_ip)
        first.setdefault(interface.bind.version, pair)
        own.append({interface.bind.version: pair})
    interfaces = tuple(given or first | pair for pair in own)
    pairs = dict.fromkeys(pair for families in interfaces for pair in families.values())
    return Relays(tuple(pairs), interfaces)


def _given(config: Config) -> dict[int, Pair]:
    if AUTO in config.relay.external:
        return {family: (ip, AUTO) for family, ip in by_family("bind", config.relay.bind).items()}
    external = by_family("external", config.relay.external)
    return {family: (ip, external.get(family, ip)) for family, ip in by_family("bind", config.relay.bind).items()}
