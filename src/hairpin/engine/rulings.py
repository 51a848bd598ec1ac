"""Which requests a policy is asked about, and what its words make of them: a Ruling, which the Grant carries.

It is asked after the credentials were proved and before the rules, about what they would let through. Of what they
refuse anyway, and of copies, it hears nothing; the Ruling then allows nothing, so a mistake here opens nothing.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal, TypeAlias

from hairpin.engine.policy_calls import Outcome, PolicyCalls, Question
from hairpin.policy.answers import refusal
from hairpin.policy.grants import Grants
from hairpin.policy.peers import Peers
from hairpin.policy.protocol import Peer, TurnClient
from hairpin.stun import Address, Message, Method, Request, Transport
from hairpin.turn.errors import Forbidden, TurnError
from hairpin.turn.grant import Grant, Identity, Ruling
from hairpin.turn.permission import require_few
from hairpin.turn.refusal import Reason
from hairpin.turn.server import Server
from hairpin.turn.state import Session
from hairpin.turn.terms import USUAL, Terms

ALLOCATE, REACH = "may_allocate", "may_reach"
NAMING_PEERS = (Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.CONNECT)
TRANSPORTS: dict[int, Literal["udp", "tcp"]] = {Transport.UDP: "udp", Transport.TCP: "tcp"}
NOT_ASKED = "the policy was not asked"
Ruled: TypeAlias = Ruling | Awaitable[Ruling]


class Rulings:
    """Asks through `calls`; `rules` know the sessions."""

    def __init__(self, calls: PolicyCalls, rules: Server) -> None:
        """Nothing is asked yet."""
        self.calls = calls
        self._rules = rules

    def rule(self, request: Request, identity: Identity, grants: Grants, now: int) -> Ruled:
        """What the policy says of a request of this user; at once, unless it has to wait for something."""
        session, method = self._rules.known(request), request.message.method
        if method == Method.ALLOCATE:
            return self._admit(request, identity, session, now)
        terms = session.terms if session else USUAL
        if REACH not in self.calls.methods:
            return Ruling(terms)
        if method in NAMING_PEERS and session and _is_new(session, request.message, identity, now):
            return self._reach(request, session, grants.grant(identity, Ruling(terms)), grants.peers)
        return Ruling(terms, peers=frozenset())

    def _admit(self, request: Request, identity: Identity, session: Session | None, now: int) -> Ruled:
        if ALLOCATE not in self.calls.methods:
            return Ruling()
        if (session and (session.allocation or session.pending)) or self._rules.turns_away(identity, now):
            return Ruling(refusal=Forbidden(NOT_ASKED, Reason.POLICY_DENIED))
        if session and session.belongs_to(identity):
            return Ruling(session.terms)  # it was let in when it began
        outcome = self.calls.ask(ALLOCATE, identity.user, [(self._client(request, identity),)])
        return _then(outcome, partial(_admission, identity.user))

    def _reach(self, request: Request, session: Session, grant: Grant, peers: Peers) -> Ruled:
        message, identity = request.message, session.identity
        try:
            ips = dict.fromkeys(grant.peer(named)[0].ip for named in message.peers)
            require_few(ips, grant.limits)
        except TurnError as error:
            return Ruling(session.terms, error, frozenset())
        if not ips:
            return Ruling(session.terms, peers=frozenset())
        port = message.peers[0].port if message.method == Method.CONNECT else None
        client = self._client(request, identity, session.id)
        questions = [(client, Peer(form, port)) for ip in ips for form in peers.forms(ip)]
        outcome = self.calls.ask(REACH, identity.user, questions)
        return _then(outcome, partial(_reached, Ruling(session.terms, peers=frozenset(ips))))

    def _client(self, request: Request, identity: Identity, session: str | None = None) -> TurnClient:
        interface = self._rules.state.settings.listeners[request.listener].interface
        return turn_client(identity, (request.source, interface, request.transport), session)


def turn_client(identity: Identity, where: tuple[Address, Address, int], session: str | None) -> TurnClient:
    """A client as a policy sees it: who it is, its address, interface and transport, and the id of its session."""
    address, interface, transport = where
    name = TRANSPORTS[transport]
    return TurnClient(identity.user, identity.username, address.ip, address.port, str(interface), name, session)


def _is_new(session: Session, message: Message, identity: Identity, now: int) -> bool:
    """Whether it is the session's own user who asks, for an allocation that is there, and for the first time."""
    return bool(session.allocation) and session.belongs_to(identity) and session.repeat(message, now) is None


def _then(outcome: Outcome | Awaitable[Outcome], conclude: Callable[[Outcome], Ruling]) -> Ruled:
    return conclude(outcome) if isinstance(outcome, Outcome) else _later(outcome, conclude)


async def _later(pending: Awaitable[Outcome], conclude: Callable[[Outcome], Ruling]) -> Ruling:
    return conclude(await pending)


def _admission(user: str, outcome: Outcome) -> Ruling:
    word = outcome.word
    return Ruling(word) if isinstance(word, Terms) else Ruling(refusal=refusal(word, user))


def _named(question: Question) -> str:
    """The peer that a question was about."""
    return next((one.ip for one in question if isinstance(one, Peer)), "the peer")


def _reached(agreed: Ruling, outcome: Outcome) -> Ruling:
    """All peers of a request may be reached, or none (RFC 8656, section 10.2)."""
    denied = refusal(outcome.word, _named(outcome.question))
    return Ruling(agreed.terms, denied, frozenset()) if denied else agreed
