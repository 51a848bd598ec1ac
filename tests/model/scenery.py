"""What the model's histories are made of: clients, users and peers, and requests and answers as bytes."""

import hashlib
import hmac
import struct
from base64 import b64encode
from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import strategies as st

import client as codec
from client import Endpoint, build, mask, parse, unmask
from hairpin._core import Options, Table
from hairpin.stun import Address
from hairpin.turn.grant import Limits
from hairpin.turn.settings import ListenerSettings, RelayAddress, Settings
from model import reference as law
from model.reference import SECOND, Answered, Ask, Reference

TICKET = 0x8030  # RFC 8016
REALM, SOFTWARE = "hairpin.test", "hairpin/test"
START = 1000 * SECOND + 7
WORKERS = 3  # by the ports of CLIENTS: a client that moves, or redeems a token, is mostly another worker's than before
RELAYS = {4: ("10.9.9.9", "192.0.2.1"), 6: ("2001:db8:1::1", "2001:db8:1::1")}
LISTENERS = [
    (0, ("192.0.2.1", 3478)),
    (1, ("192.0.2.1", 3478)),
    (0, ("2001:db8:1::1", 3478)),
    (1, ("2001:db8:1::1", 3478)),
]
CLIENTS: dict[str, tuple[int, Endpoint]] = {
    "udp": (0, ("198.51.100.1", 1111)),
    "other": (0, ("198.51.100.1", 2222)),
    "tcp": (1, ("198.51.100.1", 3333)),
    "udp6": (2, ("2001:db8:9::1", 1111)),
    "tcp6": (3, ("2001:db8:9::1", 3333)),
}
CAROL = "3000:carol"  # until that second
PASSWORDS = {
    "alice": "secret",
    "bob": "other",
    CAROL: b64encode(hmac.digest(b"shared", CAROL.encode(), "sha1")).decode(),
}
KEYS = {user: hashlib.md5(f"{user}:{REALM}:{word}".encode()).digest() for user, word in PASSWORDS.items()}
LIMITS = Limits(
    sessions_per_user=law.SESSIONS_PER_USER,
    permissions=law.PERMISSIONS,
    channels=law.CHANNELS,
    lifetime_max=law.MAX_LIFETIME,
    session_max=law.SESSION_MAX // SECOND,
)
METHODS = {"allocate": 3, "refresh": 4, "permit": 8, "bind": 9}
BEFORE_INTEGRITY = {"no username": codec.USERNAME, "no realm": codec.REALM, "no nonce": codec.NONCE}

clients = st.sampled_from(sorted(CLIENTS))
who = st.integers(0, 9)  # of those that have allocated, or at times any
users = st.sampled_from(["alice", "bob", CAROL])
anyone = st.sampled_from(["own"] * 9 + ["alice", "bob", CAROL])
peers: st.SearchStrategy[Endpoint] = st.sampled_from(
    [
        *[("203.0.113.5", 4000), ("203.0.113.5", 4001), ("203.0.113.6", 4000), ("203.0.113.7", 4000)],
        *[("::ffff:203.0.113.5", 4000), ("10.0.0.1", 80), ("127.0.0.1", 3000), ("169.254.169.254", 80)],
        *[("2001:db8:7::5", 4000), ("2001:db8:7::6", 4000), ("fe80::1", 4000), ("64:ff9b::7f00:1", 80)],
        *[(ip, port) for ip in ("192.0.2.1", "10.9.9.9", "2001:db8:1::1") for port in (*law.PORTS, 3478)],
    ]
)
friends: st.SearchStrategy[Endpoint] = st.builds(
    lambda ip, port: (ip, port),
    st.sampled_from(["203.0.113.5", "203.0.113.6", "203.0.113.7", "192.0.2.1", "2001:db8:7::5", "2001:db8:1::1"]),
    st.sampled_from([4000, 4001, 50000]),
)
flaws = st.sampled_from([""] * 24 + [
    "no integrity", "no username", "no realm", "no nonce", "forged nonce", "wrong realm",
    "wrong password", "unknown user", "unknown attribute", "broken attribute",
])  # fmt: skip
lags = st.sampled_from([0] * 12 + [1, 60, 300, 600])
seconds = st.sampled_from([1, 1, 1, 40, 60, 60, 100, 299, 300, 300, 301, 599, 600, 601, 1800, 1801, 3600])
channels = st.sampled_from([0x4000, 0x4001, 0x4002] * 3 + [0x4FFF, 0x3FFF, 0x5000])
payloads = st.sampled_from([b"", b"x", b"four", b"hello", bytes(1200)])


def reach(ip: str) -> str | None:
    """The settings of `machine`, in the reference's words."""
    if ip in ("192.0.2.1", "2001:db8:1::1"):
        return "in"
    return "out" if ip.startswith(("203.0.113.", "2001:db8:7:")) else None


def endpoint(address: Address) -> Endpoint:
    """As the tests' codec has it."""
    return address.ip, address.port


def make_table() -> Table:
    """The packet path without sockets."""
    options = Options(realm=REALM, nonce_secret=bytes(range(32)), limiter_seed=1, relays=list(RELAYS.values()))
    return Table(options, [(kind, Address(*address)) for kind, address in LISTENERS], WORKERS)


def rules_settings() -> Settings:
    """Every listener relays to both families."""
    relays = {version: RelayAddress(*pair) for version, pair in RELAYS.items()}
    listeners = tuple(ListenerSettings(Address(*address), relays) for _, address in LISTENERS)
    return Settings(listeners, ports=(law.PORTS[0], law.PORTS[-1]), mobility=True, software=SOFTWARE)


def chance() -> Callable[[int], int]:
    """The same in every run."""
    numbers = count()
    return lambda n: next(numbers) * 7919 % n


def encode(ask: Ask, nonce: bytes) -> bytes:
    """The bytes of a request, with its flaw."""
    attributes = [(codec.XOR_PEER_ADDRESS, mask(peer, ask.transaction)) for peer in ask.peers]
    if ask.transport is not None:
        attributes.append((codec.TRANSPORT, bytes([ask.transport, 0, 0, 0])))
    if ask.family is not None:
        attributes.append((codec.FAMILY, bytes([ask.family, 0, 0, 0])))
    if ask.additional is not None:
        attributes.append((codec.ADDITIONAL_FAMILY, bytes([ask.additional, 0, 0, 0])))
    if ask.even is not None:
        attributes.append((codec.EVEN_PORT, bytes([ask.even << 7])))
    if ask.token is not None:
        attributes.append((codec.RESERVATION_TOKEN, ask.token))
    if ask.lifetime is not None:
        attributes.append((codec.LIFETIME, struct.pack("!I", ask.lifetime)))
    if ask.channel is not None:
        attributes.append((codec.CHANNEL_NUMBER, struct.pack("!HH", ask.channel, 0)))
    if ask.ticket is not None:
        attributes.append((TICKET, ask.ticket))
    if ask.flaw == "unknown attribute":
        attributes.append((0x7FFF, b"?"))
    if ask.flaw == "broken attribute":
        attributes.insert(0, (codec.LIFETIME, b"\0\0\x07"))
    key = None
    if ask.flaw != "no integrity":
        nonce = b"x" * 36 if ask.flaw == "forged nonce" else nonce
        realm = b"elsewhere" if ask.flaw == "wrong realm" else REALM.encode()
        known = [(codec.USERNAME, ask.user.encode()), (codec.REALM, realm), (codec.NONCE, nonce)]
        attributes += [one for one in known if one[0] != BEFORE_INTEGRITY.get(ask.flaw)]
        key = b"wrong" if ask.flaw == "wrong password" else KEYS.get(ask.user, b"whatever")
    return build(ask.number | codec.REQUEST, ask.transaction, attributes, key, fingerprint=ask.fingerprint)


def the_law() -> Reference:
    """The reference for these clients, users and settings."""
    return Reference(
        clients={name: address for name, (_, address) in CLIENTS.items()},
        streams={name for name, (listener, _) in CLIENTS.items() if LISTENERS[listener][0]},
        users={"alice": ("alice", None), "bob": ("bob", None), CAROL: ("carol", 3000)},
        relay_ips={version: external for version, (_, external) in RELAYS.items()},
        aliases=dict(RELAYS.values()),
        reach=reach,
    )


def answered(message: codec.Answer) -> Answered:
    """An answer in the reference's words."""
    says: dict[str, Any] = {}
    for code, value in message.attributes:
        if code == codec.XOR_RELAYED_ADDRESS:
            says["relayed"] = (*says.get("relayed", ()), unmask(value, message.transaction))
        elif code == codec.RESERVATION_TOKEN:
            says["token"] = value
        elif code == codec.XOR_MAPPED_ADDRESS:
            says["mapped"] = unmask(value, message.transaction)
        elif code == codec.ADDRESS_ERROR_CODE:
            says["failed"] = (*says.get("failed", ()), (value[0], 100 * value[2] + value[3]))
        elif code == codec.LIFETIME:
            says["lifetime"] = int.from_bytes(value, "big")
        elif code == TICKET:
            says["ticket"] = value
        elif code == codec.UNKNOWN_ATTRIBUTES:
            says["unknown"] = struct.unpack(f"!{len(value) // 2}H", value)
        elif code == codec.PASSWORD_ALGORITHMS:
            says["algorithms"] = value
        elif code in (codec.REALM, codec.NONCE, 0x8022):
            says[{codec.REALM: "realm", codec.NONCE: "nonce"}.get(code, "software")] = value not in (b"",)
        else:
            assert code in (codec.ERROR_CODE, codec.INTEGRITY, codec.FINGERPRINT)
    assert message.kind == (codec.ERROR if message.error else codec.SUCCESS)
    signed = [user for user, key in KEYS.items() if message.signed(key)]
    assert bool(signed) == (message.get(codec.INTEGRITY) is not None)
    fingerprint = message.get(codec.FINGERPRINT) is not None
    return Answered(
        message.method, message.transaction, message.error, says, signed[0] if signed else None, fingerprint
    )


def first_nonces() -> dict[str, tuple[bytes, int]]:
    """What each client is told when it first asks: the same in all runs."""
    table = make_table()
    table.now = START
    nonces = {}
    for name, (listener, address) in CLIENTS.items():
        ((_, _, data),) = table.from_client(listener, Address(*address), build(codec.ALLOCATE, bytes(12), []))
        nonces[name] = parse(data).get(codec.NONCE) or b"", START
    return nonces


NONCES = first_nonces()
