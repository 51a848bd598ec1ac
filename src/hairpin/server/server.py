"""Puts the parts together: the packet path, the rules, the policy, the hooks and the API, in one event loop."""

import asyncio
import secrets
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from hairpin._core import host_addresses
from hairpin.auth.hook import Fetch
from hairpin.config import Config
from hairpin.engine import Engine
from hairpin.hooks import Events, HookClient
from hairpin.logging import make_logger
from hairpin.server import assembly
from hairpin.server.drain import Drain
from hairpin.server.machine import raise_descriptor_limit, usable_processors
from hairpin.server.observer import Observer
from hairpin.server.view import ServerView
from hairpin.server.web import WebServer
from hairpin.stun import Address
from hairpin.version import __version__

HOOKS_GRACE = 3.0  # seconds for the last events at the end
RELOADED = ("auth", "limits", "peers", "log")


class Server:
    """A STUN/TURN server with its API: `async with hairpin.Server(config) as server:`.

    Binds everything before it serves anything; ConfigError names the setting whose address cannot be had.
    """

    def __init__(self, config: Config) -> None:
        """Nothing is bound yet."""
        self.config = config
        self.run_id = secrets.token_urlsafe(16)
        self.log = make_logger(config.log)
        self.clock = time.monotonic_ns
        self.wall = time.time
        self.workers = config.turn.workers or usable_processors()
        self._stack = AsyncExitStack()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        """Bind, then serve."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all sessions, deliver the last events, close everything."""
        await self._stack.aclose()

    @property
    def listeners(self) -> list[tuple[int, Address]]:
        """Transport (0 = UDP, 1 = TCP) and bound address of each interface, in the order of the settings."""
        return [(listener.transport, listener.bound) for listener in self.listening]

    @property
    def api_address(self) -> Address:
        """Where the API listens."""
        return self._web.address

    def drain(self) -> None:
        """Refuse new allocations, and stop when the sessions have ended or `limits.drain` is over; again: at once."""
        self._drain.begin(self.config.limits.drain)

    async def stopped(self) -> None:
        """Returns when a drain is over."""
        await self._drain.over.wait()

    def given_up(self) -> dict[str, int]:
        """What Python dropped to stay bounded."""
        hook = self.engine.authenticator.hook
        events = {f"{kind}_events": count for kind, count in self._events.dropped.items()} if self._events else {}
        return {"password_lookups": hook.dropped if hook else 0, **events}

    def reload(self, config: Config) -> None:
        """Take credentials, limits, peers and the log level of new settings; the rest needs a restart."""
        old = self.config
        self.config = old.model_copy(update={section: getattr(config, section) for section in RELOADED})
        self.engine.authenticator = assembly.authenticator(self.config, self._fetch)
        self.engine.grants = assembly.grants(self.config, self._host)
        assembly.set_rates(self.config, self._core)
        self.log.set_level(config.log.level)
        kept = [
            name
            for name in type(config).model_fields
            if name not in RELOADED and getattr(old, name) != getattr(config, name)
        ]
        self.log.info("settings were read again", **({"need_a_restart": kept} if kept else {}))

    async def _start(self) -> None:
        config, self._loop, self.started = self.config, asyncio.get_running_loop(), self.clock()
        descriptors = raise_descriptor_limit()
        self._web = WebServer(config.api.bind)
        self._stack.callback(self._web.close)
        self._core = assembly.bind(config, self.workers, self._web.address)
        self._stack.callback(self._core.stop)
        self.listening = assembly.listening(config, self._core)
        self.warnings = assembly.warnings(config, self._core, descriptors)
        await self._start_hooks(config)
        self._make_engine(config)
        await self._web.serve(ServerView(self))
        self._stack.push_async_callback(self._web.stop)
        self._stack.push_async_callback(self._end_all)
        self._loop.add_reader(self._core.fileno(), self._events_came)
        assembly.set_rates(config, self._core)
        self._core.start()
        for warning in self.warnings:
            self.log.warning(warning)
        self.log.info("serving", version=__version__, api=str(self.api_address), workers=self.workers)

    async def _start_hooks(self, config: Config) -> None:
        self._fetch: Fetch | None = None
        self._events: Events | None = None
        if config.api.hooks is None:
            return
        headers = {"realm": config.turn.realm, "nonce": self.run_id}
        client = await self._stack.enter_async_context(HookClient(config.api.hooks, headers, config.api.hooks_timeout))
        self._fetch = client.get
        self._events = Events(client.post, config.api.hooks_key, self.log, assembly.Timers(self._loop))
        delivery = self._loop.create_task(self._events.run())
        self._stack.push_async_callback(asyncio.wait, [delivery])
        self._stack.push_async_callback(self._events.close, HOOKS_GRACE)

    def _make_engine(self, config: Config) -> None:
        self.rules = assembly.rules(config, self.listening)
        self._host = assembly.host(config, self.listening, self._web.address, host_addresses())
        grants = assembly.grants(config, self._host)
        authenticator = assembly.authenticator(config, self._fetch)
        self.engine = Engine(self._core, self.rules, authenticator, grants, self.clock)
        self._drain = Drain(self.rules, self._loop, self.log)
        observer = Observer(self.log, self._events, self.wall, self.clock)
        observer.watch(self.engine)

    def _events_came(self) -> None:
        """A batch from the packet path; what is left comes at the loop's next turn."""
        self.engine.drain(self.clock())
        self._arm()
        self._drain.look()

    def _arm(self) -> None:
        """Have `expire` called at the next deadline."""
        deadline = self.rules.next_deadline()
        if self._timer is not None:
            if deadline is not None and self._timer.when() <= deadline / 1e9:
                return  # it is early enough, and looks again
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_at(deadline / 1e9, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.engine.expire(self.clock())
        self._arm()
        self._drain.look()

    async def _end_all(self) -> None:
        """End every session, and wait until their workers have."""
        flows = list(self.rules.sessions)
        ends = (self.engine.end(flow, "shutdown", self.clock()) for flow in flows)
        failed = [error for error in await asyncio.gather(*ends, return_exceptions=True) if error]
        self._loop.remove_reader(self._core.fileno())
        if self._timer is not None:
            self._timer.cancel()
        self.log.info("stopped", sessions_ended=len(flows), **({"unacknowledged": len(failed)} if failed else {}))
