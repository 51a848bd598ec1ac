"""Safe by default: which peers are refused, in every disguise, and what the lists change."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairpin.policy.peers import GUARDED, NEVER, Host, Peers, parse_entry, parse_nat64
from hairpin.policy.wrapped import LAYOUTS
from hairpin.stun import Address, Reach

PUBLIC, PUBLIC6 = "8.8.8.8", "2a00:1450::1"
RELAY, BIND, OTHER = "198.18.0.1", "172.31.0.1", "9.9.9.9"  # announced, bound, and one that is merely ours
HOST = Host(
    own=frozenset({"127.0.0.1", "::1", BIND, OTHER}),
    relays=((BIND, RELAY), ("::1", "::1")),
    closed=(Address(BIND, 3478), Address("127.0.0.1", 3000), Address("0.0.0.0", 443)),
)

v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(IPv6Address)
ports = st.integers(0, 65535)
REFUSED4 = [network for network in (*NEVER, *GUARDED) if isinstance(network, IPv4Network)]
refused4 = st.sampled_from(REFUSED4).flatmap(
    lambda network: st.integers(int(network[0]), int(network[-1])).map(IPv4Address)
)


def peers(*allow: str, deny: tuple[str, ...] = (), nat64: tuple[str, ...] = (), host: Host = HOST) -> Peers:
    """The lists on a host with relays."""
    return Peers(host, allow, deny, nat64)


def wrap(prefix: str, inner: IPv4Address, suffix: int = 0) -> str:
    """An IPv4 address in a NAT64 prefix (RFC 6052, section 2.2)."""
    network = IPv6Network(prefix)
    layout = LAYOUTS[network.prefixlen]
    bits = suffix if network.prefixlen == 96 else suffix & (1 << 8 * (15 - layout[-1])) - 1
    packed = bytearray((int(network[0]) | (0 if network.prefixlen == 96 else bits)).to_bytes(16, "big"))
    for byte, value in zip(layout, inner.packed, strict=True):
        packed[byte] = value
    return str(IPv6Address(bytes(packed)))


SPECIAL = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.8.8.8", "168.63.129.16", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.9", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::a00:1", "::ffff:0:7f00:1", "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
    "64:ff9b:1:a00:0:100::", "100::1", "2001::1", "2001:0:808:808::1", "2001:2::1", "2001:db8::1", "2002:808:808::1",
    "3fff::1", "fc00::1", "fd00::1", "fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1",
    "2a00:1450::5efe:a00:1", "2a00:1450::200:5efe:a00:1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("ip", SPECIAL)
def test_refused_by_default(ip: str) -> None:
    """Loopback, unspecified, private, metadata, multicast ... in every form lead nowhere."""
    assert peers(host=Host()).reach(Address(ip, 80)) is None


@pytest.mark.parametrize(
    "ip",
    [
        PUBLIC, PUBLIC6, "1.0.0.1", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
        "168.63.129.15", "168.63.129.17", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "64:ff9b::808:808", "64:ff9b:1:808:8:800::", "::808:808",
        "2a00:1450::5efe:808:808", "2001:1::1", "2003::1", "fbff::1",
    ],
)  # fmt: skip
def test_open_by_default(ip: str) -> None:
    """Everything else is reached, right up to the edge of what is refused."""
    assert peers(host=Host()).reach(Address(ip, 80)) is Reach.OUTSIDE


@given(v4 | v6, ports)
def test_nothing_special_gets_through(ip: IPv4Address | IPv6Address, port: int) -> None:
    """Whatever Python's own table calls not global is refused, but for what the two tables see differently."""
    if peers(host=Host()).reach(Address(str(ip), port)) is Reach.OUTSIDE:
        assert not (ip.is_private or ip.is_multicast or ip.is_loopback or ip.is_link_local or ip.is_unspecified) or any(
            ip in network for network in NAT64_PREFIXES
        )


NAT64_PREFIXES = [IPv6Network("64:ff9b:1::/48"), IPv6Network("64:ff9b::/96")]


@given(st.data())
def test_in_range(data: st.DataObject) -> None:
    """A network holds exactly the addresses whose number lies between its first and its last."""
    bits, build = data.draw(st.sampled_from([(32, IPv4Address), (128, IPv6Address)]))
    length = data.draw(st.integers(0, bits))
    base = data.draw(st.integers(0, 2**bits - 1)) >> (bits - length) << (bits - length)
    entry = parse_entry(f"{build(base)}/{length}")
    low, high = int(entry.network[0]), int(entry.network[-1])
    near = st.sampled_from([low - 1, low, high, high + 1]).filter(lambda number: 0 <= number < 2**bits)
    number = data.draw(near | st.integers(0, 2**bits - 1))
    ip = build(number)
    if entry.network.version == ip.version:  # a mapped network is IPv4's
        assert (ip in entry.network) == (low <= number <= high)


@given(refused4, ports, st.integers(0, 2**64 - 1), st.sampled_from([48, 56, 64, 96]))
def test_every_wrapper(inner: IPv4Address, port: int, noise: int, length: int) -> None:
    """An address that is refused is refused in every IPv6 address that leads to it."""
    nat64 = ("2a00:64::/32", "2a01:64::/40", "2a02:64::/48", "2a03:64::/56", "2a04:64::/64", "2a05:64::/96")
    judge = peers(host=Host(), nat64=nat64)
    wrapped = [f"::ffff:{inner}", f"::{inner}", f"::ffff:0:{inner}", f"64:ff9b::{inner}"]
    wrapped += [wrap(prefix, inner, noise) for prefix in nat64]
    wrapped += [wrap(f"64:ff9b:1::/{length}", inner, noise)]
    if int(inner):  # no translator carries that one, and a shorter layout ends in such zeros
        wrapped += [wrap(f"64:ff9b:1:808::/{max(length, 64)}", inner, noise)]
    wrapped += [f"2a00:1450:0:{noise & 0xFFFF:x}:{flag}:5efe:{inner}" for flag in ("0", "200")]
    wrapped += [f"2002:{int(inner) >> 16:x}:{int(inner) & 0xFFFF:x}::1", f"2001:0:{int(inner) >> 16:x}::1"]
    assert [ip for ip in wrapped if judge.reach(Address(ip, port)) is not None] == []


@given(v4, ports)
def test_known_nat64(inner: IPv4Address, port: int) -> None:
    """Behind a prefix that is named, a peer is judged by the address inside and by nothing else."""
    judge = peers(host=Host(), nat64=("64:ff9b:1:7::/96", "2a00:64::/40"))
    expected = judge.reach(Address(str(inner), port))
    for prefix in ("64:ff9b:1:7::/96", "2a00:64::/40", "64:ff9b::/96"):
        assert judge.reach(Address(wrap(prefix, inner), port)) is expected


def test_allow() -> None:
    """A network that is allowed is reached from outside; the ports where it names some, and those in a wrapper too."""
    judge = peers("10.0.0.0/8", "192.168.0.1:5000-5001", "[fd00::/8]:53", "fe80::/10", host=Host())
    table = {
        ("10.1.2.3", 1): Reach.OUTSIDE, ("192.168.0.1", 5000): Reach.OUTSIDE, ("192.168.0.1", 5001): Reach.OUTSIDE,
        ("192.168.0.1", 5002): None, ("192.168.0.2", 5000): None, ("fd00::1", 53): Reach.OUTSIDE, ("fd00::1", 54): None,
        ("fe80::1", 9): Reach.OUTSIDE, ("::ffff:10.1.2.3", 1): Reach.OUTSIDE, ("64:ff9b::a01:203", 1): Reach.OUTSIDE,
        ("172.16.0.1", 1): None,
    }  # fmt: skip
    assert {(ip, port): judge.reach(Address(ip, port)) for ip, port in table} == table


@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "224.0.0.1", "239.1.1.1", "255.255.255.255", "ff02::1", "ff0e::1"])
def test_never(ip: str) -> None:
    """`allow` never opens unspecified, multicast or broadcast, not in a wrapper either."""
    judge = peers("0.0.0.0/0", "::/0", ip)
    assert judge.reach(Address(ip, 80)) is None
    if ip_address(ip).version == 4:
        assert judge.reach(Address(f"64:ff9b::{ip}", 80)) is None


def test_deny_beats_allow() -> None:
    """Denied is denied, allowed or not, ours or not, wrapped or not; by port where one is named."""
    deny = ("10.0.0.1", "0.0.0.0/0:53", "[::/0]:53", RELAY, "::ffff:9.0.0.0/104")
    judge = peers("10.0.0.0/8", "127.0.0.1", deny=deny)
    refused = [
        ("10.0.0.1", 1), ("10.0.0.2", 53), (PUBLIC, 53), (PUBLIC6, 53), ("127.0.0.1", 53), (RELAY, 50000),
        ("64:ff9b::a00:1", 1), ("64:ff9b::808:808", 53), ("9.1.2.3", 1),
    ]  # fmt: skip
    assert [peer for peer in refused if judge.reach(Address(*peer)) is not None] == []
    assert judge.reach(Address("10.0.0.2", 54)) is Reach.OUTSIDE


@pytest.mark.parametrize(
    ("named", "relay", "other"),
    [((), Reach.INSIDE, None), (("0.0.0.0/0", "::/0"), Reach.BOTH, Reach.BOTH), ((RELAY,), Reach.BOTH, None)],
)
def test_own_addresses(named: tuple[str, ...], relay: Reach, other: Reach | None) -> None:
    """A relay's address leads to live relays, other own addresses nowhere; allowed ones by both ways."""
    judge = peers(*named)
    assert judge.reach(Address(RELAY, 50000)) is relay
    assert [judge.reach(Address(ip, 50000)) for ip in (OTHER, "127.0.0.1", "127.0.0.2")] == [other] * 3
    assert judge.reach(Address("::1", 50000)) is (Reach.BOTH if "::/0" in named else Reach.INSIDE)


@pytest.mark.parametrize(
    ("ip", "port"),
    [(RELAY, 3478), (BIND, 3478), ("127.0.0.1", 3000), (OTHER, 443), (RELAY, 443), ("::1", 443), ("127.0.0.2", 443)],
)
def test_closed(ip: str, port: int) -> None:
    """No listener and no API is a peer, by whichever of its addresses, whatever is allowed."""
    judge = peers("0.0.0.0/0", "::/0")
    assert judge.reach(judge.canonical(Address(ip, port))) is None
    assert judge.reach(judge.canonical(Address(ip, port + 1))) is Reach.BOTH


def test_own_address_in_a_wrapper() -> None:
    """An address of ours is a peer by its own name only: through a translator it would reach what we close."""
    judge = peers("0.0.0.0/0", "::/0")
    assert [judge.reach(Address(f"64:ff9b::{ip}", 50000)) for ip in (RELAY, OTHER, "127.0.0.1")] == [None] * 3


def test_closed_elsewhere() -> None:
    """A port that is closed on every address of ours is open on those of others."""
    assert peers().reach(Address(PUBLIC, 443)) is Reach.OUTSIDE


def test_canonical() -> None:
    """A peer named by the address that our relays are bound to is the relay as it is announced; others stay."""
    judge = peers()
    assert judge.canonical(Address(BIND, 50000)) == Address(RELAY, 50000)
    assert judge.canonical(Address(PUBLIC, 50000)) == Address(PUBLIC, 50000)
    anywhere = peers(host=Host(relays=(("0.0.0.0", RELAY),)))
    assert anywhere.canonical(Address("0.0.0.0", 1)) == Address("0.0.0.0", 1)


@pytest.mark.parametrize(
    ("text", "network", "first", "last"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", 0, 65535),
        ("10.0.0.1", "10.0.0.1/32", 0, 65535),
        ("0.0.0.0/0:53", "0.0.0.0/0", 53, 53),
        ("10.0.0.1:5000-5999", "10.0.0.1/32", 5000, 5999),
        ("2001:db8::/32", "2001:db8::/32", 0, 65535),
        ("[2001:db8::/32]:53", "2001:db8::/32", 53, 53),
        ("[::1]:1-2", "::1/128", 1, 2),
        ("::1:53", "::1:53/128", 0, 65535),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8", 0, 65535),
    ],
)
def test_syntax(text: str, network: str, first: int, last: int) -> None:
    """An entry is a network, and ports behind a colon."""
    entry = parse_entry(text)
    assert (entry.network, entry.ports[0], entry.ports[-1]) == (ip_network(network), first, last)


@pytest.mark.parametrize(
    "text",
    [
        "", "ten", "10", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8:", "10.0.0.0/8:x", "10.0.0.0/8:65536",
        "10.0.0.0/8:2-1", "10.0.0.0/8:-1", "[10.0.0.0/8]:53", "[2001:db8::/32]", "[2001:db8::]/32:53",
        "2001:db8::/32:53", "fe80::1%eth0", " 10.0.0.0/8", "10.0.0.0/8 ", "10.0.0.0/8:٣",
    ],
)  # fmt: skip
def test_malformed_entry(text: str) -> None:
    """A list with an entry that cannot be read is refused, and the entry is named."""
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the message is looked at below)
        Peers(Host(), deny=["10.0.0.0/8", text])
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", ["", "x", "64:ff9b::/95", "64:ff9b::1/96", "10.0.0.0/8", "2001:db8::"])
def test_malformed_nat64(text: str) -> None:
    """RFC 6052, 2.2: a NAT64 prefix has one of six lengths; anything else is refused by name."""
    with pytest.raises(ValueError, match="prefix") as refusal:
        parse_nat64(text)
    assert repr(text) in str(refusal.value)


@given(v4 | v6, ports)
def test_a_verdict_is_always_there(ip: IPv4Address | IPv6Address, port: int) -> None:
    """Any peer gets the same verdict twice, remembered or not, and only our relays' addresses lead inside."""
    address = Address(str(ip), port)
    judge = peers()
    assert judge.reach(address) is judge.reach(address) is peers().reach(address)
    assert (judge.reach(address) in (Reach.INSIDE, Reach.BOTH)) <= (address.ip in (RELAY, "::1"))


@pytest.mark.parametrize(
    ("peer", "says"),
    [
        ("10.1.2.3:80", "10.1.2.3 is in 10.0.0.0/8 (private, RFC 1918), which peers.allow does not name"),
        ("169.254.169.254:80", "is in 169.254.0.0/16 (link-local, metadata of other clouds), which peers.allow"),
        ("[fe80::1]:80", "fe80::1 is in fe80::/10 (link-local), which peers.allow does not name"),
        ("224.0.0.1:80", "224.0.0.1 is in 224.0.0.0/4 (multicast), which is no peer in any case"),
        ("[::]:80", ":: is in ::/128 (unspecified), which is no peer in any case"),
        ("8.8.8.8:53", "8.8.8.8 is in 0.0.0.0/0:53, which peers.deny names"),
        ("9.8.0.1:5", "9.8.0.1 is in 9.8.0.0/16, which peers.deny names"),
        ("[2a00::1]:5999", "2a00::1 is in [2a00::/16]:5000-5999, which peers.deny names"),
        ("127.0.0.1:3000", "127.0.0.1 is this machine, and port 3000 one of hairpin's own"),
        (f"{OTHER}:443", f"{OTHER} is this machine, and port 443 one of hairpin's own"),
        (f"{OTHER}:80", f"{OTHER} is this machine, of which only live relays are peers, and peers.allow does not name"),
        ("[64:ff9b::a00:1]:80", "64:ff9b::a00:1 holds 10.0.0.1, which is in 10.0.0.0/8 (private, RFC 1918), which"),
        ("[64:ff9b::c612:1]:80", "64:ff9b::c612:1 holds 198.18.0.1, which is this machine, and reached by its own"),
    ],
)
def test_what_denies_a_peer(peer: str, says: str) -> None:
    """An entry of the settings with its ports, a network by its name, or what is ours."""
    lists = peers(deny=("0.0.0.0/0:53", "9.8.0.0/16", "[2a00::/16]:5000-5999"))
    assert lists.reach(Address.parse(peer)) is None
    assert says in lists.why_not(Address.parse(peer))


@given(refused4 | v4 | v6 | refused4.map(lambda inner: IPv6Address(wrap("64:ff9b::/96", inner))), ports)
def test_whatever_is_denied_has_a_reason(ip: IPv4Address | IPv6Address, port: int) -> None:
    """Each way to nowhere is one that can be named."""
    lists = peers("10.0.0.0/8", deny=("10.1.0.0/16", "0.0.0.0/0:53"))
    peer = lists.canonical(Address(str(ip), port))
    if lists.reach(peer) is None:
        assert lists.why_not(peer).startswith(f"{peer.ip} ")
