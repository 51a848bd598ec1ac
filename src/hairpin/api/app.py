"""The API as one ASGI application: the routes, within the guard, within the headers."""

from functools import cache

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from hairpin.api import (
    assets,
    credentials,
    dashboard,
    events,
    health,
    info,
    life,
    login,
    metrics,
    problems,
    refusals,
    sessions,
)
from hairpin.api.description import describe
from hairpin.api.guard import Guard
from hairpin.api.headers import Stamp
from hairpin.api.logins import Attempts, Logins
from hairpin.api.view import View


def create_app(view: View) -> ASGIApp:
    """The API of one server. `view` is asked anew at each request."""
    app = FastAPI(
        title="hairpin",
        version=view.software.rpartition("/")[2],
        description="A STUN/TURN server that other programs can look into and steer.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.view, app.state.logins, app.state.attempts = view, Logins(view.now), Attempts(view.now)
    problems.install(app)
    parts = (info, sessions, refusals, life, events, credentials, health, metrics, login, dashboard, assets)
    for part in parts:
        app.router.routes.extend(part.router.routes)
    _serve_description(app, view)
    return Stamp(Guard(app, view.access, app.state.logins), view)


def _serve_description(app: FastAPI, view: View) -> None:
    document = cache(lambda: describe(app, view.access))

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        """This description."""
        return JSONResponse(document())
