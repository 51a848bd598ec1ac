"""The server in memory and the reference, side by side: how something is done to both, and what both must then say."""

import struct
from itertools import count
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

import client as codec
from client import Endpoint, parse
from hairpin.auth import Authenticator, SharedSecrets, StaticUsers
from hairpin.engine import Engine
from hairpin.policy.grants import Grants
from hairpin.policy.peers import Host, Peers
from hairpin.stun import Address
from hairpin.turn.effects import Notify
from hairpin.turn.server import Server
from model.reference import SECOND, Ask, Out
from model.scenery import (
    CAROL,
    CLIENTS,
    LIMITS,
    LISTENERS,
    METHODS,
    NONCES,
    PASSWORDS,
    REALM,
    RELAYS,
    START,
    answered,
    chance,
    encode,
    endpoint,
    make_table,
    rules_settings,
    the_law,
)
from model.words import version


def fail(error: Exception) -> None:
    """What goes wrong inside fails the test."""
    raise error


class Both(RuleBasedStateMachine):
    """Does it to both, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.table = make_table()
        self.table.now = START
        self.server = Server(rules_settings(), chance())
        secrets = SharedSecrets(["other", "shared"], REALM, lambda: self.table.now / SECOND + self.reference.ahead)
        static = StaticUsers({user: word for user, word in PASSWORDS.items() if user != CAROL}, REALM)
        host = Host(relays=tuple(RELAYS.values()))
        grants = Grants(LIMITS, Peers(host, ["203.0.113.0/24", "2001:db8:7::/48"]))
        self.engine = Engine(self.table, self.server, Authenticator(static, secrets), grants, lambda: self.table.now)
        self.told: list[Notify] = []
        self.engine.on_event = self.note
        self.engine.on_failure = fail
        self.engine.on_ended = lambda notify, _: self.note(notify)
        self.reference = the_law()
        self.nonces = dict(NONCES)
        self.sent: list[tuple[str, Ask, bytes]] = []
        self.tokens: list[bytes] = []
        self.transactions = count(1)

    def note(self, notify: Notify) -> None:
        """What is told, and where the client was by then."""
        self.told.append(Notify(notify.kind, notify.session.view(), notify.data))

    # How it is done

    def ask(self, name: str, method: str, user: str, lag: int = 0, flaw: str = "", **said: Any) -> None:
        """A new request of that user, or of whoever the session is."""
        if user == "own":
            user = self.reference.sessions.get(self.reference.home(name), {"user": "alice"})["user"]
        user = "nobody" if flaw == "unknown user" else user
        made = None if flaw in ("forged nonce", "no integrity") else self.nonces[name][1]
        transaction = next(self.transactions).to_bytes(12, "big")
        ask = Ask(method, transaction, user, METHODS[method], flaw, made, **said)
        message = encode(ask, self.nonces[name][0])
        self.sent.append((name, ask, message))
        self.transact(name, ask, message, lag)

    def transact(self, name: str, ask: Ask, message: bytes, lag: int) -> None:
        """A request arrives; Python sees what goes up `lag` seconds later."""
        answer = self.reference.gate(name, ask, self.table.now)
        out = self.arrive(name, message)
        if answer is not None:
            return self.agree(out, [("answer", name, answer)])
        assert out == []
        self.table.now += lag * SECOND
        self.drain()
        out = self.table.outputs()
        got = {key: value for one in map(self.decode, out) for key, value in one[2].says.items()}
        self.tokens += [got["token"]] if "token" in got else []
        answer = self.reference.judge(name, ask, self.table.now, got)
        return self.agree(out, [("answer", name, answer)] if answer else [])

    def send_channel(self, name: str, number: int, payload: bytes) -> None:
        """From that client."""
        bound = sorted(self.reference.sessions.get(self.reference.home(name), {"channels": {}})["channels"])
        number = bound[number % len(bound)] if bound and number <= 0x4001 else number
        padding = bytes(-len(payload) % 4) if name in self.reference.streams else b""
        message = struct.pack("!HH", number, len(payload)) + payload + padding
        out = self.arrive_with_data(name, message, number >= 0x4000)
        self.agree(out, self.reference.send_channel(name, number, payload, self.table.now))

    def arrive_with_data(self, name: str, message: bytes, whole: bool) -> list[tuple[Address, Address, bytes]]:
        """What leaves for it, if need be after the session that it is for has come there (RFC 8016, 3.2.2)."""
        out = self.arrive(name, message)
        if whole and self.reference.come(name):
            assert out == []
            self.drain()
            out = self.table.outputs()
        return out

    def arrive(self, name: str, message: bytes) -> list[tuple[Address, Address, bytes]]:
        """Bytes come from a client."""
        listener, address = CLIENTS[name]
        return self.table.from_client(listener, Address(*address), message)

    def drain(self) -> None:
        """Python takes what waits for it."""
        while self.engine.drain(self.table.now):
            pass

    def agree(self, out: list[tuple[Address, Address, bytes]], expected: list[Out]) -> None:
        """What left the server is what was to leave it."""
        assert [self.decode(one) for one in out] == expected
        for _, name, _answer in (one for one in expected if one[0] == "answer" and "nonce" in one[2].says):
            nonce = parse(out[0][2]).get(codec.NONCE)
            assert nonce is not None
            self.nonces[name] = (nonce, self.table.now)

    def decode(self, sent: tuple[Address, Address, bytes]) -> Out:
        """A datagram in the reference's words."""
        source, to, data = sent
        name = next((name for name, (_, address) in CLIENTS.items() if address == endpoint(to)), None)
        if name is None:
            return "peer", endpoint(source), endpoint(to), data
        assert endpoint(source) == LISTENERS[CLIENTS[name][0]][1]
        if data[0] & 0xC0:
            number, length = struct.unpack_from("!HH", data)
            padding = -length % 4 if name in self.reference.streams else 0
            assert len(data) == 4 + length + padding
            assert not any(data[4 + length :])
            return "channel", name, number, data[4 : 4 + length]
        message = parse(data)
        if (message.method, message.kind) == (codec.DATA, codec.INDICATION):
            assert len(message.attributes) == 2
            return "data", name, message.address(codec.XOR_PEER_ADDRESS), message.get(codec.DATA_VALUE)
        return "answer", name, answered(message)

    def pick(self, who: int) -> str:
        """A client: one with an allocation if there is any, mostly."""
        owners = sorted(self.reference.owners().values())
        return owners[who % len(owners)] if owners and who < 8 else sorted(CLIENTS)[who % len(CLIENTS)]

    def is_near(self, name: str, peer: Endpoint) -> bool:
        """Whether the peer is of the family of a relay of the client's."""
        relays = self.reference.sessions.get(name, {"relays": {}})["relays"]
        return not relays or version(peer) in relays

    def flows(self) -> dict[str, int]:
        """The flow of each client that has a session."""
        places = {place: name for name, place in CLIENTS.items()}
        return {places[one.listener, endpoint(one.client)]: flow for flow, one in self.server.sessions.items()}

    def tickets(self, session: dict[str, Any]) -> list[bytes]:
        """Those by which it is found."""
        return [session["ticket"], *(session["coming"] or ())[1:]]

    # What must hold

    @invariant()
    def the_packet_path_projects_the_reference(self) -> None:
        """Live entries are the reference's, to the nanosecond."""
        found = [
            (
                sorted(map(endpoint, relays)),
                sorted((ip, end) for ip, end, *_ in permissions),
                sorted((number, endpoint(peer), end) for number, peer, end in bound),
            )
            for _, relays, permissions, bound in self.table.entries()
        ]
        assert sorted(found, key=repr) == self.reference.entries(self.table.now)

    @invariant()
    def the_rules_remember_the_reference(self) -> None:
        """Sessions, and whose they are, their ends and their relays, and the count of each user and of ports."""
        flows, places = self.flows(), {place: name for name, place in CLIENTS.items()}
        assert flows.keys() == self.reference.sessions.keys()
        for name, known in self.reference.sessions.items():
            session = self.server.sessions[flows[name]]
            relays = session.allocation.relays if session.allocation else ()
            assert [(endpoint(relay.external), relay.expires) for relay in relays] == [
                (relay, known["lives"][version]) for version, relay in known["relays"].items()
            ]
            assert (session.identity.username, session.expires) == (known["user"], max(known["lives"].values()))
            assert session.ends == known["ends"]
            coming = session.coming and (
                places[session.coming.listener, endpoint(session.coming.client)],
                session.coming.ticket,
            )
            assert (session.ticket, coming) == (known["ticket"], known["coming"])
        tickets = [ticket for known in self.reference.sessions.values() for ticket in self.tickets(known) if ticket]
        assert sorted(self.server.state.tickets) == sorted(tickets)
        assert len(self.server.state.arriving) == sum(
            known["coming"] is not None for known in self.reference.sessions.values()
        )
        assert sum(self.server.state.users.values()) == len(self.reference.sessions)
        ports = self.server.ports_allocated(4) + self.server.ports_allocated(6)
        reserved = self.server.state.reservations
        assert {token: endpoint(one.relay.external) for token, one in reserved.items()} == {
            token: relay for token, (_, relay, _) in self.reference.reserved.items()
        }
        assert ports == len(self.reference.taken) == len(self.server.state.relays) + len(reserved)

    @invariant()
    def events_are_the_reference_s(self) -> None:
        """Whoever listens was told all that happened, once; of ends when the last figures came."""
        self.drain()
        places = {place: name for name, place in CLIENTS.items()}
        told = []
        for notify in self.told:
            client, interface = endpoint(notify.session.client), endpoint(notify.session.interface)
            listener = LISTENERS.index((notify.session.transport, interface))
            told.append((notify.kind, places[listener, client], *notify.data))
        assert sorted(told, key=repr) == sorted(self.reference.told, key=repr)
        self.told.clear()
        self.reference.told.clear()
