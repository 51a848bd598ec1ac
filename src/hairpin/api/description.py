"""/openapi.json: FastAPI's description of the routes, and what holds for all of them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from hairpin.api.guard import PUBLIC
from hairpin.api.problems import ProblemDetails
from hairpin.api.shared import problem
from hairpin.api.view import Access

_REFERENCE = "#/components/schemas/{model}"
_HEADERS = {
    "realm": ("The realm of the TURN server.", "^[!-~]{1,127}$"),
    "nonce": ("The id of this run of the server: random, new at each start.", "^[!-~]{16,}$"),
    "Cache-Control": ("Answers are not to be kept.", "^no-store$"),
    "X-Content-Type-Options": ("Answers are what they say they are.", "^nosniff$"),
}


def describe(app: FastAPI, access: Access) -> dict[str, Any]:
    """The document as it is served."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    components["schemas"]["ProblemDetails"] = ProblemDetails.model_json_schema(ref_template=_REFERENCE)
    if access.token is not None:
        says = "api.token; a browser trades it for a cookie at /login."
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": says}}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            _complete(operation, access, path in PUBLIC)
    return document


def _complete(operation: dict[str, Any], access: Access, public: bool) -> None:
    """Add to a route what the layers around it answer."""
    responses = operation["responses"]
    responses["500"] = problem("The server failed; its log says why.")
    if access.token is None:
        responses["403"] = problem("A web page or a proxy asks, or the Host is no loopback name.")
    else:
        operation["security"] = [{}, {"token": []}] if public else [{"token": []}]
    if access.token is not None and not public:
        responses["401"] = problem("The token is missing or wrong.")
    for response in responses.values():
        response["headers"] = {name: _header(*header) for name, header in _HEADERS.items()}


def _header(description: str, pattern: str) -> dict[str, Any]:
    return {"description": description, "required": True, "schema": {"type": "string", "pattern": pattern}}
