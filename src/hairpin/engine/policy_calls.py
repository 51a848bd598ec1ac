"""Calls the methods of a policy: each call has a deadline, and a failure is counted, told, and no answer.

def  ---------------------------> answer, or late: measured when it returns, for it held up everybody
async def ---- a task ----------> answer, or late: cancelled at the deadline, and counted as in flight until it ends
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import TypeAlias

from hairpin.policy.answers import AnswerError, Failure, Why, Word, implemented, read
from hairpin.policy.protocol import Deny, Policy

IN_FLIGHT = 256  # calls that wait for something, of all users
IN_FLIGHT_PER_USER = 32
SECOND = 10**9
RAISED = (Exception, asyncio.CancelledError)

Question: TypeAlias = tuple[object, ...]
"""The arguments of a method."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the questions: the first word that denies, or the last one; and the question that it answers."""

    word: Word | Failure
    question: Question = ()


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    user: str
    began: int
    questions: Iterator[Question]


class PolicyCalls:
    """Calls one policy; `deadline` in seconds, `clock` in nanoseconds. Whoever wants to be told sets `on_failure`."""

    def __init__(self, policy: Policy, deadline: float, clock: Callable[[], int]) -> None:
        """Nothing is called yet."""
        self.methods = implemented(policy)
        self.failures: Counter[tuple[str, str]] = Counter()  # by method and `Why`
        self.on_failure: Callable[[Failure], None] = lambda _: None
        self._policy = policy
        self._deadline = deadline
        self._clock = clock
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._flights: Counter[str] = Counter()
        self._closed = False

    def ask(self, method: str, user: str, questions: Iterable[Question]) -> Outcome | Awaitable[Outcome]:
        """Ask one question after another within one deadline: at once, unless the policy has to wait for something."""
        if len(self._tasks) >= IN_FLIGHT or self._flights[user] >= IN_FLIGHT_PER_USER:
            return self.fail(method, Why.BUSY)
        return self.call(method, user, questions)

    def call(self, method: str, user: str, questions: Iterable[Question]) -> Outcome | Awaitable[Outcome]:
        """The same, however many calls wait already."""
        call = _Call(method, user, self._clock(), iter(questions))
        ask, outcome = getattr(self._policy, method), Outcome(Deny())
        try:
            for question in call.questions:
                said = ask(*question)
                if isawaitable(said):
                    return self._wait(call, question, said)
                outcome = Outcome(read(method, said), question)
                if isinstance(outcome.word, Deny):
                    break
        except RAISED as error:
            return self._raised(method, error)
        return self._in_time(call, outcome)

    def fail(self, method: str, why: Why, error: BaseException | None = None) -> Outcome:
        """There is no answer."""
        failure = Failure(method, why, error)
        if not (self._closed and isinstance(error, asyncio.CancelledError)):
            self.failures[method, why] += 1
            self.on_failure(failure)
        return Outcome(failure)

    def close(self) -> None:
        """Give up the calls that wait, without a word."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _wait(self, call: _Call, question: Question, said: Awaitable[object]) -> Awaitable[Outcome]:
        task = asyncio.get_running_loop().create_task(self._go_on(call, question, said))
        self._tasks.add(task)
        self._flights[call.user] += 1
        task.add_done_callback(partial(self._landed, call.user))
        return self._within_deadline(call, task)

    async def _go_on(self, call: _Call, question: Question, said: object) -> Outcome:
        """Wait for the answer, and ask what is left to be asked."""
        ask = getattr(self._policy, call.method)
        while True:
            outcome = Outcome(read(call.method, await said if isawaitable(said) else said), question)
            following = None if isinstance(outcome.word, Deny) else next(call.questions, None)
            if following is None:
                return outcome
            question, said = following, ask(*following)

    async def _within_deadline(self, call: _Call, task: asyncio.Task[Outcome]) -> Outcome:
        await asyncio.wait((task,), timeout=self._deadline)
        if not task.done():
            task.cancel()  # it may not listen, so nobody waits for that
            return self.fail(call.method, Why.LATE)
        try:
            return self._in_time(call, task.result())
        except RAISED as error:
            return self._raised(call.method, error)

    def _landed(self, user: str, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        self._flights[user] -= 1
        if not self._flights[user]:
            del self._flights[user]
        if not task.cancelled():
            task.exception()  # has been seen, also where it came too late

    def _in_time(self, call: _Call, outcome: Outcome) -> Outcome:
        late = self._clock() - call.began > self._deadline * SECOND
        return self.fail(call.method, Why.LATE) if late else outcome

    def _raised(self, method: str, error: BaseException) -> Outcome:
        return self.fail(method, Why.ANSWER if isinstance(error, AnswerError) else Why.RAISED, error)
