"""What settings will do, in plain words, for `hairpin check`."""

from collections.abc import Iterator, Sequence

from pydantic import SecretStr

from hairpin.config.fields import AUTO
from hairpin.config.relays import relays_for
from hairpin.config.sources import environment
from hairpin.config.tree import Config
from hairpin.stun import Address


def describe(config: Config) -> Iterator[str]:
    """A sentence for each thing that the server will do."""
    yield from _listening(config)
    yield from _relaying(config)
    yield from _letting_in(config)
    yield from _serving_http(config)
    for section, table in environment(type(config).model_fields).items():
        for key in table:
            yield f"The environment sets {section}.{key}; the file's value, if any, does not count."


def _listening(config: Config) -> Iterator[str]:
    for interface in config.turn.interfaces:
        seen = "" if interface.external == interface.bind else f", which clients see as {_found(interface.external)}"
        shows = f", with {', '.join(map(str, interface.cert))}" if interface.cert else ""
        both = " and tcp" if interface.plain_tcp else ""
        yield f"Listens on {interface.transport}{both} {interface.bind}{seen}{shows}."
        if interface.proxy_from:
            yield f"Believes the PROXY header of {', '.join(interface.proxy_from)} there."
    for square in config.turn.squares:
        first, *_, last = (config.turn.interfaces[index].external for index in square)
        yield f"Answers NAT behaviour discovery (RFC 5780) on {first} and {last}."
    workers = config.turn.workers
    yield f"Moves packets in {workers} workers." if workers else "Moves packets in a worker for each processor."
    if config.turn.probe:
        yield f"Probes itself every {config.turn.probe:g} s."
    yield f"Logs at level {config.log.level}."


def _relaying(config: Config) -> Iterator[str]:
    low, high = config.relay.ports
    for bind, external in relays_for(config).pairs:
        seen = "" if external == bind else f", announced as {_found(external)}"
        tcp = ", UDP and TCP" if config.relay.tcp else ""
        yield f"Relays from {bind}{seen}, ports {low} to {high}{tcp}."
    limits = config.limits
    yield (
        f"Grants {limits.allocations or 'any number of'} allocations, {limits.allocations_per_user or 'any number'} "
        f"a user, for at most {limits.lifetime} s each time."
    )
    yield f"Refuses peers in private and special networks{_except(config.peers.allow)}."
    if config.peers.deny:
        yield f"Refuses peers in {', '.join(config.peers.deny)}."
    if config.policy.module:
        yield f"Asks {config.policy.module} what else is refused, for at most {config.policy.deadline:g} s each time."


def _letting_in(config: Config) -> Iterator[str]:
    auth, hooks = config.auth, config.api.hooks
    yield f'Asks for credentials of the realm "{config.turn.realm}".'
    if auth.static_credentials:
        yield f"Lets in {len(auth.static_credentials)} named {_plural('user', auth.static_credentials)}."
    if auth.static_auth_secret:
        secrets = auth.static_auth_secret
        yield f"Lets in credentials made from {len(secrets)} shared {_plural('secret', secrets)}."
    if auth.oauth_keys:
        keys = _plural("key", auth.oauth_keys)
        yield f"Lets in access tokens for {config.turn.server_name}, made with {len(auth.oauth_keys)} shared {keys}."
    if hooks:
        yield f"Asks {hooks}/password about other users."
    if not (auth.static_credentials or auth.static_auth_secret or auth.oauth_keys or hooks):
        yield "Lets in nobody: set auth.static_credentials, auth.static_auth_secret or api.hooks."


def _serving_http(config: Config) -> Iterator[str]:
    api = config.api
    if api.token:
        yield f"Serves the API on http://{api.bind}, with a token."
    elif api.allow_unauthenticated:
        yield f"Serves the API on http://{api.bind} TO EVERYONE who reaches it, without a token."
    else:
        yield f"Serves the API on http://{api.bind}, to this machine only."
    if api.hooks:
        yield f"Tells {api.hooks}/events what happens, {'signed' if api.hooks_secret else 'unsigned'}."
        kept = f"in {api.hooks_spool}" if api.hooks_spool else "in memory"
        yield f"Keeps events {kept} until they are delivered."
    if api.usage_interval:
        yield f"Tells what each session has used about every {api.usage_interval} s, and at its end."


def _found(external: Address | str) -> Address | str:
    return "the public address, which is found at the start" if external == AUTO else external


def _except(allow: Sequence[str]) -> str:
    return f", but for {', '.join(allow)}" if allow else ""


def _plural(word: str, things: dict[str, SecretStr] | Sequence[SecretStr]) -> str:
    return word if len(things) == 1 else f"{word}s"
