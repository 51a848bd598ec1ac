"""The filters of the session routes."""

from typing import TypedDict


class Which(TypedDict, total=False):
    """What narrows sessions down. Each may be left out; None and an empty one are as if left out."""

    id: str | None  # the session's
    address: str | None  # the client's IP:PORT, or its IP alone
    interface: str | None  # the external or bind address of the interface
    transport: int | str | None  # 0 or udp, 1 or tcp
    username: str | None  # also the part after the colon of a TURN REST credential
