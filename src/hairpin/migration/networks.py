"""Networks out of ranges of addresses, and what is left of some without others.

In coturn and eturnal what is allowed beats what is denied, in hairpin it is the other way round:
so what is allowed is cut out of what is denied.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network, summarize_address_range
from typing import Any

from hairpin.policy.peers import GUARDED, NEVER

Network = IPv4Network | IPv6Network


def networks(value: Any) -> list[Network]:
    """`ADDRESS`, `FIRST-LAST` or `NETWORK/LENGTH`; ValueError where it is none of them."""
    text = str(value).strip()
    first, dash, last = text.partition("-")
    try:
        if dash:
            return list(summarize_address_range(ip_address(first.strip()), ip_address(last.strip())))
        return [ip_network(text, strict=False)]
    except (ValueError, TypeError):
        raise ValueError(f"{text!r} is no address and no range, such as 10.0.0.0-10.255.255.255") from None


def without(some: Iterable[Network], others: Iterable[Network]) -> list[Network]:
    """What is in `some` and not in `others`."""
    left = list(some)
    for other in others:
        left = [piece for network in left for piece in _cut(network, other)]
    return left


def refused_anyway(network: Network) -> bool:
    """Whether no client reaches it unless `peers.allow` says so."""
    return any(_within(network, guarded) for guarded in (*GUARDED, *NEVER))


def texts(some: Iterable[Network]) -> list[str]:
    """Each network once, in order, as settings have them."""
    found = list(some)
    four = [network for network in found if isinstance(network, IPv4Network)]
    six = [network for network in found if isinstance(network, IPv6Network)]
    return [*map(_text, collapse_addresses(four)), *map(_text, collapse_addresses(six))]


def _text(network: Network) -> str:
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address if alone else network)


def _within(one: Network, other: Network) -> bool:
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]


def _cut(network: Network, other: Network) -> list[Network]:
    if _within(network, other):
        return []
    if _within(other, network):
        return list(network.address_exclude(other))  # type: ignore[arg-type]
    return [network]
