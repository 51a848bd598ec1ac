"""Errors of the API: RFC 9457 problem details, made in this one place."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

MEDIA_TYPE = "application/problem+json"
CRASHED = "The server failed on this request; its log says why."
TIMED_OUT = "A worker did not answer within 2 s, so the outcome is unknown; look at GET /session, then try again."


class ProblemDetails(BaseModel):
    """What went wrong, and what to do about it (RFC 9457)."""

    type: str = Field(
        default="about:blank", description="Always about:blank: the status says which kind of problem it is."
    )
    title: str = Field(description="The status in words.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="A sentence that says what to do.")
    matched: int | None = Field(default=None, ge=2, description="How many sessions matched where one was meant.")


class ApiError(Exception):
    """A request that is answered with a problem."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        """Say what to do about it in `detail`; `more` are further members of the body."""
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers, more

    def response(self) -> JSONResponse:
        """The problem as it is sent."""
        return respond(self.status, self.detail, self.headers, **self.more)


def respond(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """An answer with problem details."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def quoted(value: object) -> str:
    """A value off the wire, escaped and cut, to name it in a sentence."""
    text = value if isinstance(value, str) else repr(value)
    return ascii(text[:128]) + ("..." if len(text) > 128 else "")


def install(app: FastAPI) -> None:
    """Have every error of the framework answered as a problem."""
    app.add_exception_handler(ApiError, _problem)
    app.add_exception_handler(TimeoutError, _timed_out)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _crashed)


async def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error.response()


async def _timed_out(_: Request, __: Exception) -> JSONResponse:
    return respond(503, TIMED_OUT)


async def _crashed(_: Request, __: Exception) -> JSONResponse:
    return respond(500, CRASHED)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return respond(422, " ".join(_sentence(entry) for entry in error.errors()[:8]))


def _sentence(entry: Mapping[str, Any]) -> str:
    """One finding of the validator: the field, its value, what is wrong."""
    place = ".".join(str(part)[:128] for part in entry["loc"])
    value = "" if entry["type"] == "missing" else f" {quoted(entry.get('input'))}"
    return f"{place}{value}: {entry['msg']}."


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path = quoted(request.url.path)
    if error.status_code == 404:
        return respond(404, f"There is nothing at {path}; GET /openapi.json lists what there is.")
    if error.status_code == 405:
        allow = ", ".join(_methods(request))
        return respond(405, f"{quoted(request.method)} is not for {path}; use {allow}.", {"Allow": allow})
    if error.status_code == 400:  # the framework's word for bytes that are no JSON
        return respond(422, "body: this is not readable as JSON; send an object in UTF-8, or no body.")
    return respond(error.status_code, str(error.detail), error.headers)


def _methods(request: Request) -> list[str]:
    """Every method of a path: the router itself would name those of its first route only (RFC 9110, section 10.2.1)."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)
