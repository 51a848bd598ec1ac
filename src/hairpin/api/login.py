"""POST /login and POST /logout: the token for a cookie, and the cookie for nothing."""

from hmac import compare_digest

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from hairpin.api import cookie
from hairpin.api.guard import BY_COOKIE
from hairpin.api.logins import Attempts, Logins
from hairpin.api.problems import ApiError
from hairpin.api.shared import Live, errors, problem

router = APIRouter(tags=["dashboard"])


class Login(BaseModel):
    """Who wants in."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(max_length=1024, description="api.token.")


@router.post(
    "/login",
    status_code=204,
    responses={
        **errors(409, 413, 422),
        401: problem("It is another token."),
        429: problem("Too many wrong tokens came from this address."),
    },
    operation_id="login",
)
async def login(request: Request, view: Live, asked: Login) -> Response:
    """Trade api.token for a cookie that is good for 12 hours in the browser that asks. With it no password is shown."""
    token, attempts = view.access.token, _attempts(request)
    if token is None:
        raise ApiError(409, "The API asks for no token; open / without a login.")
    address = request.client.host if request.client else ""
    if wait := attempts.wait(address):
        raise ApiError(429, f"Too many wrong tokens; wait {wait} s.", {"Retry-After": str(wait)})
    if not compare_digest(asked.token.encode(), token.encode()):
        attempts.failed(address)
        raise ApiError(401, "This is not the token; api.token in the settings is.", {"WWW-Authenticate": "Bearer"})
    return Response(status_code=204, headers=cookie.given(request.headers, _logins(request).admit()))


@router.post("/logout", status_code=204, operation_id="logout")
async def logout(request: Request) -> Response:
    """The cookie of this browser is good no more."""
    _logins(request).leave(cookie.read(request.headers) or "")
    return Response(status_code=204, headers=cookie.taken(request.headers))


def stands(request: Request) -> bool:
    """Whether the login by which a request was let in is still good; so it is for one that needed none."""
    return not request.scope[BY_COOKIE] or _logins(request).knows(cookie.read(request.headers) or "")


def _logins(request: Request) -> Logins:
    known: Logins = request.app.state.logins
    return known


def _attempts(request: Request) -> Attempts:
    known: Attempts = request.app.state.attempts
    return known
