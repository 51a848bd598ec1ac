"""IPv4 addresses inside of IPv6 addresses: whoever reaches the one may reach the other, so policy judges both."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network

# Which bytes hold the address, by the length of the prefix (RFC 6052, section 2.2; byte 8 is reserved).
LAYOUTS = {
    32: (4, 5, 6, 7),
    40: (5, 6, 7, 9),
    48: (6, 7, 9, 10),
    56: (7, 9, 10, 11),
    64: (9, 10, 11, 12),
    96: (12, 13, 14, 15),
}
WRAPPERS = (
    IPv6Network("::/96"),  # IPv4-compatible (RFC 4291, section 2.5.5.1)
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped (RFC 4291, section 2.5.5.2)
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated (RFC 2765, section 2.1)
    IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052, section 2.1)
)
LOCAL_USE = IPv6Network("64:ff9b:1::/48")  # NAT64 with a prefix of 48 bits or more that only its owner knows (RFC 8215)
ISATAP = (bytes.fromhex("00005efe"), bytes.fromhex("02005efe"))  # RFC 5214, section 6.1
NOTHING = IPv4Address(0)


def inside(ip: IPv6Address, nat64: Sequence[IPv6Network]) -> set[IPv4Address]:
    """Every IPv4 address that may be meant; `nat64` are the prefixes of translators that are known."""
    lengths = [prefix.prefixlen for prefix in (*nat64, *WRAPPERS) if ip in prefix]
    if not lengths and ip in LOCAL_USE:
        lengths = [length for length in LAYOUTS if length >= LOCAL_USE.prefixlen]
    found = {_read(ip, LAYOUTS[length]) for length in lengths}
    if len(found) > 1:
        found.discard(NOTHING)  # the suffix of a shorter layout, read by a longer one
    if ip.packed[8:12] in ISATAP:
        found.add(_read(ip, LAYOUTS[96]))
    return found


def _read(ip: IPv6Address, layout: Sequence[int]) -> IPv4Address:
    return IPv4Address(bytes(ip.packed[byte] for byte in layout))
