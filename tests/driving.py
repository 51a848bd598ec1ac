"""The engine over the packet path in memory: a clock and a hook that tests drive by hand, and clients."""

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, cast

import client as codec
from client import Answer, Attributes, Endpoint, build, long_term_key, mask, parse
from hairpin._core import Options, Table
from hairpin.auth import AccessTokens, Authenticator, PasswordHook, SharedSecrets, StaticUsers
from hairpin.engine import Backend, Engine, PolicyCalls, Rulings
from hairpin.policy.grants import Grants
from hairpin.policy.peers import Host, Peers
from hairpin.policy.protocol import Policy
from hairpin.stun import Address, Counters
from hairpin.turn.effects import Notify, Refused
from hairpin.turn.grant import Limits
from hairpin.turn.server import Server
from hairpin.turn.settings import ListenerSettings, RelayAddress, Settings

SECOND = 10**9
REALM = "hairpin.test"
SERVER_NAME = "turn.test"
RELAY_IP = "192.0.2.1"
INTERFACE = (RELAY_IP, 3478)
UDP, TCP = 0, 1  # listeners
PEER = ("203.0.113.5", 4000)
ALLOCATE: Attributes = [(codec.TRANSPORT, codec.UDP_RELAY)]
EXPIRY = 5000
STATIC = {"alice": "secret", "bob": "other"}
OFFER = bytes([0, 2, 0, 0, 0, 1, 0, 0])  # SHA-256, then MD5


class Stubborn:
    """A packet path on which no relay can be bound while `refuse` says so; all else is the table's."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.refuse: Callable[[int], OSError | None] = lambda port: None
        self.tried: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)

    def open_relay(self, flow: int, bind: Address, external: Address, deadline: int, reserve: bool) -> None:
        """As the kernel would."""
        self.tried.append(bind.port)
        error = self.refuse(bind.port)
        if error is not None:
            raise error
        self.table.open_relay(flow, bind, external, deadline, reserve)


def fail(error: Exception) -> None:
    """What goes wrong inside fails the test."""
    raise error


class World:
    """A server in memory with the static users alice and bob, a shared secret, and a hook that knows who is told of."""

    def __init__(
        self,
        ports: tuple[int, int] = (50000, 50999),
        *,
        hooked: bool = True,
        secrets: Sequence[str] = ("shared",),
        static: Mapping[str, str] = STATIC,
        token_keys: Mapping[str, bytes] | None = None,
        allow: Sequence[str] = ("203.0.113.0/24",),
        **limits: int,
    ) -> None:
        third_party = None if token_keys is None else SERVER_NAME
        relays = [(RELAY_IP, RELAY_IP)]
        options = Options(realm=REALM, nonce_secret=bytes(32), limiter_seed=1, relays=relays, third_party=third_party)
        self.table = Table(options, [(UDP, Address(*INTERFACE)), (TCP, Address(*INTERFACE))])
        self.table.now = 1000 * SECOND
        self.path = Stubborn(self.table)
        listener = ListenerSettings(Address(*INTERFACE), {4: RelayAddress(RELAY_IP, RELAY_IP)})
        numbers = count()
        settings = Settings((listener, listener), ports=ports)
        self.rules = Server(settings, lambda n: next(numbers) * 7919 % n)
        self.asked: list[str] = []
        self.answers: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        hook = PasswordHook(self.fetch, REALM, self.seconds)
        authenticator = Authenticator(
            StaticUsers(static, REALM),
            SharedSecrets(secrets, REALM, self.seconds),
            hook if hooked else None,
            token_keys and AccessTokens(token_keys, SERVER_NAME, self.seconds, lambda: self.table.now),
        )
        self.table.offer_anonymity(authenticator.anonymous)
        peers = Peers(Host(relays=((RELAY_IP, RELAY_IP),)), allow)
        grants = Grants(replace(Limits(), **limits), peers)
        self.engine = Engine(cast(Backend, self.path), self.rules, authenticator, grants, lambda: self.table.now)
        self.events: list[Notify] = []
        self.ended: list[tuple[Notify, Counters]] = []
        self.refused: list[Refused] = []
        self.engine.on_event = self.events.append
        self.engine.on_failure = fail
        self.engine.on_ended = lambda notify, counters: self.ended.append((notify, counters))
        self.engine.on_refused = self.refused.append

    def ask_policy(self, policy: Policy, deadline: float = 1.0) -> PolicyCalls:
        """Have a policy asked from now on."""
        calls = PolicyCalls(policy, deadline, lambda: self.table.now)
        self.engine.rulings = Rulings(calls, self.rules)
        return calls

    def seconds(self) -> float:
        """The time, for those who take it in Unix seconds too."""
        return self.table.now / SECOND

    async def fetch(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """The hook answers when the test says so."""
        name = query["username"]
        self.asked.append(name)
        self.answers[name] = asyncio.get_running_loop().create_future()
        return await self.answers[name]

    async def settle(self) -> None:
        """Let all tasks run that can."""
        for _ in range(20):
            await asyncio.sleep(0)
        self.drain()

    def drain(self) -> None:
        """Python takes what waits for it."""
        while self.engine.drain(self.table.now):
            pass

    def outputs(self) -> list[Answer]:
        """The answers that were sent."""
        return [parse(data) for _, _, data in self.table.outputs()]

    def is_empty(self) -> bool:
        """Nothing of anybody is left, in the rules nor in the packet path."""
        state = self.rules.state
        left = (state.sessions, state.users, state.relays, state.bound, self.table.entries())
        return not any(left) and self.rules.ports_allocated(4) == 0 and self.rules.next_deadline() is None

    def codes(self) -> list[tuple[int, int]]:
        """Method and error of each answer that was sent."""
        return [(answer.method, answer.error) for answer in self.outputs()]


class Caller:
    """A client of the world, which says what it wants at once: a nonce is asked for when it is made."""

    def __init__(
        self,
        world: World,
        number: int = 1,
        user: str = "alice",
        password: str = "secret",
        *,
        tcp: bool = False,
        algorithm: int | None = None,
    ) -> None:
        self.world, self.user, self.listener, self.algorithm = world, user, TCP if tcp else UDP, algorithm
        self.address: Endpoint = (f"198.51.{number >> 8 & 255}.{number & 255}", 1000 + (number >> 16))
        self.key = long_term_key(user, REALM, password, algorithm)
        self.transactions = count(number << 32)
        ((_, _, data),) = self.raw(build(codec.ALLOCATE, bytes(12), []))
        self.nonce = parse(data).get(codec.NONCE) or b""

    def raw(self, data: bytes) -> list[tuple[Address, Address, bytes]]:
        """Bytes go to the server; what it sends at once."""
        return self.world.table.from_client(self.listener, Address(*self.address), data)

    def sign(self, method: int, attributes: Attributes, peer: Endpoint | None = None) -> bytes:
        """A new request."""
        transaction = next(self.transactions).to_bytes(12, "big")
        named = [(codec.XOR_PEER_ADDRESS, mask(peer, transaction))] if peer else []
        return build(method, transaction, [*attributes, *named, *self.claim()], self.key, integrity=self.integrity)

    @property
    def integrity(self) -> int:
        """MESSAGE-INTEGRITY-SHA256 where an algorithm was chosen (RFC 8489, 9.2.5)."""
        return codec.INTEGRITY_SHA256 if self.algorithm else codec.INTEGRITY

    def claim(self) -> Attributes:
        """Who it says it is, and by which algorithm where it chose one."""
        known = [(codec.USERNAME, self.user.encode()), (codec.REALM, REALM.encode()), (codec.NONCE, self.nonce)]
        if self.algorithm:
            chosen = struct.pack("!HH", self.algorithm, 0)
            known += [(codec.PASSWORD_ALGORITHM, chosen), (codec.PASSWORD_ALGORITHMS, OFFER)]
        return known

    def exchange(self, message: bytes) -> Answer:
        """Send a request as it is: the one answer."""
        at_once = [parse(data) for _, _, data in self.raw(message)]
        self.world.drain()
        (answer,) = at_once + self.world.outputs()
        return answer

    def ask(self, method: int, attributes: Attributes, peer: Endpoint | None = None) -> list[tuple[int, int]]:
        """A new request, judged: the methods and errors of what was sent for it."""
        at_once = [parse(data) for _, _, data in self.raw(self.sign(method, attributes, peer))]
        self.world.drain()
        return [(answer.method, answer.error) for answer in at_once] + self.world.codes()

    def allocate(self) -> int:
        """Allocate: the error."""
        ((_, error),) = self.ask(codec.ALLOCATE, ALLOCATE)
        return error

    def bind(self, number: int = 0x4000, peer: Endpoint = PEER) -> int:
        """ChannelBind: the error."""
        ((_, error),) = self.ask(codec.CHANNEL_BIND, [(codec.CHANNEL_NUMBER, struct.pack("!HH", number, 0))], peer)
        return error

    def refresh(self, lifetime: int = 600) -> int:
        """Refresh: the error."""
        ((_, error),) = self.ask(codec.REFRESH, [(codec.LIFETIME, struct.pack("!I", lifetime))])
        return error

    @property
    def flow(self) -> int:
        """The flow of its session."""
        return next(flow for flow, one in self.world.rules.sessions.items() if one.client == Address(*self.address))
