"""`hairpin.Server` in this process, in a thread of its own, so that tests may block; its loop can be put to sleep."""

import asyncio
import http.client
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode

from certificates import Files, loopback, trusting
from client import Client, Endpoint
from hairpin import Config, Policy, Server
from serving import free_port

USER, PASSWORD, REALM = "user", "secret", "hairpin.test"
LOOPBACK = ("127.0.0.0/8", "::1/128")
RESULT = TypeVar("RESULT")


def configuration(*binds: tuple[str, str], workers: int = 1, **tables: Any) -> Config:
    """Settings with these listeners (transport, address), loopback peers, no limit on requests; `tables` go over it."""
    default = {
        "turn": {
            "realm": REALM,
            "workers": workers,
            "probe": 0,
            "interfaces": [interface(kind, bind) for kind, bind in binds],
        },
        "api": {"bind": with_port("127.0.0.1:0")},
        "log": {"level": "error"},
        "auth": {"static_credentials": {USER: PASSWORD, "other": "word"}},
        "limits": {"allocations_per_user": 0, "source_rate": 0, "session_rate": 0, "user_rate": 0},
        "peers": {"allow": LOOPBACK},
    }
    return Config(**{name: default.get(name, {}) | tables.get(name, {}) for name in default.keys() | tables.keys()})


def interface(transport: str, bind: str, files: Files | None = None, **more: object) -> dict[str, object]:
    """An interface; with TLS it shows that certificate, else the one that is for loopback."""
    if transport in ("tls", "dtls"):
        files = files or loopback()
        more = {"cert": str(files.cert), "key": str(files.key), **more}
    return {"transport": transport, "bind": with_port(bind), **more}


def with_port(bind: str) -> str:
    """Port 0 becomes one that the kernel gives to no peer: a peer with a listener's port would rightly be refused."""
    return f"{bind[:-1]}{free_port()}" if bind.endswith(":0") else bind


EVERYWHERE = (("udp", "127.0.0.1:0"), ("tcp", "127.0.0.1:0"), ("udp", "[::1]:0"), ("tcp", "[::1]:0"))


class Running:
    """A server that runs, and its loop."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop

    def address(self, index: int = 0) -> Endpoint:
        """Where an interface listens."""
        _, bound = self.server.listeners[index]
        return bound.ip, bound.port

    def client(self, index: int = 0, *, allocate: bool = True, **options: Any) -> Client:
        """A client of an interface; it has allocated a relay of the interface's family."""
        transport, bound = self.server.listeners[index]
        if self.server.listening[index].secure:
            options = {"tls": trusting(), **options}
        made = Client((bound.ip, bound.port), tcp=transport == 1, **options)
        if allocate:
            made.allocate(version=bound.version)
        return made

    def call(self, function: Callable[[], RESULT]) -> RESULT:
        """In the loop's thread."""

        async def called() -> RESULT:
            return function()

        return self.wait(called())

    def wait(self, work: Coroutine[Any, Any, RESULT]) -> RESULT:
        """For what the loop shall do."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def ask(self, method: str, path: str, **query: object) -> tuple[int, Any]:
        """A request to the REST API: the status, and the body out of its JSON."""
        api = self.server.api_address
        connection = http.client.HTTPConnection(api.ip, api.port, timeout=20)
        try:
            connection.request(method, f"{path}?{urlencode(query)}" if query else path)
            response = connection.getresponse()
            body = response.read()
            return response.status, json.loads(body) if body else None
        finally:
            connection.close()

    def drops(self) -> dict[str, int]:
        """What was dropped, by reason, in all workers."""
        totals = self.wait(self.server.engine.totals(self.server.workers))
        return {reason: sum(one.drops[reason] for one in totals) for reason in totals[0].drops}

    def flow(self, client: Client) -> int:
        """The flow of a client's session."""
        ip, port = client.address
        sessions = self.call(lambda: list(self.server.rules.sessions.values()))
        return next(
            s.flow for s in sessions if (s.client.ip, s.client.port, s.transport) == (ip, port, int(client.tcp))
        )

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Python does nothing meanwhile."""
        sleeping, awake = threading.Event(), threading.Event()

        def sleep() -> None:
            sleeping.set()
            awake.wait(60)

        self.loop.call_soon_threadsafe(sleep)
        assert sleeping.wait(10)
        try:
            yield
        finally:
            awake.set()


@contextmanager
def running(config: Config, policy: Policy | None = None) -> Iterator[Running]:
    """Start a server and stop it; what it raises at its start is raised here."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work: Awaitable[RESULT]) -> RESULT:
        async def waited() -> RESULT:
            return await work

        return asyncio.run_coroutine_threadsafe(waited(), loop).result(30)

    try:
        server = Server(config, policy)
        do(server.__aenter__())
        try:
            yield Running(server, loop)
        finally:
            do(server.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


DISCOVERY_IPS = ("127.0.0.1", "127.0.0.2")


@contextmanager
def discovering(*transports: str, workers: int = 1, **tables: Any) -> Iterator[Running]:
    """A server on two addresses, each with the same two ports for a transport."""
    ports = [(transport, [free_port(), free_port()]) for transport in transports]
    binds = [(transport, f"{ip}:{port}") for transport, both in ports for ip in DISCOVERY_IPS for port in both]
    turn = configuration(*binds, workers=workers).turn.model_dump() | {"discovery": True}
    with running(configuration(turn=turn, **tables)) as made:
        yield made
