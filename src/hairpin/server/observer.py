"""Tells the log, and whoever wants to know, what happens to sessions; never a log line a packet, never a secret."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hairpin.engine import Engine
from hairpin.hooks import usage
from hairpin.logging import Logger
from hairpin.policy.answers import Failure
from hairpin.stun import Counters, Method
from hairpin.turn.effects import Notify, Refused, SessionView

SECOND = 1_000_000_000
LINES_A_SECOND = 10


@dataclass(slots=True)
class Observer:
    """Listens to an engine. Those in its lists are told in their order, with the time in Unix seconds.

    `on_notify` is told first, of the session itself; `on_event` of a copy, for those who keep what they are told.
    What a session has used is put together only where there are some of these, or somebody `listens` live.
    Nobody is told of the server's own sessions, in which it tries its front door.
    """

    log: Logger
    wall: Callable[[], float]
    clock: Callable[[], int]
    own: str | None = None  # the user name of the server itself
    listens: Callable[[], bool] = lambda: False
    on_notify: list[Callable[[Notify, float], None]] = field(default_factory=list)
    on_event: list[Callable[[Notify, float], None]] = field(default_factory=list)
    on_ended: list[Callable[[Notify, Counters, float], None]] = field(default_factory=list)
    on_refused: list[Callable[[Refused, float], None]] = field(default_factory=list)
    _second: int = field(default=0, init=False)
    _said: int = field(default=0, init=False)
    _unsaid: int = field(default=0, init=False)

    def watch(self, engine: Engine) -> None:
        """Be told what happens there."""
        engine.on_event, engine.on_ended, engine.on_refused = self.event, self.ended, self.refused
        engine.on_failure = self.failed

    def event(self, notify: Notify) -> None:
        """Something happened to a session; of its end `ended` is told."""
        if notify.session.internal:
            return
        self._tell(notify)
        if self.log.speaks("trace"):
            self.log.trace(notify.kind, session=notify.session.id, **dict(notify.data))

    def usage(self, session: SessionView, counters: Counters) -> None:
        """A session that lives has used so much."""
        if self._usage_is_told():
            self._tell(self.used(session, counters))

    def used(self, session: SessionView, counters: Counters, reason: str | None = None) -> Notify:
        """What a session has used until now, or in all where there is a reason why it ended."""
        until = self.wall()
        return usage(session, counters, until - (self.clock() - session.began) / SECOND, until, reason)

    def ended(self, notify: Notify, counters: Counters) -> None:
        """What it has used, then its end; one summary line for each session."""
        if notify.session.internal:
            return
        if self._usage_is_told():
            self._tell(self.used(notify.session, counters, str(dict(notify.data)["reason"])))
        self._tell(notify)
        for tell in self.on_ended:
            tell(notify, counters, self.wall())
        if not self.log.speaks("info"):
            return
        session = notify.session
        self.log.info(
            "session ended",
            session=session.id,
            username=session.username,
            client=str(session.client),
            received_bytes=counters.received_bytes,
            send_bytes=counters.send_bytes,
            received_pkts=counters.received_pkts,
            send_pkts=counters.send_pkts,
            error_pkts=counters.error_pkts,
            **dict(notify.data),
        )

    def failed(self, error: Exception) -> None:
        """Something went wrong that should not: what it was about is lost, the service goes on."""
        if self._may_speak():
            self.log.exception("an event was not served", error=repr(error))

    def policy_failed(self, failure: Failure) -> None:
        """A method of the policy gave no answer."""
        if self._may_speak():
            more = {"exc_info": failure.error} if failure.error else {}
            self.log.error("the policy failed", method=failure.method, why=failure.why.value, **more)

    def refused(self, refused: Refused) -> None:
        """Why a login failed, or (debug) another request: 403 for a private peer is a matter of course in each call."""
        if refused.username == self.own:
            return
        for tell in self.on_refused:
            tell(refused, self.wall())
        login = refused.is_login
        if not (self.log.speaks("info" if login else "debug") and self._may_speak()):
            return
        say = self.log.info if login else self.log.debug
        say(
            "login refused" if login else "request refused",
            reason=refused.refusal.reason,
            detail=refused.refusal.detail,
            username=refused.username,
            client=str(refused.client),
            method=Method(refused.method).name.lower(),
            error=refused.code,
        )

    def _usage_is_told(self) -> bool:
        return bool(self.on_event) or self.listens()

    def _tell(self, notify: Notify) -> None:
        at = self.wall()
        for tell in self.on_notify:
            tell(notify, at)
        if self.on_event:
            told = Notify(notify.kind, notify.session.view(), notify.data)
            for tell in self.on_event:
                tell(told, at)

    def _may_speak(self) -> bool:
        """Of what strangers can bring about, at most ten lines a second, then how many there would have been."""
        second = self.clock() // SECOND
        if second != self._second:
            if self._unsaid:
                self.log.info("more of the like", count=self._unsaid)
            self._second, self._said, self._unsaid = second, 0, 0
        speaks = self._said < LINES_A_SECOND
        self._said += speaks
        self._unsaid += not speaks
        return speaks
