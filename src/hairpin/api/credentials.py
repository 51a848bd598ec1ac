"""POST /credentials: what to paste into RTCPeerConnection."""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hairpin.api.problems import ApiError
from hairpin.api.shared import Live, errors

router = APIRouter(tags=["credentials"])

_DAY = 86400


def _whole(value: object) -> object:
    """JSON Schema's idea of an integer: 60.0 is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Wish(BaseModel):
    """Whose credentials, and for how long. Unknown members are refused: a misspelt `ttl` would mean a whole day."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # USERNAME has room for 508 bytes (RFC 8489, section 14.3): expiry, colon and 124 characters of UTF-8 always fit.
    user: str = Field(
        default="", max_length=124, pattern=r"^[^\x00-\x1f\x7f]*$", description="The name that quotas count."
    )
    ttl: Annotated[int, BeforeValidator(_whole)] = Field(
        default=_DAY, ge=1, le=366 * _DAY, description="Seconds in which an allocation may be made."
    )


class IceServer(BaseModel):
    """An RTCIceServer."""

    urls: list[str]
    username: str
    credential: str


class IceServers(BaseModel):
    """An RTCConfiguration."""

    iceServers: list[IceServer]  # noqa: N815  the browser's spelling


@router.post(
    "/credentials", response_model=IceServers, responses=errors(409, 413, 422), operation_id="mint_credentials"
)
async def mint(view: Live, wish: Annotated[Wish | None, Body()] = None) -> IceServers:
    """Make TURN REST credentials from the first of auth.static_auth_secret."""
    wish = wish or Wish()
    try:
        return IceServers.model_validate(view.mint(wish.user, wish.ttl))
    except LookupError:
        raise ApiError(409, "No credentials can be made without a secret; set auth.static_auth_secret.") from None
