"""turn-rs' turn-server.toml (mycrl/turn-rs), of version 4 and of those before, whose keys hairpin has as well."""

import re
import tomllib
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hairpin.config import ConfigError
from hairpin.config.sources import Tables
from hairpin.migration.common import LOGS, MOST_WORKERS
from hairpin.migration.draft import Draft, Entry, Fact, Fate, Rule, flag, mapped, not_needed, not_supported
from hairpin.migration.values import address, file_in, one_of, span, text, whole

HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
ASSIGNED = re.compile(r"\s*([\w.\"'-]+)\s*=")
LEVELS = {level: level for level in ("error", "warn", "info", "debug", "trace")}
GRPC = "the hooks are gRPC there; hairpin's are HTTP: write api.hooks"
NO_API_TLS = "put a proxy with TLS in front of the API"
PLACES = ("server", "turn")


def keys(folder: Path) -> dict[str, Rule]:
    """A row a key; `folder` is where the file stands."""
    api_tls = {f"{api}.ssl.*": not_supported(NO_API_TLS) for api in ("rpc", "api", "prometheus")}
    return {
        "server.realm": mapped("turn.realm", text),
        "server.port-range": mapped("relay.ports", span("..")),
        "server.max-threads": mapped("turn.workers", whole),
        "server.interfaces.transport": mapped("turn.interfaces.transport", one_of({"udp": "udp", "tcp": "tcp"})),
        "server.interfaces.listen": mapped("turn.interfaces.bind", address),
        "server.interfaces.external": mapped("turn.interfaces.external", address),
        "server.interfaces.ssl.certificate-chain": mapped("turn.interfaces.cert", file_in(folder)),
        "server.interfaces.ssl.private-key": mapped("turn.interfaces.key", file_in(folder)),
        "server.interfaces.idle-timeout": not_needed("allocations end by their lifetime"),
        "server.interfaces.mtu": not_needed("datagrams of any size are relayed"),
        "turn.realm": mapped("turn.realm", text),
        "turn.interfaces.transport": mapped("turn.interfaces.transport", one_of({"udp": "udp", "tcp": "tcp"})),
        "turn.interfaces.bind": mapped("turn.interfaces.bind", address),
        "turn.interfaces.external": mapped("turn.interfaces.external", address),
        "api.bind": mapped("api.bind", address),
        "api.hooks": mapped("api.hooks", text),
        "api.listen": mapped("api.bind", address),
        "rpc.listen": mapped("api.bind, which serves REST and not gRPC", address),
        "api.timeout": not_needed("the API answers from memory"),
        "rpc.timeout": not_needed("the API answers from memory"),
        "prometheus.listen": not_needed("GET /metrics of the API is always there"),
        **api_tls,
        "hooks.endpoint": not_supported(GRPC),
        "hooks.timeout": not_supported(GRPC),
        "hooks.max-channel-size": not_supported(GRPC),
        "hooks.ssl.*": not_supported(GRPC),
        "log.level": mapped("log.level", one_of(LEVELS)),
        "log.stdout": not_needed("logs go to stderr", flag),
        "log.file.directory": not_needed(LOGS),
        "log.file-directory": not_needed(LOGS),
        "log.vector.endpoint": not_supported("logs go to stderr, as JSON where that is no terminal"),
        "auth.enable-hooks-auth": not_supported(GRPC, flag),
        "auth.static-auth-secret": mapped("auth.static_auth_secret", text),
        "auth.static_auth_secret": mapped("auth.static_auth_secret", text),
        "auth.static-credentials.*": mapped("auth.static_credentials", text),
        "auth.static_credentials.*": mapped("auth.static_credentials", text),
    }  # fmt: skip


def fill(draft: Draft, lines: str, folder: Path) -> None:
    """Judge the file, and fill the tables. ConfigError where it is no TOML."""
    try:
        tree = tomllib.loads(lines)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"\(at line (\d+)", str(error))
        source = f"{draft.source}:{where[1] if where else len(lines.splitlines())}"
        raise ConfigError(f"is no TOML: {error}", source=source) from None
    lines_of = dict(reversed(list(_lines(lines))))
    draft.judge(_leaves(tree, "", 0, lines_of, 1), keys(folder))
    _settle(draft)


def _leaves(value: Any, key: str, index: int, lines: dict[tuple[str, int], int], line: int) -> Iterator[Entry]:
    line = lines.get((key, index), line)
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _leaves(below, f"{key}.{name}" if key else name, index, lines, line)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, below in enumerate(value):
            yield from _leaves(below, key, number, lines, line)
    else:
        yield Entry(line, key, value, index)


def _lines(text: str) -> Iterator[tuple[tuple[str, int], int]]:
    """On which line each key stands; tomllib does not say."""
    table, counts = "", dict[str, int]()
    for number, line in enumerate(text.split("\n"), 1):
        if header := HEADER.match(line):
            table = header[2].replace('"', "")
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
            yield (table, _count(counts, table)), number
        elif assigned := ASSIGNED.match(line):
            key = assigned[1].strip("\"'")
            yield (f"{table}.{key}" if table else key, _count(counts, table)), number


def _count(counts: dict[str, int], table: str) -> int:
    return next((count for name, count in counts.items() if table == name or table.startswith(f"{name}.")), 0)


def _settle(draft: Draft) -> None:
    for place in PLACES:
        draft.move(f"{place}.realm", "turn.realm")
    if "server.max-threads" in draft.facts:
        draft.put("turn.workers", min(draft.last("server.max-threads"), MOST_WORKERS))
    groups = [group for place in PLACES for group in draft.groups(f"{place}.interfaces")]
    draft.put("turn.interfaces", [_interface(draft, group) for group in groups])
    draft.move("server.port-range", "relay.ports")
    for key in ("api.bind", "api.listen", "rpc.listen"):
        _api(draft, draft.all(key))
    draft.move("api.hooks", "api.hooks")
    draft.move("log.level", "log.level")
    for spelled in ("static-auth-secret", "static_auth_secret"):
        draft.move(f"auth.{spelled}", "auth.static_auth_secret")
    users = [*draft.below("auth.static-credentials"), *draft.below("auth.static_credentials")]
    draft.put("auth.static_credentials", {name: fact.value for name, fact in users})
    draft.put("limits.allocations_per_user", 0)
    draft.notes.append("a user may have any number of allocations, as in turn-rs: limits.allocations_per_user = 0")


def _interface(draft: Draft, group: dict[str, Fact]) -> Tables:
    bind = group.get("listen") or group.get("bind")
    first = next(iter(group.values())).entry
    if bind is None:
        raise draft.wrong(first, "an interface needs an address to listen on")
    if "transport" not in group:
        raise draft.wrong(first, "an interface needs a transport")
    made: Tables = {"transport": group["transport"].value, "bind": str(bind.value)}
    if "external" in group and group["external"].value != bind.value:
        made["external"] = str(group["external"].value)
    chain, key = group.get("ssl.certificate-chain"), group.get("ssl.private-key")
    if chain and key:
        made |= {"transport": "tls", "cert": chain.value, "key": key.value}
    return made


def _api(draft: Draft, facts: list[Fact]) -> None:
    for fact in facts:
        if ip_address(fact.value.ip).is_loopback:
            draft.put("api.bind", str(fact.value))
        else:
            why = "beyond loopback the API needs a token: set api.token, and api.bind with it"
            draft.say(fact.entry, Fate.NOT_SUPPORTED, why)
