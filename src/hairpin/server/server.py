"""Puts the parts together: the packet path, the rules, the policy, the hooks and the API, in one event loop."""

import asyncio
import secrets
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

from hairpin._core import Certificate, host_addresses
from hairpin.api import Feed, Hooks
from hairpin.auth import Entrance, Passes, PasswordHook
from hairpin.config import Config, ConfigError
from hairpin.engine import ENDED, Engine, Goodbyes, PolicyCalls, Rulings
from hairpin.engine.engine import BATCH, ROUNDS
from hairpin.hooks import Events, HookClient, Spool, body
from hairpin.logging import make_logger
from hairpin.policy.answers import Why
from hairpin.policy.protocol import Policy
from hairpin.server import assembly
from hairpin.server.certificates import Dates, Watch, certificates
from hairpin.server.drain import Drain
from hairpin.server.external import with_externals
from hairpin.server.kernel import Kernel
from hairpin.server.lives import Lives
from hairpin.server.machine import raise_descriptor_limit, usable_processors
from hairpin.server.meter import Meter
from hairpin.server.observer import Observer
from hairpin.server.policy import choose
from hairpin.server.refusals import Refusals
from hairpin.server.selfprobe import SelfProbe, doors, own_identity
from hairpin.server.slices import slices
from hairpin.server.view import ServerView
from hairpin.server.web import WebServer
from hairpin.stun import Address, Counters
from hairpin.turn.state import Session
from hairpin.version import __version__

HOOKS_GRACE = 3.0  # seconds for the last events at the end
POLICY_GRACE = 3.0  # seconds for the policy to be told of the last sessions
RELOADED = ("auth", "limits", "peers", "log")
MOST_WORKERS = 128  # that a flow can name
HOST_SECONDS = 60.0  # between two looks at this machine's addresses
CERTIFICATE_SECONDS = 1.0  # between two looks at the files of certificates
NOTED_SECONDS = 60.0  # between two looks at what sessions have used, for the case of a crash


class Server:
    """A STUN/TURN server with its API: `async with hairpin.Server(config) as server:`.

    Binds everything before it serves anything; ConfigError names the setting whose address cannot be had.
    """

    def __init__(self, config: Config, policy: Policy | None = None) -> None:
        """Nothing is bound yet. ConfigError where the policy, or that of `policy.module`, will not do."""
        self.config = self._written = config
        self.policy = choose(config, policy)
        self.run_id = secrets.token_urlsafe(16)
        self.log = make_logger(config.log)
        self.clock = time.monotonic_ns
        self.wall = time.time
        self.passes = Passes(config.turn.realm, time.monotonic)
        self.workers = config.turn.workers or min(usable_processors(), MOST_WORKERS)
        self.identity = own_identity(config.turn.realm)
        self.certificate_dates = Dates(self.log, self.wall)
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
    def entrances(self) -> list[Entrance]:
        """How clients get in, in the order of the settings."""
        return [entrance for listener in self.listening for entrance in listener.entrances]

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
        spool = {"unspooled_events": self._spool.unspooled} if self._spool else {}
        return {"password_lookups": hook.dropped if hook else 0, **events, **spool}

    def policy_failures(self) -> dict[tuple[str, str], int]:
        """How often the policy gave no answer, by its method and why; those that can fail and did not, too."""
        calls = self.policy_calls
        return {(method, why): calls.failures[method, why] for method in calls.methods for why in Why} if calls else {}

    def hooks(self) -> Hooks | None:
        """How the hooks do, None where there are none."""
        if self._events is None or self._hook is None:
            return None
        events, hook = self._events, self._hook
        return Hooks(events.failing, events.delivered, events.waiting, hook.asked, hook.in_flight, hook.waiting)

    def reload(self, config: Config) -> None:
        """Take credentials, limits, peers and the log level, for living sessions too; the rest needs a restart.

        Certificates are read from their files again: new handshakes show them.
        """
        old = self.config
        shown = certificates(old)
        self.config = old.model_copy(update={section: getattr(config, section) for section in RELOADED})
        self.engine.authenticator = assembly.authenticator(self.config, self._hook, self.identity, self.passes)
        self._core.offer_anonymity(self.engine.authenticator.anonymous)
        assembly.set_rates(self.config, self._core)
        self._show(shown)
        self.certificate_dates.read(self.config)
        self.log.set_level(config.log.level)
        self.warnings = assembly.warnings(self.config, self._core, self._descriptors)
        self._regrant()
        sections = (name for name in type(config).model_fields if name not in RELOADED)
        kept = [name for name in sections if getattr(self._written, name) != getattr(config, name)]
        self.log.info("settings were read again", **({"need_a_restart": kept} if kept else {}))

    def _look_at_certificates(self) -> None:
        """Show new certificates once their files have changed; where they will not do, go on with the old ones."""
        if self._watch.changed():
            try:
                self._show(certificates(self.config))
                self.certificate_dates.read(self.config)
            except ConfigError as error:
                self.log.error("certificates were not read again", problem=str(error))
            else:
                self.log.info("certificates were read again")
        self.certificate_dates.tell()
        self._certificate_timer = self._loop.call_later(CERTIFICATE_SECONDS, self._look_at_certificates)

    def _show(self, shown: list[list[Certificate]]) -> None:
        for index, some in enumerate(shown):
            if some:
                self._core.set_certificates(index, some)

    def _regrant(self) -> None:
        """Judge peers by the settings and by this machine's addresses as they are now."""
        self._own = host_addresses()
        host = assembly.host(self.config, self.listening, self._web.address, self._own)
        self.engine.grants = assembly.grants(self.config, host)
        self._regranting = self._loop.create_task(self._regrant_sessions())

    async def _regrant_sessions(self) -> None:
        for some in slices(list(self.rules.sessions)):
            for flow in some:
                self.engine.regrant(flow, self.clock())
            await asyncio.sleep(0)

    def _look_at_host(self) -> None:
        """An address that this machine is given later is no peer either."""
        if sorted(host_addresses()) != sorted(self._own):
            self._regrant()
        self._host_timer = self._loop.call_later(HOST_SECONDS, self._look_at_host)

    async def _start(self) -> None:
        self._loop, self.started = asyncio.get_running_loop(), self.clock()
        self.config = config = await with_externals(self._written, self.log)
        self._descriptors = raise_descriptor_limit()
        self._web = WebServer(config.api.bind)
        self._stack.callback(self._web.close)
        self._watch = Watch(file for interface in config.turn.interfaces for file in interface.cert + interface.key)
        self._core = assembly.bind(config, self.workers, self._web.address)
        self._stack.callback(self._core.stop)
        self.listening = assembly.listening(config, self._core)
        self.warnings = assembly.warnings(config, self._core, self._descriptors)
        self.certificate_dates.read(self.config)
        await self._start_hooks(config)
        self._make_engine(config)
        await self._web.serve(ServerView(self))
        self._stack.push_async_callback(self._web.stop)
        self._stack.callback(self.feed.end)
        self._stack.push_async_callback(self._end_all)
        self._loop.add_reader(self._core.fileno(), self._events_came)
        assembly.set_rates(config, self._core)
        self._core.offer_anonymity(self.engine.authenticator.anonymous)
        self._host_timer = self._loop.call_later(HOST_SECONDS, self._look_at_host)
        self._certificate_timer = self._loop.call_later(CERTIFICATE_SECONDS, self._look_at_certificates)
        self._core.start()
        self._start_probing(config.turn.probe)
        self.certificate_dates.tell()
        for warning in self.warnings:
            self.log.warning(warning)
        self.log.info("serving", version=__version__, api=str(self.api_address), workers=self.workers)

    def _start_probing(self, seconds: float) -> None:
        if seconds:
            probing = self._loop.create_task(self.self_probe.run(seconds))
            self._stack.push_async_callback(_cancelled, probing)

    async def _start_hooks(self, config: Config) -> None:
        self._hook: PasswordHook | None = None
        self._events: Events | None = None
        self._spool: Spool | None = None
        if config.api.hooks is None:
            return
        headers = {"realm": config.turn.realm, "nonce": self.run_id}
        client = await self._stack.enter_async_context(HookClient(config.api.hooks, headers, config.api.hooks_timeout))
        self._hook = PasswordHook(client.get, config.turn.realm, time.monotonic)
        if config.api.hooks_spool is not None:
            self._spool = assembly.spool(config.api.hooks_spool, self.log)
            self._keep_running(self._spool.tend())
        timers = assembly.Timers(self._loop)
        self._events = Events(client.post, config.api.hooks_key, self.log, timers, self._spool)
        delivery = self._loop.create_task(self._events.run())
        self._stack.push_async_callback(asyncio.wait, [delivery])
        self._stack.push_async_callback(self._events.close, HOOKS_GRACE)

    def _keep_running(self, work: Coroutine[None, None, None]) -> None:
        """Until the server stops."""
        self._stack.callback(self._loop.create_task(work).cancel)

    def _make_engine(self, config: Config) -> None:
        self.rules = assembly.rules(config, self.listening)
        self._own = host_addresses()
        host = assembly.host(config, self.listening, self._web.address, self._own)
        authenticator = assembly.authenticator(config, self._hook, self.identity, self.passes)
        self.engine = Engine(self._core, self.rules, authenticator, assembly.grants(config, host), self.clock)
        self._drain = Drain(self.rules, self._loop, self.log)
        self.engine.on_late = self._look
        self.lives, self.feed = Lives(), Feed(self.run_id, body)
        self.refusals, self.kernel = Refusals(), Kernel()
        self.observer = Observer(
            self.log, self.wall, self.clock, self.identity.username, lambda: bool(self.feed.listeners)
        )
        self.observer.on_notify += [self.lives.note, self.feed.publish]
        self.observer.on_ended.append(self.lives.count)
        self.observer.on_refused.append(self.refusals.hear)
        if self._events is not None:
            self.observer.on_event.append(self._events.publish)
        self.observer.watch(self.engine)
        self._make_meter(config.api.usage_interval)
        self._have_asked(config.policy.deadline)
        self.self_probe = SelfProbe(
            doors(config, self.listening),
            self.identity,
            self._end_own,
            paused=lambda: self.rules.draining,
            wall=self.wall,
            log=self.log,
        )

    def _make_meter(self, interval: int) -> None:
        """Have it told what sessions have used, or noted for the case of a crash, or neither."""
        if interval:
            self._keep_running(Meter(self.engine, interval, self.observer.usage).run())
        elif self._spool is not None:
            self._keep_running(Meter(self.engine, NOTED_SECONDS, self._note_usage).run())

    def _note_usage(self, session: Session, counters: Counters) -> None:
        if self._events is not None:
            self._events.note(self.observer.used(session, counters), self.wall())

    def _have_asked(self, deadline: float) -> None:
        """Have the policy asked, if there is one, and told of sessions that ended where it wants to know."""
        self.policy_calls: PolicyCalls | None = None
        if self.policy is None:
            return
        calls = self.policy_calls = PolicyCalls(self.policy, deadline, self.clock)
        calls.on_failure = self.observer.policy_failed
        self.engine.rulings = Rulings(calls, self.rules)
        if ENDED in calls.methods:
            goodbyes = Goodbyes(calls, self.clock)
            self.observer.on_ended.append(goodbyes.add)
            self._keep_running(goodbyes.run())
            self._stack.push_async_callback(goodbyes.close, POLICY_GRACE)

    def _events_came(self) -> None:
        """A few batches from the packet path; what is left comes at the loop's next turn."""
        for _ in range(ROUNDS):
            if self.engine.drain(self.clock()) < BATCH:
                break
        self._look()

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
        self._look()

    def _look(self) -> None:
        """The state has changed."""
        self._arm()
        self._drain.look()

    async def _end_own(self) -> None:
        """End the sessions of the server itself."""
        for flow in list(self.rules.state.internal):
            with suppress(TimeoutError):
                await self.engine.end(flow, "probed", self.clock())

    async def _end_all(self) -> None:
        """End every session, and wait until their workers have."""
        self.rules.draining = True
        await self.engine.stop()
        flows, failed = list(self.rules.sessions), 0
        for some in slices(flows):
            ends = (self.engine.end(flow, "shutdown", self.clock()) for flow in some)
            failed += sum(outcome is not None for outcome in await asyncio.gather(*ends, return_exceptions=True))
        self.engine.finish()
        self._loop.remove_reader(self._core.fileno())
        self._host_timer.cancel()
        self._certificate_timer.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self.log.info("stopped", sessions_ended=len(flows), **({"unacknowledged": failed} if failed else {}))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
