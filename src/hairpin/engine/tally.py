"""How many requests were judged, and how they were answered: an addition each, for there are many."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from hairpin.stun import Method
from hairpin.turn.effects import Reply
from hairpin.turn.errors import ERROR_CODE, error_code


def _by_method() -> list[int]:
    return [0] * (max(Method) + 1)


@dataclass(slots=True)
class Tally:
    """Figures since the start, by method; what the packet path answers alone is not among them."""

    requests: list[int] = field(default_factory=_by_method)
    successes: list[int] = field(default_factory=_by_method)
    errors: Counter[tuple[int, int]] = field(default_factory=Counter)  # by method and error code

    def answered(self, reply: Reply) -> None:
        """An answer leaves."""
        attributes = reply.attributes
        if attributes and attributes[0][0] is ERROR_CODE:
            self.errors[reply.request.method, error_code(attributes)] += 1
        else:
            self.successes[reply.request.method] += 1

    def asked(self) -> Mapping[int, int]:
        """Requests by method."""
        return {method: count for method, count in enumerate(self.requests) if count}

    def answers(self) -> Mapping[tuple[int, int], int]:
        """Answers by method and error code, 0 for success."""
        return {**{(method, 0): count for method, count in enumerate(self.successes) if count}, **self.errors}
