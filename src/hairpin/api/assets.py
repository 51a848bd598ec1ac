"""The dashboard's page: files of this package, as they are. Its scripts come from here alone, and nobody frames it."""

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from hairpin.api.guard import TRUSTED

_FOLDER = Path(__file__).with_name("page")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Frames would let another site have our buttons clicked; scripts in the text of the page would be somebody else's.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page(request: Request) -> Response:
    """The dashboard; for who has not shown the token a login, and nothing else."""
    return _file("index.html" if request.scope[TRUSTED] else "login.html")


@router.get("/page/{name}")
async def asset(name: str) -> Response:
    """A file of the page."""
    if name not in _names():
        raise HTTPException(404)
    return _file(name)


def _file(name: str) -> Response:
    return Response(_read(name), headers=HEADERS, media_type=_TYPES[Path(name).suffix])


@cache
def _names() -> frozenset[str]:
    return frozenset(file.name for file in _FOLDER.iterdir() if file.suffix != ".html")


@cache
def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
