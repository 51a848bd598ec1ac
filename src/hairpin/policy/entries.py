"""Entries of `peers.allow`, `peers.deny` and `peers.nat64`, as people write them.

203.0.113.7        an address                   10.0.0.0/8             a network
10.0.0.0/8:53      one port of it               10.0.0.0/8:5000-5999   some of its ports
2001:db8::/32      the same for IPv6            [2001:db8::/32]:53     which needs brackets before ports
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from hairpin.policy.wrapped import LAYOUTS

ALL_PORTS = range(65536)
WITH_PORTS = re.compile(
    r"(?:\[(?P<v6>[^\[\]]*:[^\[\]]*)\]|(?P<v4>[^\[\]:]+)):(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?", re.A
)
MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class Entry:
    """A network, and the ports of it that are meant."""

    network: IPv4Network | IPv6Network
    ports: range = ALL_PORTS

    def __str__(self) -> str:
        if self.ports == ALL_PORTS:
            return str(self.network)
        network = f"[{self.network}]" if self.network.version == 6 else self.network
        first, last = self.ports[0], self.ports[-1]
        return f"{network}:{first}" if first == last else f"{network}:{first}-{last}"


def parse_entry(text: str) -> Entry:
    """The entry that a text stands for; ValueError names it where it is none."""
    match = WITH_PORTS.fullmatch(text)
    try:
        if match is None:
            return Entry(_network(text))
        network, first, last = match["v6"] or match["v4"], int(match["first"]), int(match["last"] or match["first"])
        if not first <= last < len(ALL_PORTS):
            raise ValueError(f"{first}-{last} are no ports")
        return Entry(_network(network), range(first, last + 1))
    except ValueError as error:
        raise ValueError(f"{text!r} is no network, as 10.0.0.0/8 or 10.0.0.0/8:53: {error}") from None


def parse_nat64(text: str) -> IPv6Network:
    """A prefix of a NAT64 (RFC 6052, section 2.2); ValueError names it where it is none."""
    try:
        network = IPv6Network(_without_zone(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is no IPv6 prefix: {error}") from None
    if network.prefixlen not in LAYOUTS:
        raise ValueError(f"{text!r} is no NAT64 prefix: its length must be one of {', '.join(map(str, LAYOUTS))}")
    return network


def _network(text: str) -> IPv4Network | IPv6Network:
    """A mapped network is the IPv4 network inside, for peers are named by that; otherwise it would never match."""
    network = ip_network(_without_zone(text))
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        inside = network.network_address.ipv4_mapped
        return IPv4Network((int(inside or 0), network.prefixlen - 96))
    return network


def _without_zone(text: str) -> str:
    if "%" in text:
        raise ValueError("peers are named without a zone")
    return text
