"""TCP relaying (RFC 6062) against a reference of plain dicts: whatever happens, both do and remember the same.

The packet path is played: it may tell of connections in any order, also of such as were given up meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hairpin.stun import Address, Attribute, Message, Method, Transport
from hairpin.turn.effects import Close, Connect, Disconnect, Effect, Join, Notify, Reply, Send
from turning import DENIED, OTHER_PEER, OWN_IP, PEER, PEER6, RELAY_IP, SECOND, SETTINGS, TCP, UDP, World

WAIT = 30 * SECOND  # RFC 6062, 5.2 and 5.3: for a peer to answer, and for a client to bind
LIFETIME = 600 * SECOND
CONNECTIONS = 3
WORKER = 1 << 56  # a flow's worker stands above its slot
USERS = {1: "alice", WORKER + 1: "alice", 2 * WORKER + 1: "bob"}  # by flow
CLOSED_PEER = Address(RELAY_IP, 5)  # an address of ours where no relay is
FARTHER = [PEER, OTHER_PEER, Address(PEER.ip, 4001), Address(OWN_IP, 80), PEER6, DENIED, CLOSED_PEER]

flows = st.sampled_from(sorted(USERS))
users = st.sampled_from(["own"] * 6 + ["alice", "bob"])
places = st.integers(0, len(FARTHER) + len(USERS) - 1)
jumps = st.sampled_from([0, 1, 1, 10, 29, 30, 31, 300, 599, 600, 10**6])


class RefusalError(Exception):
    """An error response."""

    def __init__(self, code: int) -> None:
        self.code = code


@dataclass
class Connection:
    """Between a relay and a peer: made, then bound by the client, each within 30 s."""

    id: int
    until: int | None
    answers: bytes | None = None  # the transaction of the Connect that waits for the peer


@dataclass
class Session:
    """Of one flow; `tcp` says what its relay is."""

    user: str
    tcp: bool
    relay: Address
    until: int
    connections: dict[Address, Connection] = field(default_factory=dict)


class TcpMachine(RuleBasedStateMachine):
    """Draws what happens, has both do it, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(replace(SETTINGS, tcp=True), connections=CONNECTIONS)
        self.world.transport = Transport.TCP
        self.sessions: dict[int, Session] = {}
        self.last: dict[int, Message] = {}  # the last Connect of each flow
        self.data = 100  # flows of data connections

    # What is done

    @initialize(kinds=st.lists(st.booleans(), min_size=3, max_size=3))
    def begin(self, kinds: list[bool]) -> None:
        """Most have a TCP relay."""
        for flow, tcp in zip(USERS, kinds, strict=True):
            self.allocate(flow, tcp or flow == 1)

    @rule(flow=flows, tcp=st.booleans())
    def allocate(self, flow: int, tcp: bool) -> None:
        """Allocate."""
        self.ask(
            flow,
            lambda: self.world.allocate(flow, user=USERS[flow], relays=TCP if tcp else UDP),
            lambda: self.allocated(flow, tcp),
        )

    def allocated(self, flow: int, tcp: bool) -> list[tuple[Any, ...]]:
        """One allocation for each five-tuple (RFC 8656, 7.2)."""
        if flow in self.sessions:
            raise RefusalError(437)
        self.sessions[flow] = Session(USERS[flow], tcp, CLOSED_PEER, self.world.now + LIFETIME)
        return [("told", flow, "allocated"), ("answer", flow, 0)]

    @rule(flow=flows, place=places, user=users)
    def connect(self, flow: int, place: int, user: str) -> None:
        """Connect to a peer, or to the relay of another client (RFC 6062, 5.2)."""
        named = [*FARTHER, *(self.relay(other) for other in USERS)][place]
        message = self.world.message(Method.CONNECT, (Attribute.XOR_PEER_ADDRESS, named))
        user = USERS[flow] if user == "own" else user
        self.last[flow] = message
        self.ask(
            flow,
            lambda: self.world.send(flow, message, user),
            lambda: self.connected_to(flow, named, user, message.transaction_id),
        )

    def connected_to(self, flow: int, peer: Address, user: str, transaction: bytes) -> list[tuple[Any, ...]]:
        """What a Connect brings about."""
        session = self.sessions.get(flow)
        if session is None:
            raise RefusalError(437)
        if session.user != user:
            raise RefusalError(441)
        if not session.tcp:
            raise RefusalError(437)
        if peer in session.connections:
            raise RefusalError(446)
        if peer.version == 6:
            raise RefusalError(443)
        if peer == DENIED or (peer.ip == RELAY_IP and peer not in self.tcp_relays()):
            raise RefusalError(403)
        if len(session.connections) >= CONNECTIONS:
            raise RefusalError(508)
        session.connections[peer] = Connection(0, self.world.now + WAIT, transaction)
        return [("connect", flow, peer)]

    @precondition(lambda self: self.last)
    @rule(which=flows)
    def connect_again(self, which: int) -> None:
        """A copy of the last Connect: none while the peer has not answered (RFC 8489, 6.3.1), no second Connect."""
        flow = which if which in self.last else next(iter(self.last))
        here, message = flow in self.sessions, self.last[flow]
        waited = self.waits(flow, message)
        expected = self.expire()
        effects = self.world.send(flow, message, USERS[flow])
        if flow not in self.sessions:
            return self.agree(effects, [*expected, *([] if here else [("answer", flow, 437)])])
        # Where the peer's time is over just now, the first answer is the one to the Connect itself.
        lapsed = waited and not self.waits(flow, message)
        answers = [one for one in effects if isinstance(one, Reply) and one.request is message][lapsed:]
        again = [one for one in effects if isinstance(one, Connect)]
        if self.waits(flow, message):
            assert not [*answers, *again]
        elif again:  # it was refused to someone else, or its answer is forgotten
            peer, until = message.peers[0], self.world.now + WAIT
            self.sessions[flow].connections[peer] = Connection(0, until, message.transaction_id)
        self.learn()
        mine = [id(one) for one in (*answers, *again)]
        return self.agree([one for one in effects if id(one) not in mine], expected)

    def waits(self, flow: int, message: Message) -> bool:
        """Whether this Connect waits for its peer."""
        connections = self.sessions[flow].connections.values() if flow in self.sessions else ()
        return any(one.answers == message.transaction_id for one in connections)

    @rule(flow=flows, place=places, change=st.sampled_from(["arrived", "connected", "connected", "failed", "closed"]))
    def change(self, flow: int, place: int, change: str) -> None:
        """The packet path tells of a connection that it has, had, or that crossed an order of ours."""
        peer = [*FARTHER, *(self.relay(other) for other in USERS)][place]
        session = self.sessions.get(flow)
        if session is not None and (not session.tcp or peer.version == 6):
            return  # no such relay is there to be connected to
        expected = self.changed(flow, session, peer, change) if session else []
        effects = self.world.server.changed(flow, peer, change, self.world.now)
        self.learn()
        self.agree(effects, expected)

    @precondition(lambda self: any(self.sought(one) for one in self.sessions.values()))
    @rule(which=st.integers(0, 9), connected=st.sampled_from([True, True, False]))
    def answer(self, which: int, connected: bool) -> None:
        """A peer that is being connected to answers."""
        sought = [(flow, peer) for flow, one in self.sessions.items() for peer in self.sought(one)]
        flow, peer = sought[which % len(sought)]
        change = "connected" if connected else "failed"
        expected = self.changed(flow, self.sessions[flow], peer, change)
        effects = self.world.server.changed(flow, peer, change, self.world.now)
        self.agree(effects, expected)

    def changed(self, flow: int, session: Session, peer: Address, change: str) -> list[tuple[Any, ...]]:
        """RFC 6062, 5.2, 5.3 and 5.5."""
        connection = session.connections.get(peer)
        if change == "arrived":
            if connection is not None:
                return []
            session.connections[peer] = Connection(0, self.world.now + WAIT)
            return [("attempt", flow, peer)]
        sought = connection is not None and connection.answers is not None
        if change == "connected":
            if connection is None or not sought:
                return [("disconnect", flow, peer)]
            connection.answers, connection.until = None, self.world.now + WAIT
            return [("answer", flow, 0)]
        if (change == "failed" and sought) or (change == "closed" and connection and not sought):
            del session.connections[peer]
            return [("answer", flow, 447)] if sought else []
        return []

    @rule(
        which=st.integers(0, 9),
        user=users,
        on=st.sampled_from([None] * 6 + [*USERS][:2]),
        stranger=st.sampled_from([False] * 6 + [True]),
    )
    def bind_data(self, which: int, user: str, on: int | None, stranger: bool) -> None:
        """ConnectionBind (RFC 6062, 5.4), on a connection of its own or on one that is another session's control."""
        self.data = (self.data + WORKER) % (3 * WORKER) + 1  # each on another worker than the one before
        flow = self.data if on is None else on
        ids = {one.id: (owner, peer) for owner, s in self.sessions.items() for peer, one in s.connections.items()}
        asked = sorted(ids)[which % len(ids)] if ids and not stranger else 1 << 31
        owner, peer = ids.get(asked, (0, PEER))
        named = USERS.get(owner, "alice") if user == "own" else user
        self.ask(
            flow,
            lambda: self.world.ask(flow, Method.CONNECTION_BIND, (Attribute.CONNECTION_ID, asked), user=named),
            lambda: [self.bound(flow, owner, peer, named)],
        )

    def bound(self, flow: int, owner: int, peer: Address, user: str) -> tuple[Any, ...]:
        """Once, by its own user, and only what is there."""
        connection = self.sessions[owner].connections.get(peer) if owner in self.sessions else None
        if flow in self.sessions or connection is None or connection.answers or connection.until is None:
            raise RefusalError(400)
        if self.sessions[owner].user != user:
            raise RefusalError(441)
        connection.until = None
        return "join", flow, owner, peer

    @rule(flow=flows, lifetime=st.sampled_from([None, None, 0]))
    def refresh(self, flow: int, lifetime: int | None) -> None:
        """A longer life, or the end of the allocation and of its connections (RFC 6062, 5.5)."""
        self.ask(flow, lambda: self.world.refresh(flow, lifetime, USERS[flow]), lambda: self.refreshed(flow, lifetime))

    def refreshed(self, flow: int, lifetime: int | None) -> list[tuple[Any, ...]]:
        """RFC 8656, 8.2."""
        if flow not in self.sessions:
            raise RefusalError(437)
        if lifetime == 0:
            del self.sessions[flow]
            return [("answer", flow, 0), ("close", flow), ("told", flow, "closed")]
        self.sessions[flow].until = self.world.now + LIFETIME
        return [("answer", flow, 0), ("told", flow, "refresh")]

    @precondition(lambda self: self.sessions)
    @rule(flow=flows, disconnected=st.booleans())
    def end(self, flow: int, disconnected: bool) -> None:
        """Deleted over the API, or its control connection is gone."""
        if self.sessions.pop(flow, None) is None:
            return
        server, now = self.world.server, self.world.now
        effects = server.closed(flow, "disconnected", now) if disconnected else server.end(flow, "deleted", now)
        self.agree(effects, [("told", flow, "closed"), *([] if disconnected else [("close", flow)])])

    @rule(jump=jumps, short=st.booleans(), awake=st.booleans())
    def tick(self, jump: int, short: bool, awake: bool) -> None:
        """Time passes, a little or a lot; Python may sleep through it."""
        self.world.now += max(jump * SECOND - short, 0)
        if awake:
            expected = self.expire()
            self.agree(self.world.server.expire(self.world.now), expected)

    # How it is done

    def ask(self, flow: int, send: Callable[[], list[Effect]], judge: Callable[[], list[tuple[Any, ...]]]) -> None:
        """A request, and what it must bring about; on a flow that was closed meanwhile it is nobody's."""
        here, expected = flow in self.sessions, self.expire()
        try:
            expected += [] if here and flow not in self.sessions else judge()
        except RefusalError as refusal:
            expected.append(("answer", flow, refusal.code))
        effects = send()
        self.learn()
        self.agree(effects, expected)

    # The reference's own

    def expire(self) -> list[tuple[Any, ...]]:
        """What is over ends: sessions with all that is theirs, and connections of the others."""
        now, done = self.world.now, []
        for flow, session in list(self.sessions.items()):
            if session.until <= now:
                del self.sessions[flow]
                done += [("close", flow), ("told", flow, "closed")]
                continue
            for peer, one in list(session.connections.items()):
                if one.until is not None and one.until <= now:
                    del session.connections[peer]
                    done += [("disconnect", flow, peer), *([("answer", flow, 447)] if one.answers else [])]
        return done

    def relay(self, flow: int) -> Address:
        """The relayed transport address of a flow, or one that is nobody's."""
        return self.sessions[flow].relay if flow in self.sessions else CLOSED_PEER

    def tcp_relays(self) -> list[Address]:
        """Those that take connections."""
        return [session.relay for session in self.sessions.values() if session.tcp]

    def sought(self, session: Session) -> list[Address]:
        """The peers that a Connect waits for."""
        return [peer for peer, one in session.connections.items() if one.answers]

    def learn(self) -> None:
        """Ports and CONNECTION-IDs are the server's to choose: new ones are taken over."""
        for flow, session in self.sessions.items():
            session.relay = self.world.relay(flow)
            for peer, one in session.connections.items():
                made = self.world.allocation(flow).connections[peer]
                one.id = one.id or made.id

    # What must hold

    def agree(self, effects: list[Effect], expected: list[tuple[Any, ...]]) -> None:
        """What was done is what was to be done."""
        found = [word for effect in effects if (word := said(effect))]
        assert sorted(found, key=repr) == sorted(expected, key=repr)

    @invariant()
    def both_remember_the_same(self) -> None:
        """Sessions and connections, until when each, and what they are found by."""
        state = self.world.server.state
        assert state.sessions.keys() == self.sessions.keys()
        ids = {}
        for flow, session in self.sessions.items():
            found = self.world.allocation(flow).connections
            assert {peer: (one.id, one.expires, one.request is not None) for peer, one in found.items()} == {
                peer: (one.id, one.until, one.answers is not None) for peer, one in session.connections.items()
            }
            ids |= {one.id: (flow, peer) for peer, one in session.connections.items()}
        assert state.connections == ids
        assert state.relays.keys() == {session.relay for session in self.sessions.values()}

    @invariant()
    def nobody_is_overlooked(self) -> None:
        """The server wakes up in time for whatever ends first."""
        ends = [session.until for session in self.sessions.values()]
        ends += [one.until for s in self.sessions.values() for one in s.connections.values() if one.until is not None]
        deadline = self.world.server.next_deadline()
        assert not ends or (deadline is not None and deadline <= min(ends))


def said(effect: Effect) -> tuple[Any, ...] | None:
    """An effect in the reference's words; None for what this model does not look at."""
    if isinstance(effect, Reply):
        return "answer", effect.flow, dict(effect.attributes).get(Attribute.ERROR_CODE, (0,))[0]
    if isinstance(effect, Connect | Disconnect):
        return type(effect).__name__.lower(), effect.flow, effect.peer
    if isinstance(effect, Join):
        return "join", effect.reply.flow, effect.owner, effect.peer
    if isinstance(effect, Send):
        return "attempt", effect.flow, effect.message.peers[0]
    if isinstance(effect, Close):
        return "close", effect.flow
    if isinstance(effect, Notify):
        return "told", effect.session.flow, effect.kind
    return None


def test_tcp_relaying_is_the_reference() -> None:
    """150 histories of 40 steps."""
    run_state_machine_as_test(
        TcpMachine,
        settings=settings(max_examples=150, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )
