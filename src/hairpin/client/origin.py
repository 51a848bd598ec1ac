"""Where the API is, and what proves that one may use it."""

import os
from dataclasses import dataclass, field

import httpx2

DEFAULT_URL = "http://127.0.0.1:3000"
URL_VARIABLE = "HAIRPIN_URL"
TOKEN_VARIABLE = "HAIRPIN_API_TOKEN"  # the server's own name for api.token
LAST_PORT = 65535
_WANTED = f"the URL is none of an API, such as {DEFAULT_URL}"


@dataclass(frozen=True, slots=True)
class Origin:
    """An API; no `token` for one that asks for none."""

    url: str
    token: str | None = field(default=None, repr=False)

    @classmethod
    def find(cls, url: str | None = None, token: str | None = None) -> "Origin":
        """From arguments, where they are None from the environment; ValueError for what will not do."""
        url = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        token = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        return cls(_checked_url(url), _checked_token(token) if token else None)

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {"accept-encoding": "identity"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})


def _checked_url(url: str) -> str:
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError(_WANTED) from None
    if parts.userinfo:
        raise ValueError("the URL has a user in it, which the API does not know: give the token instead")
    strange = parts.query or parts.fragment or (parts.port or 0) > LAST_PORT
    if parts.scheme not in ("http", "https") or not parts.host or strange:
        raise ValueError(_WANTED)
    return url.rstrip("/")


def _checked_token(token: str) -> str:
    if not all("!" <= character <= "~" for character in token):
        raise ValueError("the token must be visible ASCII characters, without a space")
    return token
