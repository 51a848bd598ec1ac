"""What the API sees of the server."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from hairpin.api import Access, Control, Hooks, Interface, KernelDrops, Probe, Refused, Trial
from hairpin.auth import IceServers, ice_servers, mint
from hairpin.auth.passes import LIFE
from hairpin.server.assembly import SOFTWARE
from hairpin.server.lives import Life
from hairpin.stun import Counters, Totals, Transport
from hairpin.turn.state import Session

if TYPE_CHECKING:
    from hairpin.server.server import Server

SECOND = 1_000_000_000


class Visible(Mapping[int, Session]):
    """Sessions by flow, without those that are hidden."""

    def __init__(self, sessions: Mapping[int, Session], hidden: Set[int]) -> None:
        """A view of both, live."""
        self._sessions = sessions
        self._hidden = hidden

    def __getitem__(self, flow: int) -> Session:
        if flow in self._hidden:
            raise KeyError(flow)
        return self._sessions[flow]

    def __iter__(self) -> Iterator[int]:
        return (flow for flow in self._sessions if flow not in self._hidden)

    def __len__(self) -> int:
        return len(self._sessions) - len(self._hidden)


class ServerView:
    """Live state and a few commands; nothing is kept here. See `hairpin.api.View`."""

    def __init__(self, server: "Server") -> None:
        """Look into this server."""
        self._server = server
        config = server.config
        self.realm = config.turn.realm
        self.run_id = server.run_id
        self.software = SOFTWARE
        self.started = server.started
        self.feed = server.feed
        self.hide_passwords = config.api.hide_passwords
        token = config.api.token.get_secret_value() if config.api.token else None
        self.access = Access(token, config.api.allow_unauthenticated)
        self.interfaces = [
            Interface(known.transport, known.bound, known.external, tls=known.secure) for known in server.listening
        ]

    @property
    def draining(self) -> bool:
        """Whether the server is about to stop."""
        return self._server.rules.draining

    def now(self) -> int:
        """Nanoseconds on CLOCK_MONOTONIC."""
        return self._server.clock()

    def sessions(self) -> Mapping[int, Session]:
        """The live sessions of clients by flow."""
        state = self._server.rules.state
        return Visible(state.sessions, state.internal) if state.internal else state.sessions

    def probes(self) -> Sequence[Probe]:
        """What the server found when it last tried its own front door."""
        return self._server.self_probe.found

    def life(self, session: str) -> Life | None:
        """The life of a session by its id, if it lives or has ended a moment ago."""
        return self._server.lives.find(session)

    def ports(self) -> Mapping[int, tuple[int, int]]:
        """Relay ports allocated and in all, by IP version."""
        rules = self._server.rules
        return {version: (rules.ports_allocated(version), rules.ports_capacity(version)) for version in (4, 6)}

    def warnings(self) -> Sequence[str]:
        """What the operator should know."""
        return [*self._server.warnings, *self._server.certificate_dates.warnings()]

    def refusals(self) -> Sequence[Refused]:
        """What was refused of late, the latest first."""
        return self._server.refusals.latest()

    def control(self) -> Control:
        """What Python has judged."""
        engine, refusals = self._server.engine, self._server.refusals
        return Control(engine.tally.asked(), engine.tally.answers(), refusals.logins, refusals.requests)

    def hooks(self) -> Hooks | None:
        """How the hooks do, None where there are none."""
        return self._server.hooks()

    async def kernel_drops(self) -> KernelDrops | None:
        """What the kernel threw away, None where it does not say."""
        listeners = [known.bound for known in self._server.listening if known.transport == Transport.UDP]
        return await self._server.kernel.drops(listeners, self._server.rules.is_relay)

    def given_up(self) -> Mapping[str, int]:
        """What Python dropped to stay bounded."""
        return self._server.given_up()

    def policy_failures(self) -> Mapping[tuple[str, str], int]:
        """How often the policy gave no answer."""
        return self._server.policy_failures()

    async def statistics(self, flow: int) -> Counters | None:
        """The figures of one session."""
        return await self._server.engine.statistics(flow)

    async def totals(self) -> Sequence[Totals]:
        """Every worker's sums."""
        return await self._server.engine.totals(self._server.workers)

    async def delete(self, flow: int) -> None:
        """End a session; returns once nothing is relayed any more."""
        await self._server.engine.end(flow, "deleted", self.now())

    def block(self, user: str, seconds: int) -> None:
        """Refuse this user's Allocates for so long."""
        now = self.now()
        self._server.rules.block(user, now + seconds * SECOND, now)

    def mint(self, user: str, ttl: int) -> IceServers:
        """Fresh credentials from the first shared secret; LookupError where there is none."""
        secrets = self._server.config.auth.static_auth_secret
        if not secrets:
            raise LookupError("auth.static_auth_secret is not set")
        username, password = mint(secrets[0].get_secret_value(), user, ttl, self._server.wall())
        return ice_servers(self._server.entrances, username, password)

    def trial(self) -> Trial:
        """Credentials for a test from a browser."""
        entrances = [(entrance.name, entrance.uri) for entrance in self._server.entrances]
        return Trial(*self._server.passes.issue(), LIFE, tuple(dict.fromkeys(entrances)))

    def crashed(self, path: str) -> None:
        """Log the exception that is being handled."""
        self._server.log.exception("the API failed", path=path)

    def drain(self) -> None:
        """Refuse new allocations and stop when the sessions have ended; a second call stops at once."""
        self._server.drain()
