"""What became of each session: its last control messages, while it lives and for a while after."""

from collections import OrderedDict
from dataclasses import dataclass, field

from hairpin.stun import Counters
from hairpin.turn.effects import Notify, SessionView

KEPT = 24  # messages of a session: the first, which began it, and the last ones
ENDED = 256  # sessions that are over

Message = tuple[float, str, tuple[tuple[str, object], ...]]


@dataclass(slots=True)
class Life:
    """One session's; `session` is the live one until it has ended. See `hairpin.api.view.Life`."""

    session: SessionView
    ended: bool = False
    figures: Counters | None = None
    forgotten: int = 0
    messages: list[Message] = field(default_factory=list)


class Lives:
    """All of them by the ids of their sessions. It is told by an `Observer`, of the sessions themselves."""

    def __init__(self) -> None:
        """Nobody has lived yet."""
        self._living: dict[str, Life] = {}
        self._ended: OrderedDict[str, Life] = OrderedDict()

    def find(self, session: str) -> Life | None:
        """The life of a session, None where there is none or it is forgotten."""
        return self._living.get(session) or self._ended.get(session)

    def note(self, notify: Notify, at: float) -> None:
        """Something happened to a session at `at` (Unix seconds)."""
        kind, session = notify.kind, notify.session
        if kind == "usage":  # no message of its client, and there may be one a minute
            return
        life = self._living.get(session.id)
        if life is None:
            life = self._living[session.id] = Life(session)
        messages = life.messages
        if len(messages) >= KEPT:
            del messages[1]
            life.forgotten += 1
        messages.append((at, kind, notify.data))
        if kind == "closed":
            self._end(life)

    def count(self, notify: Notify, counters: Counters, at: float) -> None:  # noqa: ARG002  as observers are told
        """These are the last figures of a session that has ended."""
        life = self._ended.get(notify.session.id)
        if life is not None:
            life.figures = counters

    def _end(self, life: Life) -> None:
        session = life.session.view()
        del self._living[session.id]
        life.session, life.ended = session, True
        self._ended[session.id] = life
        if len(self._ended) > ENDED:
            self._ended.popitem(last=False)
