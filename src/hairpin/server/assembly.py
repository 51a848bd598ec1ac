"""From settings to parts: each function makes one, and knows nothing of the others."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import chain, repeat
from pathlib import Path
from struct import Struct

from hairpin._core import Core, Listener, Options
from hairpin.auth import AccessTokens, Authenticator, Entrance, Passes, PasswordHook, SharedSecrets, StaticUsers
from hairpin.config import Config, ConfigError, relays_for
from hairpin.config.fields import token_key
from hairpin.hooks import Spool, SpoolError
from hairpin.logging import Logger
from hairpin.policy.grants import Grants
from hairpin.policy.peers import Host, Peers
from hairpin.server.certificates import certificates
from hairpin.stun import Address
from hairpin.turn.grant import Identity, Limits
from hairpin.turn.server import Server as Rules
from hairpin.turn.settings import ListenerSettings, RelayAddress, Settings
from hairpin.version import __version__

SOFTWARE = f"hairpin/{__version__}"
LISTENER_BUFFER = 4 << 20  # what `rust/io/src/sockets.rs` asks for
DESCRIPTORS_BESIDE_RELAYS = 64
# Bytes for REALM and THIRD-PARTY-AUTHORIZATION in a 401 to the shortest Allocate, 28 bytes over IPv4 (decision 14).
CHALLENGE_ROOM = 60


@dataclass(frozen=True, slots=True)
class Listening:
    """An interface of the settings once it is bound: port 0 has become a port."""

    transport: int
    bound: Address
    external: Address
    entrances: tuple[Entrance, ...]
    secure: bool


def bind(config: Config, workers: int, api: Address) -> Core:
    """All listeners, bound and not served yet. ConfigError names the setting whose address can not be had."""
    _try_relays(config)
    options = Options(
        realm=config.turn.realm,
        nonce_secret=secrets.token_bytes(32),
        limiter_seed=secrets.randbits(64),
        relays=relays_for(config).pairs,
        closed=[api, *_announced(config)],
        squares=[[_corner(config, index) for index in square] for square in config.turn.squares],
        classic=config.compat.rfc3489,
        third_party=config.turn.server_name,
    )
    listeners = [
        Listener(interface.carrier, interface.bind, shown, interface.plain_tcp, _networks(interface.proxy_from))
        for interface, shown in zip(config.turn.interfaces, certificates(config), strict=True)
    ]
    try:
        return Core(options, listeners, workers)
    except OSError as error:
        places = [str(interface.bind) for interface in config.turn.interfaces]
        key = f"turn.interfaces[{places.index(error.filename)}].bind" if error.filename in places else "turn.interfaces"
        raise ConfigError(f"cannot listen on {error.filename}: {os.strerror(error.errno or 0)}", key=key) from None


def set_rates(config: Config, core: Core) -> None:
    """How many requests a second the packet path takes."""
    core.set_rates(config.limits.source_rate, config.limits.session_rate, config.limits.user_rate)


def listening(config: Config, core: Core) -> tuple[Listening, ...]:
    """The interfaces as they were bound."""
    return tuple(
        Listening(
            interface.carrier,
            bound,
            interface.announced(bound),
            tuple(interface.entrances(bound)),
            interface.secure,
        )
        for interface, (bound, _) in zip(config.turn.interfaces, core.listeners(), strict=True)
    )


def rules(config: Config, listening: Iterable[Listening]) -> Rules:
    """The rules of TURN with these settings."""
    families = relays_for(config).interfaces
    settings = Settings(
        listeners=tuple(
            ListenerSettings(listener.external, {family: RelayAddress(*pair) for family, pair in pairs.items()})
            for listener, pairs in zip(listening, families, strict=True)
        ),
        tcp=config.relay.tcp,
        ports=config.relay.ports,
        channel_last=0x7FFE if config.compat.rfc5766_channels else 0x4FFF,
        alternate=config.turn.alternate,
        alternate_domain=config.turn.alternate_domain,
        mobility=config.turn.mobility,
        software=SOFTWARE,
    )
    return Rules(settings, chance())


def chance() -> Callable[[int], int]:
    """A source of chance that nobody can guess: one of 0..n-1, for any n up to 2**64.

    The kernel is asked for many numbers at a time: one costs it as much as a thousand. Of n ports none is more likely
    than another by more than n in 2**64.
    """
    numbers = chain.from_iterable(Struct("512Q").unpack(secrets.token_bytes(4096)) for _ in repeat(None))
    return lambda n: next(numbers) % n


def host(config: Config, listening: Iterable[Listening], api: Address, own: Iterable[str]) -> Host:
    """This machine, and what of it is no peer: the listeners and the API."""
    closed = [api, *(address for listener in listening for address in (listener.bound, listener.external))]
    return Host(frozenset(own), relays_for(config).pairs, tuple(closed))


def grants(config: Config, host: Host) -> Grants:
    """Who may do how much, and reach whom."""
    limits, peers = config.limits, config.peers
    return Grants(
        Limits(
            sessions=limits.allocations,
            sessions_per_user=limits.allocations_per_user,
            permissions=limits.permissions,
            channels=limits.channels,
            connections=limits.connections,
            lifetime_max=limits.lifetime,
            session_max=limits.session_max,
            rate=limits.bytes_per_second,
        ),
        Peers(host, peers.allow, peers.deny, peers.nat64),
        frozenset(config.turn.mobility_users),
        Peers(host),
    )


def authenticator(config: Config, hook: PasswordHook | None, internal: Identity, passes: Passes) -> Authenticator:
    """Who is asked about a user name; `internal` is the server itself, `passes` are the users that it makes up."""
    realm = config.turn.realm
    static = {name: password.get_secret_value() for name, password in config.auth.static_credentials.items()}
    shared = [secret.get_secret_value() for secret in config.auth.static_auth_secret]
    users, secrets = StaticUsers(static, realm), SharedSecrets(shared, realm, time.time)
    return Authenticator(users, secrets, hook, _tokens(config), internal, passes)


def _tokens(config: Config) -> AccessTokens | None:
    keys = {kid: token_key(key.get_secret_value()) for kid, key in config.auth.oauth_keys.items()}
    name = config.turn.server_name  # of the settings that the server started with: it is told in 401s
    return AccessTokens(keys, name, time.time, time.monotonic_ns) if keys and name else None


def warnings(config: Config, core: Core, descriptors: int) -> list[str]:
    """What the operator should know, said once at start."""
    auth, found = config.auth, []
    if not (auth.static_credentials or auth.static_auth_secret or auth.oauth_keys or config.api.hooks):
        found.append("Nobody can allocate: set auth.static_credentials, auth.static_auth_secret or api.hooks.")
    if config.api.allow_unauthenticated and not config.api.token:
        found.append("The API is open to everyone who reaches it (api.allow_unauthenticated).")
    if not _challenge_fits(config):
        found.append(
            "turn.realm is too long (with turn.server_name, where that is set): over UDP, a client whose first request "
            "is short gets no answer, since that may be three times as large at most."
        )
    needed = _relays(config) + DESCRIPTORS_BESIDE_RELAYS
    if descriptors < needed:
        found.append(f"This process may open {descriptors} descriptors, the limits need {needed}: raise `ulimit -Hn`.")
    smallest = min((buffer for _, buffer in core.listeners() if buffer), default=LISTENER_BUFFER)
    if smallest < LISTENER_BUFFER:
        found.append(
            f"The kernel holds {smallest} bytes for a listener instead of {LISTENER_BUFFER}: "
            f"raise net.core.rmem_max, or bursts are lost."
        )
    return found


def _challenge_fits(config: Config) -> bool:
    texts = [config.turn.realm, *([config.turn.server_name] if config.turn.server_name else [])]
    return sum(4 + len(text) + -len(text) % 4 for text in texts) <= CHALLENGE_ROOM


class Timers:
    """The clock of the world, and the loop's timers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call in this loop."""
        self._loop = loop

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    def later(self, seconds: float, call: Callable[[], None]) -> object:
        """Call in so many seconds."""
        return self._loop.call_later(seconds, call)


def spool(file: Path, log: Logger) -> Spool:
    """The file in which events wait; ConfigError where it will not do."""
    try:
        return Spool.open(file, time.time(), log)
    except SpoolError as error:
        raise ConfigError(f"{file} {error}", key="api.hooks_spool") from None


def _try_relays(config: Config) -> None:
    """Bind what `relay.bind` names, once: else the first client would find out. Other relays use a listener's IP."""
    for ip in config.relay.bind:
        family = socket.AF_INET if Address(ip, 0).version == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as trial:
                trial.bind((ip, 0))
        except OSError as error:
            raise ConfigError(f"cannot relay from {ip}: {os.strerror(error.errno or 0)}", key="relay.bind") from None


def _networks(networks: Iterable[str]) -> list[tuple[str, str]]:
    return [(str(ip_network(text)[0]), str(ip_network(text)[-1])) for text in networks]


def _announced(config: Config) -> list[Address]:
    announced = (interface.announced(interface.bind) for interface in config.turn.interfaces)
    return [address for address in announced if address.port]


def _corner(config: Config, index: int) -> tuple[int, Address]:
    interface = config.turn.interfaces[index]
    return index, interface.announced(interface.bind)


def _relays(config: Config) -> int:
    """As many relays as the limits allow: a session has one of each family at most."""
    low, high = config.relay.ports
    relays = relays_for(config)
    ports = (high - low + 1) * len({external for _, external in relays.pairs})
    families = max(len(pairs) for pairs in relays.interfaces)
    return min(ports, families * config.limits.allocations) if config.limits.allocations else ports
