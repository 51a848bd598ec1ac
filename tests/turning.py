"""A server of the rules alone, with its clock and its clients: relays are bound as soon as asked for."""

import struct
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

from hairpin.stun import Address, Attribute, Kind, Message, Method, Reach, Request
from hairpin.turn.effects import Effect, Listen, Notify, OpenRelay, Reply
from hairpin.turn.grant import NO_POLICY, Grant, Identity, Limits, Reaches
from hairpin.turn.server import Server
from hairpin.turn.settings import ListenerSettings, RelayAddress, Settings
from hairpin.turn.state import Allocation, Session

SECOND = 10**9
RELAY_IP, RELAY_IP6 = "192.0.2.1", "2001:db8::1"
OWN_IP = "192.0.2.2"  # named by peers.allow
INTERFACE = Address(RELAY_IP, 3478)
PEER, OTHER_PEER, PEER6 = Address("198.51.100.7", 4000), Address("198.51.100.8", 5000), Address("2001:db8::7", 4000)
DENIED = Address("10.0.0.1", 80)
UDP, TCP = (Attribute.REQUESTED_TRANSPORT, 17), (Attribute.REQUESTED_TRANSPORT, 6)
LISTENER = ListenerSettings(
    INTERFACE, {4: RelayAddress("10.9.9.9", RELAY_IP), 6: RelayAddress("2001:db8::1", RELAY_IP6)}
)
SETTINGS = Settings((LISTENER,), software="hairpin/test")
ANYTHING = TypeVar("ANYTHING")


def identity(name: str) -> Identity:
    """A user whose key is made from the name."""
    return Identity(name, name, "secret", name.encode().ljust(16, b"."))


def everywhere(reach: Reach) -> Reaches:
    """All ports go one way."""
    return ((0, 65535, reach),)


def reaches(ip: str) -> Reaches:
    """10.0.0.0/8 is denied, RELAY_IP is our relays', OWN_IP is ours and allowed."""
    special = {RELAY_IP: Reach.INSIDE, RELAY_IP6: Reach.INSIDE, OWN_IP: Reach.BOTH}
    return () if ip.startswith("10.") else everywhere(special.get(ip, Reach.OUTSIDE))


def canonical(peer: Address) -> Address:
    """The relays are bound to 10.9.9.9."""
    return Address(RELAY_IP, peer.port) if peer.ip == "10.9.9.9" else peer


def why_not(peer: Address) -> str:
    """As policy says it."""
    return f"{peer.ip} is in 10.0.0.0/8"


def draws() -> Callable[[int], int]:
    """A chance that is the same in every run."""
    numbers = count()
    return lambda n: next(numbers) * 7919 % n


def wire(method: int, *attributes: tuple[int, bytes]) -> Message:
    """A request as its bytes, so that it can hold what no writer would write."""
    body = b"".join(struct.pack("!HH", code, len(data)) + data + bytes(-len(data) % 4) for code, data in attributes)
    return Message.decode(struct.pack("!HHI", method, len(body), 0x2112A442) + b"transaction!" + body)


def only(effects: list[Effect], kind: type[ANYTHING]) -> list[ANYTHING]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def reply(effects: list[Effect]) -> dict[int, Any]:
    """The attributes of the one answer."""
    (answer,) = only(effects, Reply)
    return dict(answer.attributes)


def error(effects: list[Effect]) -> int | None:
    """The code of the one answer, None for success."""
    code: int | None = reply(effects).get(Attribute.ERROR_CODE, (None,))[0]
    return code


def told(effects: list[Effect]) -> list[tuple[str, dict[str, object]]]:
    """The events, with what they add."""
    return [(event.kind, dict(event.data)) for event in only(effects, Notify)]


class World:
    """One server and the clients of `flow` 1, 2, 3 ...; `now` is set by hand."""

    def __init__(self, settings: Settings = SETTINGS, **limits: int) -> None:
        """Start at a time that is not zero."""
        self.server = Server(settings, draws())
        self.limits = replace(Limits(), **limits)
        self.now = 1000 * SECOND
        self.transactions = count(1)
        self.listener = self.transport = 0
        self.mobility = True
        self.ruling = NO_POLICY

    def transaction(self) -> bytes:
        """A new transaction id."""
        return next(self.transactions).to_bytes(12, "big")

    def message(self, method: Method, *attributes: tuple[int, Any]) -> Message:
        """A new request."""
        return Message.build(method, Kind.REQUEST, self.transaction(), attributes)

    def send(self, flow: int, message: Message, user: str = "alice", source: str = "198.51.100.1") -> list[Effect]:
        """A request that `user` was proved to have sent."""
        client = Address(source, 1000 + flow % 60000)
        request = Request(flow, message, client, INTERFACE, self.listener, self.transport, False)
        verdicts = (reaches, canonical, why_not)
        grant = Grant(identity(user), self.limits, *verdicts, self.mobility, self.ruling)
        return self.server.handle(request, grant, self.now)

    def ask(self, flow: int, method: Method, *attributes: tuple[int, Any], user: str = "alice") -> list[Effect]:
        """Send a new request."""
        return self.send(flow, self.message(method, *attributes), user)

    def allocate(
        self, flow: int, *attributes: tuple[int, Any], user: str = "alice", relays: tuple[Attribute, int] = UDP
    ) -> list[Effect]:
        """Allocate, and have each relay bound."""
        effects = self.ask(flow, Method.ALLOCATE, relays, *attributes, user=user)
        while isinstance(effects[-1], OpenRelay | Listen):
            effects += self.server.relay_opened(flow, self.now)
        return effects

    def permit(self, flow: int, *peers: Address, user: str = "alice") -> list[Effect]:
        """CreatePermission."""
        attributes = ((Attribute.XOR_PEER_ADDRESS, peer) for peer in peers)
        return self.ask(flow, Method.CREATE_PERMISSION, *attributes, user=user)

    def bind(self, flow: int, number: int, peer: Address, user: str = "alice") -> list[Effect]:
        """ChannelBind."""
        attributes = ((Attribute.CHANNEL_NUMBER, number), (Attribute.XOR_PEER_ADDRESS, peer))
        return self.ask(flow, Method.CHANNEL_BIND, *attributes, user=user)

    def refresh(self, flow: int, lifetime: int | None = None, user: str = "alice") -> list[Effect]:
        """Refresh."""
        attributes = () if lifetime is None else ((Attribute.LIFETIME, lifetime),)
        return self.ask(flow, Method.REFRESH, *attributes, user=user)

    def session(self, flow: int) -> Session:
        """The session of a flow."""
        return self.server.sessions[flow]

    def allocation(self, flow: int) -> Allocation:
        """The allocation of a flow."""
        allocation = self.session(flow).allocation
        assert allocation is not None
        return allocation

    def relay(self, flow: int, place: int = 0) -> Address:
        """The relayed transport address of a flow."""
        return self.allocation(flow).relays[place].external
