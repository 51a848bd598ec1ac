"""What can keep an answer from its caller; `str` of each is a sentence that says what to do."""

from pydantic import ValidationError

from hairpin.client.models import ProblemDetails


class ClientError(Exception):
    """Any of them."""


class UnreachableError(ClientError):
    """Nobody answered, or not in time."""


class AnswerError(ClientError):
    """What answered is no hairpin, or one that this client does not understand."""


class ProblemError(ClientError):
    """The API says what is wrong (RFC 9457)."""

    def __init__(self, problem: ProblemDetails) -> None:
        """`status` is HTTP's, `detail` the API's sentence, `matched` how many sessions matched where one was meant."""
        super().__init__(problem.detail)
        self.status, self.detail, self.matched = problem.status, problem.detail, problem.matched


class QueryError(ProblemError):
    """The API takes no such argument, or no such value of it."""


class TokenError(ProblemError):
    """The token is missing or wrong."""


class NotFoundError(ProblemError):
    """No session is meant."""


class SeveralError(ProblemError):
    """One session is meant, and several match."""


_KINDS = {400: QueryError, 401: TokenError, 404: NotFoundError, 422: QueryError}


def problem(status: int, body: bytes) -> ClientError:
    """The error that an answer of this status stands for."""
    try:
        details = ProblemDetails.model_validate_json(body)
    except ValidationError:
        return AnswerError(f"The answer has status {status}, and is none that this client understands.")
    return (SeveralError if details.matched else _KINDS.get(status, ProblemError))(details)
