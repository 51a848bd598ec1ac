"""Which addresses clients may reach through us, and how: safe where nothing is set.

deny, closed            nowhere, whatever else is said
never to be opened      nowhere
a relay of ours         INSIDE: live relays of this server;   named by allow: BOTH
another address of ours nowhere;                              named by allow: BOTH
a guarded network       nowhere;                              named by allow: OUTSIDE
any other               OUTSIDE
and an IPv4 address inside of an IPv6 address has to be OUTSIDE as well
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import pairwise

from hairpin.policy.entries import Entry, parse_entry, parse_nat64
from hairpin.policy.wrapped import inside
from hairpin.stun import Address, Reach
from hairpin.turn.grant import Reaches

__all__ = ["Host", "Peers", "parse_entry", "parse_nat64"]

IpAddress = IPv4Address | IPv6Address
REMEMBERED = 4096  # verdicts

NEVER: dict[IPv4Network | IPv6Network, str] = {
    ip_network(network): name
    for network, name in {
        "0.0.0.0/32": "unspecified",
        "224.0.0.0/4": "multicast",
        "255.255.255.255/32": "broadcast",
        "::/128": "unspecified",
        "ff00::/8": "multicast",
    }.items()
}
GUARDED: dict[IPv4Network | IPv6Network, str] = {
    ip_network(network): name
    for network, name in {
        "0.0.0.0/8": "this network, RFC 1122",
        "10.0.0.0/8": "private, RFC 1918",
        "100.64.0.0/10": "carrier-grade NAT, RFC 6598",
        "127.0.0.0/8": "loopback",
        "168.63.129.16/32": "Azure's metadata",
        "169.254.0.0/16": "link-local, metadata of other clouds",
        "172.16.0.0/12": "private, RFC 1918",
        "192.0.0.0/24": "IETF protocol assignments, RFC 6890",
        "192.0.2.0/24": "documentation, RFC 5737",
        "192.168.0.0/16": "private, RFC 1918",
        "198.18.0.0/15": "benchmarks, RFC 2544",
        "198.51.100.0/24": "documentation, RFC 5737",
        "203.0.113.0/24": "documentation, RFC 5737",
        "240.0.0.0/4": "reserved",
        "::1/128": "loopback",
        "100::/64": "discard, RFC 6666",
        "2001::/32": "Teredo, RFC 8656, section 21.1.1",
        "2001:2::/48": "benchmarks, RFC 5180",
        "2001:db8::/32": "documentation, RFC 3849",
        "2002::/16": "6to4, RFC 8656, section 21.1.1",
        "3fff::/20": "documentation, RFC 9637",
        "fc00::/7": "unique local",
        "fe80::/10": "link-local",
        "fec0::/10": "site-local",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Host:
    """This machine: its IPs, its relays' IPs (bind, announced), and what nobody reaches by a relay (listeners, API).

    A closed address whose IP is unspecified closes its port on every address of this machine.
    """

    own: frozenset[str] = frozenset()
    relays: tuple[tuple[str, str], ...] = ()
    closed: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of an IP; the port decides the rest."""

    denied: tuple[range, ...]
    allowed: tuple[range, ...]
    usual: Reach | None
    opened: Reach | None
    inside: tuple["Verdict", ...]

    def cuts(self) -> set[int]:
        """The ports at which the verdict may change."""
        ranges = (*self.denied, *self.allowed)
        inner = (cut for verdict in self.inside for cut in verdict.cuts())
        return {0, 65536, *(cut for ports in ranges for cut in (ports.start, ports.stop)), *inner}

    def at(self, port: int) -> Reach | None:
        """Where data for this port may go."""
        if any(port in ports for ports in self.denied):
            return None
        if any(verdict.at(port) is not Reach.OUTSIDE for verdict in self.inside):
            return None
        return self.opened if any(port in ports for ports in self.allowed) else self.usual


class Peers:
    """The lists of `[peers]`, and what they say of a peer. ValueError names an entry that is none."""

    def __init__(
        self, host: Host, allow: Iterable[str] = (), deny: Iterable[str] = (), nat64: Iterable[str] = ()
    ) -> None:
        """Judge for this machine by these lists (the syntax stands in `entries`)."""
        self._allow = tuple(map(parse_entry, allow))
        self._deny = tuple(map(parse_entry, deny))
        self._nat64 = tuple(map(parse_nat64, nat64))
        pairs = [(Address(bind, 0).ip, Address(announced, 0).ip) for bind, announced in host.relays]
        self._announced = {bind: announced for bind, announced in pairs if not ip_address(bind).is_unspecified}
        self._relays = frozenset(ip_address(announced) for _, announced in pairs)
        self._closed = tuple((ip_address(closed.ip), closed.port) for closed in map(self.canonical, host.closed))
        named = [*map(ip_address, host.own), *map(ip_address, self._announced), *(ip for ip, _ in self._closed)]
        self._own = self._relays.union(ip for ip in named if not ip.is_unspecified)
        self.reaches = lru_cache(REMEMBERED)(self._reaches)

    def canonical(self, peer: Address) -> Address:
        """A peer by its announced address: a relay of ours is the same by the IP that it is bound to."""
        announced = self._announced.get(peer.ip)
        return peer if announced is None else Address(announced, peer.port)

    def reach(self, peer: Address) -> Reach | None:
        """Where data for a canonical peer may go; None for nowhere."""
        reaches = self.reaches(peer.ip)
        return next((reach for first, last, reach in reaches if first <= peer.port <= last), None)

    def why_not(self, peer: Address) -> str:
        """What denies a canonical peer that `reach` leads nowhere: an entry of the settings, or a network of ours."""
        return f"{peer.ip} {self._denial(ip_address(peer.ip), peer.port)}"

    def forms(self, ip: str) -> tuple[str, ...]:
        """A canonical peer's IP, and the IPv4 addresses inside of it: whoever reaches the one may reach the others."""
        return (ip, *sorted(map(str, self._inside(ip_address(ip)))))

    def _reaches(self, ip: str) -> Reaches:
        """Where data for an IP may go, by port: cut where the verdict may change."""
        verdict = self._judge(ip)
        cuts = sorted(verdict.cuts())
        pieces = ((first, last - 1, verdict.at(first)) for first, last in pairwise(cuts))
        return tuple((first, last, reach) for first, last, reach in pieces if reach is not None)

    def _judge(self, text: str) -> Verdict:
        ip = ip_address(text)
        ours = self._is_ours(ip)
        usual, opened = self._defaults(ip, ours)
        return Verdict(
            denied=_ports(self._deny, ip) + (self._closed_ports(ip) if ours else ()),
            allowed=_ports(self._allow, ip),
            usual=usual,
            opened=opened,
            inside=tuple(self._judge(str(v4)) for v4 in self._inside(ip)),
        )

    def _is_ours(self, ip: IpAddress) -> bool:
        return ip in self._own or ip.is_loopback

    def _inside(self, ip: IpAddress) -> Iterable[IPv4Address]:
        return () if ip.version == 4 or self._is_ours(ip) else inside(ip, self._nat64)

    def _denial(self, ip: IpAddress, port: int) -> str:
        """What denies an IP at this port, after its name."""
        for entry in self._deny:
            if ip in entry.network and port in entry.ports:
                return f"is in {entry}, which peers.deny names"
        if self._is_ours(ip) and any(port in ports for ports in self._closed_ports(ip)):
            return f"is this machine, and port {port} one of hairpin's own"
        for network in NEVER:
            if ip in network:
                return f"is in {network} ({NEVER[network]}), which is no peer in any case"
        return self._denial_inside(ip, port) or self._usual_denial(ip)

    def _denial_inside(self, ip: IpAddress, port: int) -> str | None:
        for v4 in self._inside(ip):
            reach = self.reach(Address(str(v4), port))
            if reach is None:
                return f"holds {v4}, which {self._denial(v4, port)}"
            if reach is not Reach.OUTSIDE:
                return f"holds {v4}, which is this machine, and reached by its own address only"
        return None

    def _usual_denial(self, ip: IpAddress) -> str:
        if self._is_ours(ip):
            return "is this machine, of which only live relays are peers, and peers.allow does not name it"
        network = next(network for network in GUARDED if ip in network)
        return f"is in {network} ({GUARDED[network]}), which peers.allow does not name"

    def _defaults(self, ip: IpAddress, ours: bool) -> tuple[Reach | None, Reach | None]:
        """Where data for an IP may go, as long as `allow` does not name it, and then."""
        if any(ip in network for network in NEVER):
            return None, None
        if ours:
            return Reach.INSIDE if ip in self._relays else None, Reach.BOTH
        return None if any(ip in network for network in GUARDED) else Reach.OUTSIDE, Reach.OUTSIDE

    def _closed_ports(self, ip: IpAddress) -> tuple[range, ...]:
        return tuple(range(port, port + 1) for at, port in self._closed if at == ip or at.is_unspecified)


def _ports(entries: Iterable[Entry], ip: IpAddress) -> tuple[range, ...]:
    return tuple(entry.ports for entry in entries if ip in entry.network)
