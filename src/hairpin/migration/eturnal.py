"""eturnal's eturnal.yml (processone/eturnal). Reading YAML is what the extra `hairpin[yaml]` is for."""

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Any

from hairpin.config import ConfigError
from hairpin.config.sources import Tables
from hairpin.migration.common import LOGS, LOWEST_RELAY, SUITES, put_peers, say_found_at_start
from hairpin.migration.draft import Draft, Entry, Fact, Fate, Rule, flag, mapped, not_needed, not_supported
from hairpin.migration.networks import networks
from hairpin.migration.values import file_in, ip, listening_ip, one_of, port, text, whole
from hairpin.stun import Address

DEEPEST = 8
MOST_KEYS = 10_000
RECOMMENDED, NONE = "recommended", "none"
ADDRESSES = ("relay_ipv4_addr", "relay_ipv6_addr")
TRANSPORTS = {"udp": 3478, "tcp": 3478, "tls": 5349, "auto": 3478}  # each with its port
FIREWALL = "who may reach the listeners is for a firewall to say"
LEVELS = {
    "critical": "error",
    "error": "error",
    "warning": "warn",
    "notice": "info",
    "info": "info",
    "debug": "debug",
}


def _peers(value: Any) -> Any:
    return [] if value == RECOMMENDED else networks(value)  # which is what is refused anyway


def _ip_or_none(value: Any) -> str:
    return NONE if value == NONE else ip(value)


def keys(folder: Path) -> dict[str, Rule]:
    """A row a key below `eturnal`; `folder` is where the file stands."""
    return {
        "secret": mapped("auth.static_auth_secret", text),
        "credentials.*": mapped("auth.static_credentials", text),
        "realm": mapped("turn.realm", text),
        "strict_expiry": not_supported("credentials are asked for at Allocate; limits.session_max ends sessions", flag),
        "listen.ip": mapped("turn.interfaces.bind", listening_ip),
        "listen.port": mapped("turn.interfaces.bind", port),
        "listen.transport": mapped("turn.interfaces.transport", one_of({kind: kind for kind in TRANSPORTS})),
        "listen.proxy_protocol": not_supported(
            "the interface is left out: write it with `proxy_from`, the networks of the proxies", flag
        ),
        "listen.enable_turn": not_needed("each listener serves TURN, too, for those whom auth lets in"),
        "relay_ipv4_addr": mapped("turn.interfaces.external", _ip_or_none),
        "relay_ipv6_addr": mapped("turn.interfaces.external", _ip_or_none),
        "relay_min_port": mapped("relay.ports", port),
        "relay_max_port": mapped("relay.ports", port),
        "tls_crt_file": mapped("turn.interfaces.cert", file_in(folder)),
        "tls_key_file": mapped("turn.interfaces.key", file_in(folder)),
        "tls_dh_file": not_needed(SUITES),
        "tls_options": not_needed(SUITES),
        "tls_ciphers": not_needed(SUITES),
        "max_allocations": mapped("limits.allocations_per_user", whole),
        "max_permissions": mapped("limits.permissions", whole),
        "max_bps": mapped("limits.bytes_per_second, for UDP as well", whole),
        "blacklist_peers": mapped("peers.deny", _peers),
        "whitelist_peers": mapped("peers.allow", networks),
        "blacklist": mapped("peers.deny", _peers),
        "whitelist": mapped("peers.allow", networks),
        "blacklist_clients": not_supported(FIREWALL),
        "whitelist_clients": not_supported(FIREWALL),
        "software_name": not_needed("strangers are not told what serves them"),
        "run_dir": not_needed("nothing is written at run time"),
        "log_dir": not_needed(LOGS),
        "log_rotate_size": not_needed(LOGS),
        "log_rotate_count": not_needed(LOGS),
        "log_level": mapped("log.level", one_of(LEVELS)),
        "modules.mod_log_stun": not_supported("answers to strangers are counted (GET /metrics), not logged"),
        "modules.mod_log_stun.*": not_supported("answers to strangers are counted (GET /metrics), not logged"),
        "modules.mod_stats_prometheus": not_needed("GET /metrics of the API is always there"),
        "modules.mod_stats_prometheus.*": not_needed("GET /metrics of the API is always there"),
        "modules.mod_stats_influx": not_supported("have Telegraf read GET /metrics of the API"),
        "modules.mod_stats_influx.*": not_supported("have Telegraf read GET /metrics of the API"),
    }


def fill(draft: Draft, lines: str, folder: Path) -> None:
    """Judge the file, and fill the tables. ConfigError where it is no YAML."""
    draft.judge(_entries(draft, lines), keys(folder))
    for fact in [fact for key in ADDRESSES for fact in draft.all(key) if fact.value == NONE]:
        draft.say(fact.entry, Fate.NOT_SUPPORTED, "an interface relays in its own family: leave out what is too much")
        del draft.facts[fact.entry.key]
    _turn(draft)
    _relay(draft)
    _peer_lists(draft)
    secrets = [fact.value for fact in draft.all("secret")]
    draft.put("auth.static_auth_secret", secrets[0] if len(secrets) == 1 else secrets)
    draft.put("auth.static_credentials", {name: fact.value for name, fact in draft.below("credentials")})
    if "auth" not in draft.tables:
        draft.notes.append("nobody is let in yet: eturnal makes up a secret; set auth.static_auth_secret")
    draft.move("max_allocations", "limits.allocations_per_user")
    draft.put("limits.permissions", draft.last("max_permissions") or None)
    draft.move("max_bps", "limits.bytes_per_second")
    draft.move("log_level", "log.level")


def _entries(draft: Draft, lines: str) -> list[Entry]:
    """The leaves below `eturnal`, and what else stands in the file under its whole name."""
    try:
        import yaml  # the extra: nobody else needs it
    except ImportError:
        raise ConfigError('is YAML, and PyYAML reads it: pip install "hairpin[yaml]"', source=draft.source) from None
    try:
        loader = yaml.SafeLoader(lines)
        root = loader.get_single_node()
        leaves = islice(_leaves(root, "", 0, 0), MOST_KEYS + 1)
        found = [
            Entry(node.start_mark.line + 1, key.removeprefix("eturnal."), _value(loader, node), index)
            for node, key, index in leaves
        ]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"is no YAML: {error.problem}", source=f"{draft.source}:{line}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"is no YAML: {type(error).__name__}", source=draft.source) from None
    if len(found) > MOST_KEYS:
        raise ConfigError(f"has more than {MOST_KEYS} keys", source=draft.source)
    return found


def _leaves(node: Any, key: str, index: int, depth: int) -> Iterator[tuple[Any, str, int]]:
    """Each value of the file with the keys above it, and its number in the list that it is in."""
    if depth > DEEPEST:  # an alias may stand within what it names
        raise RecursionError
    if getattr(node, "id", "scalar") == "mapping" and node.value:
        for name, below in node.value:
            yield from _leaves(below, f"{key}.{name.value}" if key else str(name.value), index, depth + 1)
    elif getattr(node, "id", "scalar") == "sequence" and node.value:
        for number, below in enumerate(node.value):
            yield from _leaves(below, key, number, depth + 1)
    elif node is not None:
        yield node, key, index


def _value(loader: Any, node: Any) -> Any:
    return loader.construct_object(node) if node.id == "scalar" else {}


def _turn(draft: Draft) -> None:
    draft.move("realm", "turn.realm")
    groups = draft.groups("listen")
    if not groups:
        draft.notes.append("no listen is in the file, so it is udp and tcp on port 3478, as in eturnal")
    interfaces = [one for group in groups for one in _interfaces(draft, group)] or [
        one for kind in ("udp", "tcp") for one in _on("::", kind, draft, TRANSPORTS[kind])
    ]
    draft.put("turn.interfaces", interfaces)
    if any(interface.get("external") == "auto" for interface in interfaces):
        say_found_at_start(draft, "relay_ipv4_addr")


def _interfaces(draft: Draft, group: dict[str, Fact]) -> list[Tables]:
    """The listeners of an entry of `listen`."""
    said = {key: fact.value for key, fact in group.items()}
    kind = said.get("transport", "udp")
    if "enable_turn" in group and not flag(said["enable_turn"]):
        fate, why = Fate.NOT_SUPPORTED, "each listener serves TURN, too, for those whom auth lets in"
        draft.say(group["enable_turn"].entry, fate, why)
    if "proxy_protocol" in said:
        return []
    if kind in ("tls", "auto") and "tls_crt_file" not in draft.facts:
        entry = (group.get("transport") or next(iter(group.values()))).entry
        why = "the interface is left out: eturnal makes up a certificate, hairpin wants a file"
        draft.say(entry, Fate.NOT_SUPPORTED, why)
        return []
    return list(_on(said.get("ip", "::"), kind, draft, said.get("port", TRANSPORTS[kind])))


def _on(ip: str, kind: str, draft: Draft, port: int) -> Iterator[Tables]:
    """Listeners on an address; :: is every IPv4 address as well, and IPv6 ones where the file names a public one."""
    for bind in ("0.0.0.0", "::") if ip == "::" else (ip,):
        version = ip_address(bind).version
        external = draft.last(f"relay_ipv{version}_addr")
        if external is None and ip_address(bind).is_unspecified:
            if version == 6:
                continue
            external = "auto"
        made = {"transport": "tls" if kind == "auto" else kind, "bind": str(Address(bind, port))}
        if external is not None:
            made["external"] = external if external == "auto" else str(Address(external, port))
        yield made | _tls(draft, kind)


def _tls(draft: Draft, kind: str) -> Tables:
    if kind not in ("tls", "auto"):
        return {}
    chain = draft.last("tls_crt_file")
    both = {"plain_tcp": True} if kind == "auto" else {}
    return {"cert": chain, "key": draft.last("tls_key_file", chain), **both}


def _relay(draft: Draft) -> None:
    low, high = max(draft.last("relay_min_port", 49152), LOWEST_RELAY), draft.last("relay_max_port", 65535)
    for fact in draft.all("relay_max_port"):
        if low > high:
            raise draft.wrong(fact.entry, "is lower than relay_min_port")
    if "relay_min_port" in draft.facts or "relay_max_port" in draft.facts:
        draft.put("relay.ports", f"{low}-{high}")


def _peer_lists(draft: Draft) -> None:
    allowed = [network for key in ("whitelist_peers", "whitelist") for fact in draft.all(key) for network in fact.value]
    put_peers(draft, allowed, [*draft.all("blacklist_peers"), *draft.all("blacklist")])
