"""The whole server in memory against the reference: whatever is done to it, both send and remember the same."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

import client as codec
from client import Endpoint, build, mask
from hairpin import Terms
from hairpin.engine import PolicyCalls, Rulings
from hairpin.policy.grants import Grants
from hairpin.stun import Address
from hairpin.turn.grant import Limits
from model import reference as law
from model.moves import Moves
from model.reference import SECOND
from model.scenery import (
    anyone,
    channels,
    clients,
    flaws,
    friends,
    lags,
    payloads,
    peers,
    seconds,
    users,
    who,
)
from policies import Answers


class Machine(Moves):
    """Draws what is done."""

    @initialize(
        allocated=st.lists(
            st.tuples(clients, users, st.sampled_from([4, 6, 46]), st.sampled_from([None, b"", b""])),
            min_size=1,
            max_size=5,
        )
    )
    def begin(self, allocated: list[tuple[str, str, int, bytes | None]]) -> None:
        """Some have allocated before: a relay of one family, or of both, with a ticket or without."""
        for name, user, versions, ticket in allocated:
            family, additional = {4: (None, None), 6: (2, None), 46: (None, 2)}[versions]
            self.ask(name, "allocate", user, transport=17, family=family, additional=additional, ticket=ticket)

    @rule(
        name=clients,
        user=users,
        transport=st.sampled_from([17] * 8 + [6, None]),
        family=st.sampled_from([None] * 6 + [1, 2, 2, 9]),
        additional=st.sampled_from([None] * 4 + [2, 2, 2, 1]),
        even=st.sampled_from([None] * 6 + [0, 1, 1]),
        lifetime=st.sampled_from([None, 0, 1, 601, 3600, 99999]),
        ticket=st.sampled_from([None, None, b"", b"", b"", b"x"]),
        flaw=flaws,
        lag=lags,
        fingerprint=st.booleans(),
    )
    def allocate(self, name: str, user: str, lag: int, **said: Any) -> None:
        """Allocate."""
        self.ask(name, "allocate", user, lag, **said)

    @precondition(lambda self: self.tokens)
    @rule(
        name=clients,
        user=users,
        back=st.integers(1, 4),
        even=st.sampled_from([None] * 8 + [0]),
        family=st.sampled_from([None] * 8 + [1]),
        lag=lags,
    )
    def redeem(self, name: str, user: str, back: int, lag: int, **said: Any) -> None:
        """Allocate what was reserved, by anybody and from anywhere; a token may be used, lapsed or nobody's."""
        token = self.tokens[-back] if back <= len(self.tokens) else b"whatever"
        self.ask(name, "allocate", user, lag, transport=17, token=token, **said)

    @rule(
        who=who,
        user=anyone,
        family=st.sampled_from([None, None, None, 1, 2, 3]),
        lifetime=st.sampled_from([None, 0, 1, 600, 601, 3600, 99999]),
        flaw=flaws,
        lag=lags,
        fingerprint=st.booleans(),
    )
    def refresh(self, who: int, user: str, lag: int, **said: Any) -> None:
        """Refresh."""
        self.ask(self.pick(who), "refresh", user, lag, **said)

    @rule(who=who, user=anyone, named=st.lists(peers | friends, max_size=4), flaw=flaws, lag=lags)
    def permit(self, who: int, user: str, named: list[Endpoint], flaw: str, lag: int) -> None:
        """CreatePermission."""
        self.ask(self.pick(who), "permit", user, lag, peers=tuple(named), flaw=flaw)

    @rule(who=who, user=anyone, named=st.lists(friends, min_size=1, max_size=3))
    def permit_friends(self, who: int, user: str, named: list[Endpoint]) -> None:
        """CreatePermission that is likely to succeed."""
        name = self.pick(who)
        self.ask(name, "permit", user, peers=tuple(one for one in named if self.is_near(name, one)))

    @rule(who=who, user=anyone, number=channels | st.none(), peer=peers | st.none(), flaw=flaws, lag=lags)
    def bind(self, who: int, user: str, number: int | None, peer: Endpoint | None, flaw: str, lag: int) -> None:
        """ChannelBind."""
        self.ask(self.pick(who), "bind", user, lag, channel=number, peers=(peer,) if peer else (), flaw=flaw)

    @rule(who=who, number=channels, peer=friends)
    def bind_friend(self, who: int, number: int, peer: Endpoint) -> None:
        """ChannelBind that is likely to succeed."""
        name = self.pick(who)
        if self.is_near(name, peer):
            self.ask(name, "bind", "own", channel=number, peers=(peer,))

    @precondition(lambda self: len(self.reference.owners()) > 1)
    @rule(who=who, whom=who, number=channels, payload=payloads)
    def meet(self, who: int, whom: int, number: int, payload: bytes) -> None:
        """One client binds a channel to another's relay, which permits it."""
        relays = sorted(self.reference.owners().items())
        (relay, name), (other_relay, other) = relays[who % len(relays)], relays[whom % len(relays)]
        self.ask(name, "bind", "own", channel=number, peers=(other_relay,))
        self.ask(other, "permit", "own", peers=(relay,))
        self.channel_data(who % 8, number, payload)

    @precondition(lambda self: self.sent)
    @rule(back=st.integers(1, 12), lag=lags, wait=st.sampled_from([0, 0, 0, 39, 40, 41]))
    def again(self, back: int, lag: int, wait: int) -> None:
        """A request comes once more, byte for byte: its answer was lost, or the network made a copy."""
        self.table.now += wait * SECOND
        name, ask, message = self.sent[-min(back, len(self.sent))]
        self.transact(name, ask, message, lag)

    @rule(who=who, times=st.sampled_from([1, 1, 1, 8, 9]))
    def chatter(self, who: int, times: int) -> None:
        """Many requests in a row, and the first of them once more."""
        name = self.pick(who)
        for _ in range(times):
            self.ask(name, "refresh", "own")
        self.again(times, 0, 0)

    @rule(
        who=who,
        peer=peers | friends,
        payload=payloads,
        whole=st.sampled_from([True] * 5 + [False]),
        uncut=st.booleans(),
    )
    def send(self, who: int, peer: Endpoint, payload: bytes, whole: bool, uncut: bool = False) -> None:
        """A Send indication, with all that it needs or not; with DONT-FRAGMENT or without."""
        name, transaction = self.pick(who), next(self.transactions).to_bytes(12, "big")
        attributes = [(codec.XOR_PEER_ADDRESS, mask(peer, transaction)), (codec.DATA_VALUE, payload)][: 1 + whole]
        attributes += [(codec.DONT_FRAGMENT, b"")] * uncut
        message = build(codec.SEND | codec.INDICATION, transaction, attributes)
        self.reference.arrive(name)
        out = self.arrive_with_data(name, message, whole)
        expected = self.reference.send(name, peer, payload, self.table.now) if whole else []
        self.agree(out, expected)

    @rule(who=who, index=st.integers(0, 3), port=st.sampled_from([4000, *law.PORTS]), payload=payloads)
    def send_to_permitted(self, who: int, index: int, port: int, payload: bytes) -> None:
        """A Send indication to a peer that has, or had, a permission; to a relay where one is meant."""
        session = self.reference.sessions.get(self.pick(who), {"permissions": {}})
        ips = sorted(session["permissions"]) or ["203.0.113.5"]
        self.send(who, (ips[index % len(ips)], port), payload, True)

    @rule(who=who, number=channels, payload=payloads)
    def channel_data(self, who: int, number: int, payload: bytes) -> None:
        """ChannelData, padded on a stream; on a channel that is, or was, bound, where there is one."""
        self.send_channel(self.pick(who), number, payload)

    @precondition(lambda self: self.reference.owners())
    @rule(which=who, peer=friends | peers, known=st.booleans(), payload=payloads)
    def from_peer(self, which: int, peer: Endpoint, known: bool, payload: bytes) -> None:
        """A datagram comes to a relay, from anywhere, or from where a permission or a channel was for."""
        relays = sorted(self.reference.owners())
        relay, peer = relays[which % len(relays)], law.plain(peer)
        session = self.reference.sessions[self.reference.owners()[relay]]
        bound = [bound for bound, _ in session["channels"].values()] + [(ip, 4000) for ip in session["permissions"]]
        bound = [one for one in bound if law.version(one) == law.version(relay)]
        peer = bound[which % len(bound)] if known and bound else peer
        if law.version(peer) != law.version(relay):
            return
        out = self.table.from_peer(Address(*relay), Address(*peer), payload)
        self.agree(out, self.reference.arrived(relay, peer, payload, self.table.now))

    @precondition(lambda self: self.reference.sessions)
    @rule(who=who, really=st.sampled_from([False, False, True]))
    def delete(self, who: int, really: bool) -> None:
        """A session is ended over the API: its worker has acknowledged when that returns."""
        name = sorted(self.reference.sessions)[who % len(self.reference.sessions)]
        if really:
            LOOP.run_until_complete(self.end(self.flows()[name]))
            self.reference.close(name, "deleted", self.table.now, disconnect=True)
            self.agree(self.table.outputs(), [])

    async def end(self, flow: int) -> None:
        """As the server does it, whose loop drains meanwhile."""
        ending = asyncio.ensure_future(self.engine.end(flow, "deleted", self.table.now))
        await asyncio.sleep(0)
        self.drain()
        await ending

    @rule(jump=seconds, short=st.booleans(), awake=st.booleans())
    def tick(self, jump: int, short: bool, awake: bool) -> None:
        """Time passes, to a moment before or at a whole second; Python may sleep through it."""
        self.table.now += jump * SECOND - short
        if awake:
            self.engine.expire(self.table.now)
            self.reference.expire(self.table.now)
            self.drain()
        self.agree(self.table.outputs(), [])

    @rule(ahead=st.sampled_from([0, -1000, 1500, 3000, 10**6]))
    def set_clock(self, ahead: int) -> None:
        """The world's clock jumps: credentials that expire go by it, and nothing else does."""
        self.reference.ahead = ahead


class Agreed(Machine):
    """The same limits, but by the word of a policy: the settings alone would give more."""

    def __init__(self) -> None:
        super().__init__()
        terms = Terms(
            allocations_per_user=law.SESSIONS_PER_USER,
            permissions=law.PERMISSIONS,
            channels=law.CHANNELS,
            lifetime=law.MAX_LIFETIME,
            session_max=law.SESSION_MAX // SECOND,
        )
        self.engine.grants = Grants(Limits(lifetime_max=9999), self.engine.grants.peers)
        self.engine.rulings = Rulings(PolicyCalls(Answers(terms), 1.0, lambda: self.table.now), self.server)


LOOP = asyncio.new_event_loop()
FOUND = Path(__file__).parent / "found"  # histories that failed once: to be committed


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """One event loop for all runs."""
    yield
    LOOP.close()


def test_the_server_is_the_reference() -> None:
    """1,000 histories of 25 steps."""
    run(Machine, 1000)


def test_a_policy_is_the_reference_too() -> None:
    """100 histories more: what it agrees to holds in each of them, by whatever way a request finds its session."""
    run(Agreed, 100)


def run(machine: type[Machine], histories: int) -> None:
    """Have Hypothesis draw so many."""
    found = FOUND if machine is Machine else FOUND / "agreed"
    database = DirectoryBasedExampleDatabase(found)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories, stateful_step_count=25, suppress_health_check=list(HealthCheck), database=database
        ),
    )
