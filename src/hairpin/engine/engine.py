"""The engine: an event comes up, its sender is proved, the rules judge it, and their effects go down, in order.

One thread, the event loop's. Nothing here knows a rule of TURN; nothing here waits but for a look-up of credentials and
for a policy.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeAlias, TypeVar

from hairpin._core import Acknowledged, Closed, Core, Moving, PeerConnection, Table
from hairpin.auth import Answer, Asker, Authenticator, Credentials, Refusal
from hairpin.engine.acknowledgements import Acknowledgements
from hairpin.engine.departed import Departed
from hairpin.engine.endings import Endings
from hairpin.engine.rulings import Rulings
from hairpin.engine.tally import Tally
from hairpin.engine.waiting import Waiting
from hairpin.policy.grants import Grants, is_a_test
from hairpin.stun import Address, Counters, Method, Request, Totals, Transport
from hairpin.turn import effects as turn
from hairpin.turn.grant import Grant, Identity, Ruling
from hairpin.turn.server import Server
from hairpin.turn.state import Session

Backend: TypeAlias = Core | Table
"""The packet path, over sockets or in memory."""
Notice: TypeAlias = Closed | Moving | PeerConnection | Acknowledged | Totals
Refused: TypeAlias = Callable[[turn.Refused], None]
"""Told of a request that was refused, and why."""
Ended: TypeAlias = Callable[[turn.Notify, Counters], None]
"""Told of a session that ended, with its last figures: `Engine.on_event` is not."""
WORD = TypeVar("WORD")
"""What a request waits for."""
Next: TypeAlias = Callable[[Request, WORD, int], None]
"""Goes on with it at that time."""

BATCH = 64  # events whose commands wake a worker once
ROUNDS = 2  # batches between two looks at the loop
UNAUTHENTICATED = 401  # RFC 8489, section 9.2.4
OPENING = (turn.OpenRelay, turn.Listen)
# Another port would fare no better: no descriptors, no memory, or the address is not this machine's.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class Engine:
    """Drives one `turn.Server` over one packet path. `clock` gives nanoseconds on CLOCK_MONOTONIC, as all `now` are."""

    def __init__(
        self, backend: Backend, rules: Server, authenticator: Authenticator, grants: Grants, clock: Callable[[], int]
    ) -> None:
        """Serve nobody yet: `drain` does it when the packet path has events."""
        self.backend = backend
        self.clock = clock
        self.rules = rules
        self.authenticator = authenticator
        self.grants = grants
        self.rulings: Rulings | None = None  # of a policy, where there is one
        self.tally = Tally()
        self.on_event: Callable[[turn.Notify], None] = lambda _: None
        self.on_refused: Refused = lambda _: None
        self.on_ended: Ended = lambda _notify, _counters: None
        self.on_failure: Callable[[Exception], None] = lambda _: None
        self.on_late: Callable[[], None] = lambda: None  # requests that waited were judged
        self._at = rules.state.at
        self._waiting = Waiting()
        self._departed = Departed()
        self._acknowledgements = Acknowledgements()
        self._endings = Endings(lambda notify, counters: self.on_ended(notify, counters))
        self._tasks: set[asyncio.Task[None]] = set()
        self._perform: dict[type, Callable[[Any], object]] = {
            turn.InstallKey: lambda e: backend.install_key(e.flow, e.username, e.algorithm, e.key, e.rate),
            turn.Unreserve: lambda e: backend.unreserve(e.bind),
            turn.ExtendRelay: lambda e: backend.extend_relay(e.flow, e.version, e.deadline),
            turn.CloseRelay: lambda e: backend.close_relay(e.flow, e.version),
            turn.Keep: lambda e: backend.keep(e.flow),
            turn.Expect: lambda e: backend.expect(e.flow),
            turn.Move: lambda e: backend.move_session(e.flow, e.to),
            turn.Permit: lambda e: backend.permit(e.flow, e.ip, e.reaches, e.deadline),
            turn.Forbid: lambda e: backend.forbid(e.flow, e.ip),
            turn.BindChannel: lambda e: backend.bind_channel(e.flow, e.number, e.peer, e.deadline),
            turn.Unbind: lambda e: backend.unbind(e.flow, e.number),
            turn.Connect: lambda e: backend.connect(e.flow, e.peer, e.reach),
            turn.Disconnect: lambda e: backend.disconnect(e.flow, e.peer),
            turn.Reply: self._reply,
            turn.Join: self._join,
            turn.Send: lambda e: backend.send(e.flow, e.message),
            turn.Close: self._close,
            turn.Notify: self._notify,
            turn.Refused: lambda e: self.on_refused(e),
        }

    def drain(self, now: int) -> int:
        """Judge a batch of what came up; how many events there were."""
        events = self.backend.drain(BATCH)
        self.backend.hold()
        try:
            self._take(events, now)
        finally:
            self.backend.release()
        return len(events)

    def expire(self, now: int) -> None:
        """End what has come to its end."""
        self._apply(self.rules.expire(now), now)

    async def statistics(self, flow: int) -> Counters | None:
        """A session's figures, asked of its worker; TimeoutError after 2 s."""
        (counters,) = await self.figures([flow])
        return counters

    async def figures(self, flows: Iterable[int]) -> list[Counters | None]:
        """The figures of some sessions, asked of their workers at once; TimeoutError after 2 s."""
        return await self._acknowledgements.figures(*(partial(self.backend.counters, flow) for flow in flows))

    async def totals(self, workers: int) -> list[Totals]:
        """All workers' figures; TimeoutError after 2 s."""
        return await self._acknowledgements.totals(self.backend.totals, workers)

    async def end(self, flow: int, reason: str, now: int) -> None:
        """End a session; returns when no worker carries anything for it any more. TimeoutError after 2 s."""
        session = self.rules.sessions.get(flow)
        if session:
            self._departed.add(session.client, session.listener, session.identity, now)
        effects = self.rules.end(flow, reason, now)
        self._apply(effects, now)
        # Behind the effects in the same mailboxes: once these are answered, those are done.
        await self.figures({effect.flow for effect in effects if isinstance(effect, turn.Close | turn.Unbind)})

    def regrant(self, flow: int, now: int) -> None:
        """Hold a living session to the limits and peers in force now."""
        session = self.rules.sessions.get(flow)
        if session is not None:
            grant = self.grants.grant(session.identity, Ruling(session.terms))
            self._apply(self.rules.regrant(session, grant, now), now)

    async def stop(self) -> None:
        """Give up the look-ups under way, whose requests nobody will answer."""
        if self.authenticator.hook is not None:
            await self.authenticator.hook.close()
        if self.rulings is not None:
            self.rulings.calls.close()
        await asyncio.gather(*self._tasks)

    def finish(self) -> None:
        """Tell of the ends that no worker has acknowledged, and none will: with the figures that are known."""
        self._endings.finish()

    def _safely(self, call: Callable[..., None], *arguments: object) -> None:
        """What goes wrong with one event is told, and the next one is looked at."""
        try:
            call(*arguments)
        except Exception as error:
            self.on_failure(error)

    def _take(self, events: list[Request | Notice], now: int) -> None:
        for event in events:
            try:
                if isinstance(event, Request):
                    self.tally.requests[event.message.method] += 1
                    self._request(event, now)
                else:
                    self._notice(event, now)
            except Exception as error:  # the next one is looked at all the same
                self.on_failure(error)

    def _notice(self, event: Notice, now: int) -> None:
        if isinstance(event, Acknowledged):
            self._acknowledgements.done(event.token, event.counters)
        elif isinstance(event, Closed):
            self._closed(event, now)
        elif isinstance(event, Moving):
            self._apply(self.rules.moving(event.flow, away=event.away), now)
        elif isinstance(event, PeerConnection):
            self._apply(self.rules.changed(event.flow, event.peer, event.change, now), now)
        else:
            self._acknowledgements.add(event)

    def _request(self, request: Request, now: int) -> None:
        if self._waiting.join(request):
            return
        session = self._at(request.flow)
        if session and request.verified:  # without one it has ended meanwhile, and this is a stranger's
            self._judge(request, session, session.identity, now)
            return
        if not (session or request.verified):
            session = self.rules.ticketed(request)
        message = request.message
        if message.method == Method.CONNECTION_BIND:
            session = session or self.rules.binds(request)
        if session and session.identity.username == message.username and message.access_token is None:
            # Sent before the packet path had the key, or with a key of the other password algorithm.
            answer: Answer | Awaitable[Answer] = Credentials((session.identity,))
        else:
            answer = self._find(request, now)
        if isinstance(answer, Credentials | Refusal):
            self._decide(request, answer, now)
        else:
            self._wait(request, answer, self._decide)

    def _find(self, request: Request, now: int) -> Answer | Awaitable[Answer]:
        asker = Asker(request.source, self._interface(request), request.transport)
        answer = self.authenticator.find(request.message, asker)
        if isinstance(answer, Refusal) and request.message.method != Method.ALLOCATE:
            departed = self._departed.find(request, now)
            return Credentials((departed,)) if departed else answer
        return answer

    def _wait(self, request: Request, pending: Awaitable[WORD], go_on: Next[WORD]) -> None:
        """Go on with a request once it is known what it waits for, and then with those that came behind it."""
        self._waiting.begin(request)
        task = asyncio.get_running_loop().create_task(self._go_on(request, pending, go_on))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go_on(self, request: Request, pending: Awaitable[WORD], go_on: Next[WORD]) -> None:
        word = await pending
        now = self.clock()  # time has passed
        behind = self._waiting.end(request.flow)
        self._safely(go_on, request, word, now)
        if request.transport == Transport.UDP and not (self._at(request.flow) or self._waiting.at(request.flow)):
            behind = []  # the flow is closed: the client's next copy comes on a new one
        for late in behind:  # where the first one waits again they line up behind it again
            self._safely(self._request, late, now)
        self.on_late()

    def _decide(self, request: Request, answer: Answer, now: int) -> None:
        """Prove the requester by the credentials that were found, or refuse it, with no more than the RFC's code."""
        identity = answer.prove(request.message) if isinstance(answer, Credentials) else None
        if identity is not None:
            self._judge(request, self._at(request.flow), identity, now)
        else:
            self._refuse(request, answer if isinstance(answer, Refusal) else answer.mismatch)

    def _refuse(self, request: Request, refusal: Refusal) -> None:
        message, code = request.message, 0 if refusal.silent else UNAUTHENTICATED
        if code:
            self.tally.errors[message.method, code] += 1
            self.backend.challenge(request.flow, message)
        self._forget(request.flow)
        where = (request.source, self._interface(request), request.transport)
        self.on_refused(turn.Refused(*where, message.username or "", message.method, code, refusal))

    def _interface(self, request: Request) -> Address:
        return self.rules.state.settings.listeners[request.listener].interface

    def _judge(self, request: Request, session: Session | None, identity: Identity, now: int) -> None:
        """Have a request judged whose sender is proved: by a policy, where there is one, and by the rules."""
        if self.rulings is None or is_a_test(identity):
            self._serve(request, session, self.grants.grant(identity), now)
            return
        ruling = self.rulings.rule(request, identity, self.grants, now)
        if isinstance(ruling, Ruling):
            self._serve(request, session, self.grants.grant(identity, ruling), now)
        else:
            self._wait(request, ruling, partial(self._ruled, identity))

    def _ruled(self, identity: Identity, request: Request, ruling: Ruling, now: int) -> None:
        self._serve(request, self._at(request.flow), self.grants.grant(identity, ruling), now)

    def _serve(self, request: Request, session: Session | None, grant: Grant, now: int) -> None:
        flow = request.flow
        self._apply(self.rules.handle(request, grant, now), now)
        if self._at(flow):
            return
        if session:
            self._departed.add(session.client, session.listener, session.identity, now)
        self._forget(flow)

    def _forget(self, flow: int) -> None:
        """A client without a session keeps no slot."""
        if not self._at(flow):
            self.backend.close(flow, False, 0)

    def _closed(self, event: Closed, now: int) -> None:
        self._endings.left(event.flow, event.counters)
        self._apply(self.rules.closed(event.flow, event.reason, now), now)
        self._endings.forget(event.flow)

    def _apply(self, effects: list[turn.Effect], now: int) -> None:
        """Carry effects out, in order; a relay that was opened, or not, brings more of them."""
        for effect in effects:
            try:
                if isinstance(effect, OPENING):
                    self._apply(self._open(effect, now), now)
                else:
                    self._perform[type(effect)](effect)
            except Exception as error:  # the next one is carried out all the same
                self.on_failure(error)

    def _open(self, effect: turn.OpenRelay | turn.Listen, now: int) -> list[turn.Effect]:
        """Bind a relay, on one port after another where the rules say so; what they say in the end."""
        effects: list[turn.Effect] = [effect]
        while effects and isinstance(effects[0], OPENING):
            effects = self._try_to_open(effects[0], now)
        return effects

    def _try_to_open(self, effect: turn.OpenRelay | turn.Listen, now: int) -> list[turn.Effect]:
        where = (effect.flow, effect.bind, effect.external, effect.deadline)
        try:
            if isinstance(effect, turn.Listen):
                self.backend.listen(*where, effect.connections)
            else:
                self.backend.open_relay(*where, effect.reserve)
        except OSError as error:
            return self.rules.relay_refused(effect.flow, now, exhausted=error.errno in EXHAUSTED)
        return self.rules.relay_opened(effect.flow, now)

    def _reply(self, reply: turn.Reply) -> None:
        self.tally.answered(reply)
        self.backend.reply(reply.flow, reply.request, reply.attributes, reply.key)

    def _join(self, effect: turn.Join) -> None:
        reply = effect.reply
        self.tally.answered(reply)
        answer = reply.request.answer(reply.attributes, reply.key)
        self.backend.join(reply.flow, answer, effect.owner, effect.peer)

    def _close(self, effect: turn.Close) -> None:
        """The session's last figures come with the acknowledgement."""
        token = self._acknowledgements.call(lambda counters: self._endings.figures(token, counters))
        self._endings.begin(effect.flow, token)
        self.backend.close(effect.flow, effect.disconnect, token)

    def _notify(self, notify: turn.Notify) -> None:
        if notify.kind == "closed":
            self._endings.closed(notify)
        else:
            self.on_event(notify)
