"""The border between Python, which decides, and Rust, which moves bytes.

Times are nanoseconds on CLOCK_MONOTONIC. A flow is an opaque int (worker, slot, generation) that names one
five-tuple; a command for a flow that is gone does nothing. Commands of one flow are carried out in the order given.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import final

__all__ = [
    "Acknowledged",
    "Address",
    "Attribute",
    "Certificate",
    "Closed",
    "Core",
    "Counters",
    "DecodeError",
    "Kind",
    "Listener",
    "Message",
    "Method",
    "Moving",
    "Options",
    "PeerConnection",
    "Reach",
    "Request",
    "Table",
    "Totals",
    "Transport",
    "host_addresses",
]

class Transport(IntEnum):
    UDP = 0
    TCP = 1

class Kind(IntEnum):
    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3

class Method(IntEnum):
    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C

class Attribute(IntEnum):
    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    SOURCE_ADDRESS = 0x0004
    CHANGED_ADDRESS = 0x0005
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    ACCESS_TOKEN = 0x001B
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PADDING = 0x0026
    RESPONSE_PORT = 0x0027
    CONNECTION_ID = 0x002A
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    ALTERNATE_DOMAIN = 0x8003
    ICMP = 0x8004
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C
    THIRD_PARTY_AUTHORIZATION = 0x802E
    MOBILITY_TICKET = 0x8030

class Reach(IntEnum):
    """Where data for a permitted address may go: out by the relay's socket, to a live relay of ours, or either."""

    OUTSIDE = 0
    INSIDE = 1
    BOTH = 2

class DecodeError(ValueError): ...

@final
class Address:
    """An IP address and a port; frozen, hashable, ordered. A v4-mapped IPv6 address is its IPv4 address."""

    def __new__(cls, ip: str, port: int) -> Address: ...
    @staticmethod
    def parse(text: str) -> Address: ...
    @property
    def ip(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def version(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Address, /) -> bool: ...
    def __le__(self, other: Address, /) -> bool: ...
    def __gt__(self, other: Address, /) -> bool: ...
    def __ge__(self, other: Address, /) -> bool: ...
    def __hash__(self) -> int: ...

_Value = int | str | bytes | Address | tuple[int, str] | tuple[int, int, str] | tuple[int, ...]

@final
class Message:
    """A STUN message (RFC 8489, section 5), frozen. A property is the first attribute of its name, or None."""

    @staticmethod
    def decode(data: bytes) -> Message: ...
    @staticmethod
    def build(
        method: int,
        kind: int,
        transaction_id: bytes,
        attributes: Sequence[tuple[int, _Value]],
        key: bytes | None = None,
    ) -> Message: ...
    def answer(self, attributes: Sequence[tuple[int, _Value]], key: bytes | None = None) -> Message: ...
    def verify(self, key: bytes) -> bool: ...
    def attributes(self) -> list[tuple[int, _Value | None]]: ...
    def __bytes__(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def method(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def transaction_id(self) -> bytes: ...
    @property
    def unknown(self) -> tuple[int, ...]: ...
    @property
    def malformed(self) -> tuple[int, ...]: ...
    @property
    def peers(self) -> tuple[Address, ...]: ...
    @property
    def username(self) -> str | None: ...
    @property
    def userhash(self) -> bytes | None: ...
    @property
    def password_algorithm(self) -> int | None: ...
    @property
    def access_token(self) -> bytes | None: ...
    @property
    def realm(self) -> str | None: ...
    @property
    def nonce(self) -> str | None: ...
    @property
    def error_code(self) -> tuple[int, str] | None: ...
    @property
    def channel_number(self) -> int | None: ...
    @property
    def lifetime(self) -> int | None: ...
    @property
    def even_port(self) -> int | None: ...
    @property
    def requested_transport(self) -> int | None: ...
    @property
    def requested_address_family(self) -> int | None: ...
    @property
    def additional_address_family(self) -> int | None: ...
    @property
    def dont_fragment(self) -> bool: ...
    @property
    def reservation_token(self) -> bytes | None: ...
    @property
    def mobility_ticket(self) -> bytes | None: ...
    @property
    def connection_id(self) -> int | None: ...
    @property
    def xor_relayed_address(self) -> Address | None: ...
    @property
    def xor_mapped_address(self) -> Address | None: ...
    @property
    def data(self) -> bytes | None: ...

@final
class Counters:
    """Packets and bytes of one client, as the server's socket towards that client saw them; `peers_` are the payloads
    between its relays and peers, elsewhere or in this server, that its permissions, leases and rate let through.
    """

    def __new__(cls) -> Counters: ...
    @property
    def received_bytes(self) -> int: ...
    @property
    def send_bytes(self) -> int: ...
    @property
    def received_pkts(self) -> int: ...
    @property
    def send_pkts(self) -> int: ...
    @property
    def error_pkts(self) -> int: ...
    @property
    def peers_received_bytes(self) -> int: ...
    @property
    def peers_send_bytes(self) -> int: ...
    @property
    def peers_received_pkts(self) -> int: ...
    @property
    def peers_send_pkts(self) -> int: ...

@final
class Request:
    """A request with a valid nonce; `verified` where its integrity was proved with the key that the flow holds."""

    def __new__(
        cls, flow: int, message: Message, source: Address, local: Address, listener: int, transport: int, verified: bool
    ) -> Request: ...
    @property
    def flow(self) -> int: ...
    @property
    def message(self) -> Message: ...
    @property
    def source(self) -> Address: ...
    @property
    def local(self) -> Address: ...
    @property
    def listener(self) -> int: ...
    @property
    def transport(self) -> int: ...
    @property
    def verified(self) -> bool: ...

@final
class Closed:
    """The client's connection went away by itself; the flow is gone already."""

    @property
    def flow(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def counters(self) -> Counters: ...

@final
class Moving:
    """The first data came on a flow where a session is expected, or (`away`) the stream of a mobile client ended."""

    @property
    def flow(self) -> int: ...
    @property
    def away(self) -> bool: ...

@final
class PeerConnection:
    """A TCP connection between a flow's relayed transport address and a peer: arrived, connected, failed or closed."""

    @property
    def flow(self) -> int: ...
    @property
    def peer(self) -> Address: ...
    @property
    def change(self) -> str: ...

@final
class Acknowledged:
    """A command with a token was carried out, after the batch in hand; no counters where the flow was gone."""

    @property
    def token(self) -> int: ...
    @property
    def counters(self) -> Counters | None: ...

@final
class Totals:
    """One worker's figures: all sessions that live or lived, strangers apart, and drops by reason."""

    @property
    def token(self) -> int: ...
    @property
    def worker(self) -> int: ...
    @property
    def sessions(self) -> Counters: ...
    @property
    def strangers(self) -> Counters: ...
    @property
    def drops(self) -> dict[str, int]: ...

@final
class Options:
    """What the packet path must know: `relays` pairs bind IPs with announced IPs, `closed` are never peers.

    `squares` are listeners, by number and announced address, on A1:P1, A1:P2, A2:P1 and A2:P2 (RFC 5780);
    `classic` answers RFC 3489's Binding; `third_party` is the name that access tokens are made for (RFC 7635).
    """

    def __new__(
        cls,
        *,
        realm: str,
        nonce_secret: bytes,
        limiter_seed: int,
        relays: Sequence[tuple[str, str]],
        closed: Sequence[Address] = ...,
        squares: Sequence[Sequence[tuple[int, Address]]] = ...,
        classic: bool = ...,
        third_party: str | None = ...,
    ) -> Options: ...

@final
class Certificate:
    """A chain and its private key, from PEM. ValueError's arguments: "cert" or "key", and what is wrong with it."""

    def __new__(cls, cert: bytes, key: bytes) -> Certificate: ...
    @property
    def serves_dtls(self) -> bool: ...  # its key is one for ECDSA with P-256 or P-384

@final
class Listener:
    """An address that clients use: UDP or TCP. With certificates DTLS or TLS (the first is for who names no server),
    and TCP too where `plain`. Connections from `proxies`, networks by first and last IP, begin with a PROXY header.
    """

    def __new__(
        cls,
        transport: int,
        address: Address,
        certificates: Sequence[Certificate] = ...,
        plain: bool = False,
        proxies: Sequence[tuple[str, str]] = ...,
    ) -> Listener: ...

class _Commands:
    """What both have in common. A token that is not 0 is acknowledged; reaches are first port, last port, Reach.

    Between `hold` and `release` commands wake no worker: at `release` it is woken once for all of them.
    """

    def drain(self, limit: int) -> list[Request | Closed | Moving | PeerConnection | Acknowledged | Totals]: ...
    def hold(self) -> None: ...
    def release(self) -> None: ...
    def reply(
        self, flow: int, request: Message, attributes: Sequence[tuple[int, _Value]], key: bytes | None = None
    ) -> None: ...
    def challenge(self, flow: int, message: Message) -> None: ...
    def install_key(self, flow: int, username: str, algorithm: int, key: bytes, rate: int) -> None: ...
    def open_relay(self, flow: int, bind: Address, external: Address, deadline: int, reserve: bool = False) -> None: ...
    def unreserve(self, bind: Address) -> None: ...
    def listen(self, flow: int, bind: Address, external: Address, deadline: int, connections: int) -> None: ...
    def connect(self, flow: int, peer: Address, reach: int) -> None: ...
    def disconnect(self, flow: int, peer: Address) -> None: ...
    def join(self, flow: int, answer: Message, owner: int, peer: Address) -> None: ...
    def send(self, flow: int, message: Message) -> None: ...
    def extend_relay(self, flow: int, version: int, deadline: int) -> None: ...
    def close_relay(self, flow: int, version: int) -> None: ...
    def permit(self, flow: int, ip: str, reaches: Sequence[tuple[int, int, int]], deadline: int) -> None: ...
    def forbid(self, flow: int, ip: str) -> None: ...
    def bind_channel(self, flow: int, number: int, peer: Address, deadline: int) -> None: ...
    def unbind(self, flow: int, number: int) -> None: ...
    def keep(self, flow: int) -> None: ...
    def expect(self, flow: int) -> None: ...
    def move_session(self, flow: int, to: int) -> None: ...
    def close(self, flow: int, disconnect: bool, token: int) -> None: ...
    def counters(self, flow: int, token: int) -> None: ...
    def offer_anonymity(self, offered: bool) -> None: ...
    def set_rates(self, source: int, session: int, user: int) -> None: ...
    def totals(self, token: int) -> None: ...

@final
class Core(_Commands):
    """Worker threads with their listeners, bound at once (OSError) and served from `start` on."""

    def __new__(cls, options: Options, listeners: Sequence[Listener], workers: int) -> Core: ...
    def listeners(self) -> list[tuple[Address, int]]: ...
    def set_certificates(self, listener: int, certificates: Sequence[Certificate]) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def fileno(self) -> int: ...

@final
class Table(_Commands):
    """The same path and the same commands in memory, without sockets; `now` is set by hand.

    A client's port says whose of the `workers` it is, as the kernel's draw does.
    """

    now: int
    def __new__(cls, options: Options, listeners: Sequence[tuple[int, Address]], workers: int = 1) -> Table: ...
    def from_client(self, listener: int, source: Address, data: bytes) -> list[tuple[Address, Address, bytes]]: ...
    def from_peer(self, relay: Address, source: Address, data: bytes) -> list[tuple[Address, Address, bytes]]: ...
    def outputs(self) -> list[tuple[Address, Address, bytes]]: ...
    def entries(self) -> list[tuple[int, list[Address], list[tuple[str, int]], list[tuple[int, Address, int]]]]: ...

def host_addresses() -> list[str]: ...
