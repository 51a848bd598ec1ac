"""What the routes have in common: the server they ask, and how they are described."""

from typing import Annotated, Any

from fastapi import Depends, Request

from hairpin.api.problems import MEDIA_TYPE
from hairpin.api.view import View

_SENTENCES = {
    400: "The query cannot be read, or means more sessions than one.",
    404: "No such session.",
    409: "The server is not set up for this.",
    413: "The body is too large.",
    422: "The body cannot be read.",
    503: "A worker did not answer in time.",
}


async def _view(request: Request) -> View:
    view: View = request.app.state.view
    return view


Live = Annotated[View, Depends(_view)]


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How these errors of a route are described."""
    return {status: problem(_SENTENCES[status]) for status in statuses}


def problem(description: str) -> dict[str, Any]:
    """A response with problem details, as OpenAPI writes it."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}
