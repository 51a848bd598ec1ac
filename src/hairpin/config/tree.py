"""Every setting of hairpin with its default: a tree that is validated once and then trusted."""

import secrets
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from hairpin.config.discovery import squares
from hairpin.config.fields import (
    AUTO,
    AddressText,
    ExternalIp,
    Hostname,
    IpText,
    Nat64Prefix,
    Password,
    PeerEntry,
    Ports,
    PythonName,
    Realm,
    Secret,
    Several,
    StunUri,
    Token,
    TokenKey,
    Url,
    Username,
    WebhookSecret,
    by_family,
    overlap,
    webhook_key,
)
from hairpin.config.interface import Interface
from hairpin.config.section import Section
from hairpin.config.sources import ConfigError, MisplacedError, Tables, environment, explain, locate, merge, read
from hairpin.stun import Address, Transport

Count = Annotated[int, Field(ge=0, le=2**32 - 1)]
Positive = Annotated[int, Field(ge=1, le=2**32 - 1)]


class Turn(Section):
    """The STUN and TURN side."""

    realm: Realm = Field(default="localhost", description="the realm of all credentials")
    server_name: Hostname | None = Field(
        default=None, description="the name that access tokens are made for (RFC 7635)"
    )
    interfaces: Annotated[tuple[Interface, ...], Field(min_length=1)] = Field(
        description="the listeners, one at least: `[[turn.interfaces]]` for each"
    )
    alternate: Annotated[tuple[AddressText, ...], Several] = Field(
        default=(), description="where clients are sent while the server drains: an IPv4 and an IPv6 address at most"
    )
    alternate_domain: Hostname | None = Field(
        default=None, description="the name in the certificate of the `alternate`"
    )
    discovery: bool = Field(
        default=False,
        description="NAT behaviour discovery (RFC 5780); needs four UDP interfaces: two IP addresses, and on each the "
        "same two ports",
    )
    mobility: bool = Field(
        default=False, description="allocations may follow their client to another address (RFC 8016)"
    )
    mobility_users: tuple[Username, ...] = Field(default=(), description="whose; none named: everyone's")
    external_from: StunUri | None = Field(
        default=None, description='the STUN server that tells the public address where `external` is "auto"'
    )
    workers: Annotated[int, Field(ge=0, le=128)] = Field(
        default=0, description="threads that move packets; 0 is one for each processor that hairpin may use"
    )
    probe: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=60.0, description="seconds between two tries of the server to use itself as a client; 0 is none"
    )

    @model_validator(mode="after")
    def _no_duplicates(self) -> Self:
        for index, late in enumerate(self.interfaces):
            for number, early in enumerate(self.interfaces[:index]):
                if late.carrier == early.carrier and overlap(late.bind, early.bind):
                    raise MisplacedError(
                        f"interfaces[{index}].bind", f"turn.interfaces[{number}] listens there already"
                    )
        return self

    @model_validator(mode="after")
    def _one_alternate_a_family(self) -> Self:
        by_family("alternate", [alternate.ip for alternate in self.alternate])
        if self.alternate_domain and not self.alternate:
            raise MisplacedError("alternate_domain", "is the name of another server: add turn.alternate")
        return self

    @property
    def squares(self) -> list[tuple[int, ...]]:
        """The interfaces that answer for each other where `discovery` asks for it (RFC 5780, section 6)."""
        return squares([interface.place for interface in self.interfaces]) if self.discovery else []

    @model_validator(mode="after")
    def _discovery_has_addresses(self) -> Self:
        if self.discovery and not any(self.interfaces[square[0]].transport == "udp" for square in self.squares):
            raise MisplacedError(
                "discovery", "needs four udp interfaces: two IP addresses, and on each of them the same two ports"
            )
        return self


class Api(Section):
    """The HTTP API, and the hooks that the server calls."""

    bind: AddressText = Field(default=Address("127.0.0.1", 3000), description="where the HTTP API is served")
    hooks: Url | None = Field(
        default=None,
        description="the service that is asked for passwords, at `/password`, and told what happens, at `/events`",
    )
    hooks_timeout: Annotated[float, Field(gt=0, le=60)] = Field(default=5.0, description="its time to answer (seconds)")
    hooks_secret: WebhookSecret | None = Field(
        default=None, description="what events are signed with (Standard Webhooks)"
    )
    hooks_spool: Path | None = Field(
        default=None, description="a file where events wait for their delivery; without one they wait in memory"
    )
    usage_interval: Count = Field(
        default=0, description="seconds between two `usage` events of a session that lives; 0: one at its end"
    )
    token: Token | None = Field(
        default=None, description="what every client of the API must bring; without one only this machine may ask"
    )
    hide_passwords: bool = Field(default=False, description="leave passwords out of answers")
    allow_unauthenticated: bool = Field(default=False, description="let anyone in who reaches the API, without a token")

    @property
    def hooks_key(self) -> bytes | None:
        """What events are signed with."""
        return webhook_key(self.hooks_secret.get_secret_value()) if self.hooks_secret else None

    @model_validator(mode="after")
    def _spools_for_hooks(self) -> Self:
        if self.hooks_spool and not self.hooks:
            raise MisplacedError("hooks_spool", "is for events on their way to the hooks: set api.hooks")
        return self

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not (ip_address(self.bind.ip).is_loopback or self.token or self.allow_unauthenticated):
            raise MisplacedError(
                "bind", f"{self.bind} is not loopback: set api.token, or api.allow_unauthenticated = true"
            )
        return self


class Log(Section):
    """What is logged, on stderr; `auto` is for people on a terminal and JSON elsewhere."""

    level: Literal["error", "warn", "info", "debug", "trace"] = Field(
        default="info", description="the least that is logged"
    )
    format: Literal["auto", "console", "json"] = Field(default="auto", description="how a line looks")


class Auth(Section):
    """Who may relay; the hook of `api.hooks` is asked after these."""

    static_credentials: dict[Username, Password] = Field(default={}, description="users and their passwords")
    static_auth_secret: Annotated[tuple[Secret, ...], Several] = Field(
        default=(),
        description="the secret that TURN REST credentials are made from; the first of several makes new ones",
    )
    oauth_keys: dict[Username, TokenKey] = Field(
        default={}, description="keys of access tokens (RFC 7635), by the user name that clients give with a token"
    )


class Relay(Section):
    """Where relays are; without `bind` they use the address of the interface that the client used."""

    ports: Ports = Field(default=(49152, 65535), description="the ports of relays")
    bind: Annotated[tuple[IpText, ...], Several] = Field(
        default=(),
        description="the addresses of relays, one for IPv4 and one for IPv6 at most; without them, the interface's",
    )
    external: Annotated[tuple[ExternalIp, ...], Several] = Field(
        default=(),
        description="what clients and peers are told instead of each `bind`, where NAT makes it another one; "
        '"auto" is found at the start',
    )
    tcp: bool = Field(default=False, description="TCP relays, too, for clients that come by TCP or TLS (RFC 6062)")

    @model_validator(mode="after")
    def _one_a_family(self) -> Self:
        bind = by_family("bind", self.bind)
        if AUTO in self.external:
            return self._found_alone()
        external = by_family("external", self.external)
        for family, ip in external.items():
            if family not in bind:
                raise MisplacedError("external", f"{ip} needs an IPv{family} address in relay.bind")
        for family, ip in bind.items():
            if ip_address(ip).is_unspecified and family not in external:
                raise MisplacedError("bind", f'{ip} is every address: add external = "IP" as peers see it')
        for ip in external.values():
            if ip_address(ip).is_unspecified:
                raise MisplacedError("external", f"{ip} is every address: name the one that peers see")
        return self

    def _found_alone(self) -> Self:
        if len(self.external) > 1:
            raise MisplacedError("external", '"auto" is for all of relay.bind: it stands alone')
        if not self.bind:
            raise MisplacedError("external", '"auto" needs an address in relay.bind')
        return self


class Limits(Section):
    """What all, a user and a session may have; times in seconds, 0 for no limit where it is allowed."""

    allocations: Count = Field(default=0, description="sessions in all")
    allocations_per_user: Count = Field(default=32, description="sessions of a user")
    bytes_per_second: Count = Field(default=0, description="of a session, each way")
    permissions: Positive = Field(default=64, description="of a session")
    channels: Positive = Field(default=32, description="of a session")
    connections: Positive = Field(default=32, description="of a TCP relay, each with two descriptors")
    # RFC 8656, section 7.2: 600 s are granted at least.
    lifetime: Annotated[int, Field(ge=600, le=2**32 - 1)] = Field(
        default=3600, description="the longest life of a session that is granted at a time (seconds)"
    )
    session_max: Count = Field(default=0, description="the longest life of a session in all (seconds)")
    drain: Count = Field(default=0, description="how long a stop waits for sessions to end (seconds); 0 waits for none")
    source_rate: Count = Field(
        default=1000,
        description="answers a second to one source (/32, /64) that has proved nothing; more for a carrier-grade NAT",
    )
    session_rate: Count = Field(default=100, description="requests a second of a session")
    user_rate: Count = Field(default=1000, description="requests a second of a user")


class Peers(Section):
    """Networks that clients may reach, or not: `10.0.0.0/8`, with a port `0.0.0.0/0:53` or `[2001:db8::/32]:53`."""

    allow: tuple[PeerEntry, ...] = Field(default=(), description="special networks that clients may reach all the same")
    deny: tuple[PeerEntry, ...] = Field(default=(), description="networks that they may not reach; this beats `allow`")
    nat64: tuple[Nat64Prefix, ...] = Field(
        default=(), description="prefixes of your NAT64: an address below one is judged by the IPv4 address inside"
    )


class Policy(Section):
    """Python that is asked who may allocate and whom clients may reach, and told of sessions that ended."""

    module: PythonName | None = Field(
        default=None, description='Python that is asked who may allocate and reach whom: `"my_rules:Policy"`'
    )
    deadline: Annotated[float, Field(gt=0, le=60)] = Field(default=1.0, description="its time to answer (seconds)")


class Compat(Section):
    """Concessions to old clients."""

    rfc5766_channels: bool = Field(default=False, description="take channel numbers up to 0x7FFE")
    rfc3489: bool = Field(default=False, description="answer Binding requests of classic STUN, which have no cookie")


class Config(Section):
    """The settings of one server. Wrong ones raise ConfigError."""

    turn: Turn
    api: Api = Api()
    log: Log = Log()
    auth: Auth = Auth()
    relay: Relay = Relay()
    limits: Limits = Limits()
    peers: Peers = Peers()
    policy: Policy = Policy()
    compat: Compat = Compat()

    def __init__(self, **values: Any) -> None:
        """Validate tables of settings, as they would stand in a file."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise explain(error) from None

    @model_validator(mode="after")
    def _api_is_apart(self) -> Self:
        for index, interface in enumerate(self.turn.interfaces):
            if interface.carrier == Transport.TCP and overlap(interface.bind, self.api.bind):
                raise MisplacedError("api.bind", f"turn.interfaces[{index}] listens there already")
        return self

    @model_validator(mode="after")
    def _tokens_have_a_name(self) -> Self:
        if self.auth.oauth_keys and not self.turn.server_name:
            raise MisplacedError("auth.oauth_keys", "needs turn.server_name, the name that access tokens are made for")
        return self

    @classmethod
    def load(cls, path: Path | str | None = None) -> Self:
        """The settings of a TOML file, if one is named, and of the environment, which beats it."""
        file = None if path is None else Path(path)
        return cls._parse({} if file is None else read(file), environment(cls.model_fields), file)

    @classmethod
    def first_run(cls, address: str | None = None) -> Self:
        """Settings without a file: `address`, else 127.0.0.1, and a made-up user unless the environment has some."""
        overrides = environment(cls.model_fields)
        if address is not None:
            overrides.get("turn", {}).pop("interfaces", None)
        bind = _first_bind(address or "127.0.0.1")
        tables: Tables = {"turn": {"interfaces": [{"transport": kind, "bind": bind} for kind in ("udp", "tcp")]}}
        if not overrides.get("auth") and "hooks" not in overrides.get("api", {}):
            tables["auth"] = {"static_credentials": {"hairpin": secrets.token_urlsafe(12)}}
        return cls._parse(tables, overrides, None)

    @classmethod
    def _parse(cls, tables: Tables, overrides: Tables, file: Path | None) -> Self:
        try:
            return cls(**merge(tables, overrides))
        except ConfigError as error:
            raise locate(error, file, overrides) from None


def _first_bind(address: str) -> str:
    try:
        bind = Address(address, 3478)
    except ValueError:
        raise ConfigError(f"{address!r} is no IP address", key="--address") from None
    if ip_address(bind.ip).is_unspecified:
        raise ConfigError(f"{address} is every address: name the one that clients reach", key="--address")
    return str(bind)
