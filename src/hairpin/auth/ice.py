"""What a browser needs to use this server."""

from collections.abc import Iterable
from typing import TypedDict

from hairpin.stun import Address, Transport


class IceServer(TypedDict):
    """An RTCIceServer of WebRTC."""

    urls: list[str]
    username: str
    credential: str


class IceServers(TypedDict):
    """What RTCPeerConnection takes as its configuration."""

    iceServers: list[IceServer]


def ice_servers(interfaces: Iterable[tuple[int, Address]], username: str, password: str) -> IceServers:
    """The configuration for clients of `interfaces` (transport, external address)."""
    urls = dict.fromkeys(f"turn:{address}?transport={Transport(kind).name.lower()}" for kind, address in interfaces)
    return {"iceServers": [{"urls": list(urls), "username": username, "credential": password}]}
