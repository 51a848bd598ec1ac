"""What a browser needs to use this server."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from hairpin.stun import Transport

NAMES = {
    (Transport.UDP, False): "udp",
    (Transport.UDP, True): "dtls",
    (Transport.TCP, False): "tcp",
    (Transport.TCP, True): "tls",
}


@dataclass(frozen=True, slots=True)
class Entrance:
    """A way into the server: a transport, HOST:PORT, and whether TLS (over UDP: DTLS) runs there."""

    transport: int
    address: str
    secure: bool

    @property
    def scheme(self) -> str:
        """Of its URI (RFC 7065)."""
        return "turns" if self.secure else "turn"

    @property
    def name(self) -> str:
        """Of its transport, as the settings have it."""
        return NAMES[Transport(self.transport), self.secure]

    @property
    def uri(self) -> str:
        """As browsers take it."""
        return f"{self.scheme}:{self.address}?transport={Transport(self.transport).name.lower()}"


class IceServer(TypedDict):
    """An RTCIceServer of WebRTC."""

    urls: list[str]
    username: str
    credential: str


class IceServers(TypedDict):
    """What RTCPeerConnection takes as its configuration."""

    iceServers: list[IceServer]


def ice_servers(entrances: Iterable[Entrance], username: str, password: str) -> IceServers:
    """The configuration for clients that come in there."""
    urls = dict.fromkeys(entrance.uri for entrance in entrances)
    return {"iceServers": [{"urls": list(urls), "username": username, "credential": password}]}
