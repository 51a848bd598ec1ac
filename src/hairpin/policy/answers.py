"""What the answers of a policy mean, and what holds where it gave none."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from hairpin.policy.protocol import Deny, Policy
from hairpin.turn.errors import Forbidden, InsufficientCapacity, TurnError
from hairpin.turn.refusal import Reason
from hairpin.turn.terms import USUAL, Terms

METHODS = ("may_allocate", "may_reach", "session_ended")
CUT = 128  # characters of a reason that are told
FORMS = {"may_allocate": "True, False, Terms or Deny", "may_reach": "True, False or Deny"}


class Why(StrEnum):
    """How a policy can fail: a fixed set, for metrics."""

    RAISED = "raised"
    LATE = "late"
    ANSWER = "answer"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Failure:
    """A method gave no answer, and its default holds."""

    method: str
    why: Why
    error: BaseException | None = None


Word: TypeAlias = Terms | Deny
"""Yes, on these terms, or no."""


class AnswerError(TypeError):
    """The answer of a method is none that it may give."""


def implemented(policy: object) -> frozenset[str]:
    """The methods that a policy has of its own: of the others nobody is asked."""
    return frozenset(name for name in METHODS if _is_own(getattr(policy, name, None), name))


def _is_own(method: object, name: str) -> bool:
    return method is not None and getattr(method, "__func__", method) is not getattr(Policy, name)


def read(method: str, said: object) -> Word:
    """What an answer means. AnswerError where it means nothing: whoever forgets `return` opens nothing."""
    if said is True or method not in FORMS:
        return USUAL
    if said is False:
        return Deny()
    if isinstance(said, Deny) or (isinstance(said, Terms) and method == "may_allocate"):
        return said
    raise AnswerError(f"{method} answered with a {type(said).__name__}; it may answer {FORMS[method]}")


def refusal(word: Word | Failure, about: str) -> TurnError | None:
    """What a client is answered: 403, and 508 where nobody said whether it may allocate; None for a yes.

    `about` is the user or the peer, for the sentence that says why.
    """
    if isinstance(word, Terms):
        return None
    if isinstance(word, Deny):
        reason = f": {word.reason}"[:CUT] if word.reason else ""
        return Forbidden(f"the policy says no to {about}{reason}", Reason.POLICY_DENIED)
    default = InsufficientCapacity if word.method == "may_allocate" else Forbidden
    return default(f"the policy gave no answer about {about} ({word.why})", Reason.POLICY_FAILED)
