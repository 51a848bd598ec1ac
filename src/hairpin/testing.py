"""A TURN server for the tests of other projects: `with TurnServer() as server:`, or pytest's fixture `turn_server`."""

import asyncio
import secrets
import socket
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from hairpin.auth import IceServers, ice_servers
from hairpin.client import Client, Session
from hairpin.config import Config, ConfigError
from hairpin.config.sources import merge
from hairpin.server import Server

IP = "127.0.0.1"
PORTS = range(20_000, 32_768)  # the kernel gives higher ones to peers, and a peer with a listener's port is refused
ATTEMPTS = 8  # at ports that another process takes between the look and the bind
PATIENCE = 30.0  # seconds for a start or a stop
PEERS = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")  # of one's own machine


class TurnServer:
    """hairpin in a thread of this process, on free ports of 127.0.0.1, as long as its `with` lasts.

    `transports` are udp and tcp. `settings` are tables of hairpin's settings, which go over the server's own:
    `limits={"lifetime": 600}`. Peers on loopback and in private networks are allowed. ConfigError for what will not do.
    """

    client: Client  # of its API
    realm: str

    def __init__(
        self,
        transports: Iterable[str] = ("udp", "tcp"),
        *,
        username: str = "user",
        realm: str = "hairpin.test",
        **settings: Mapping[str, Any],
    ) -> None:
        """Nothing is bound yet. The password is made up."""
        self.username = username
        self.password = secrets.token_urlsafe(12)
        self._transports = list(transports)
        self._tables = {**settings, "turn": {"realm": realm, **settings.get("turn", {})}}

    def __enter__(self) -> Self:
        for left in reversed(range(ATTEMPTS)):
            config = self._config()
            try:
                self._start(config)
            except ConfigError as error:
                if not left or not error.problem.startswith("cannot listen"):
                    raise
            else:
                break
        self.realm = config.turn.realm
        token = config.api.token.get_secret_value() if config.api.token else ""
        self.client = Client(f"http://{self._server.api_address}", token=token)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.client.close()
        self.stop()

    @property
    def urls(self) -> list[str]:
        """The server's, one for each transport: `turn:127.0.0.1:PORT?transport=udp`."""
        return [entrance.uri for entrance in self._server.entrances]

    @property
    def url(self) -> str:
        """The first of them."""
        return self.urls[0]

    @property
    def ice_servers(self) -> IceServers:
        """A configuration for RTCPeerConnection: `{"iceServers": [{"urls", "username", "credential"}]}`."""
        return ice_servers(self._server.entrances, self.username, self.password)

    def sessions(self) -> list[Session]:
        """The sessions that live."""
        return list(self.client.sessions())

    def stop(self) -> None:
        """End all sessions and give the ports back, as a server that goes down in the middle of a test; once."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._server.drain)
            self._thread.join(PATIENCE)

    def _config(self) -> Config:
        port, api = _free_port(), _free_port()
        interfaces = [{"transport": transport, "bind": f"{IP}:{port}"} for transport in self._transports]
        own = {
            "turn": {"workers": 1, "interfaces": interfaces},
            "api": {"bind": f"{IP}:{api}"},
            "log": {"level": "error"},
            "auth": {
                "static_credentials": {self.username: self.password},
                "static_auth_secret": secrets.token_urlsafe(),
            },
            "peers": {"allow": PEERS},
        }
        return Config(**merge(own, self._tables))

    def _start(self, config: Config) -> None:
        started: Future[tuple[Server, asyncio.AbstractEventLoop]] = Future()
        serving = _serve(config, started)
        self._thread = threading.Thread(target=asyncio.run, args=[serving], name="hairpin", daemon=True)
        self._thread.start()
        try:
            self._server, self._loop = started.result(PATIENCE)
        except ConfigError:
            self._thread.join(PATIENCE)
            raise


async def _serve(config: Config, started: Future[tuple[Server, asyncio.AbstractEventLoop]]) -> None:
    try:
        async with Server(config) as server:
            started.set_result((server, asyncio.get_running_loop()))
            await server.stopped()
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


def _free_port() -> int:
    """A port that is free now, for UDP and TCP. The kernel's chance, for tests may have seeded Python's."""
    while True:
        port = secrets.choice(PORTS)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((IP, port))
        except OSError:
            continue
        return port
