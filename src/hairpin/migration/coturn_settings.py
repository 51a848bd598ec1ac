"""From a turnserver.conf to hairpin's settings: coturn's own defaults, and which key does nothing beside another."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from hairpin.config.sources import Tables, spell
from hairpin.migration.common import LOWEST_RELAY, MOST_WORKERS, put_peers, say_found_at_start
from hairpin.migration.draft import Draft, Fact, Fate
from hairpin.migration.networks import networks
from hairpin.stun import Address

PORT, SECURE_PORT = 3478, 5349
HIGHEST_RELAY = 65535
SHORTEST_LIFETIME = 600  # RFC 8656, section 7.2
KEY = re.compile(r"0x[0-9A-Fa-f]{32}(?:[0-9A-Fa-f]{32})?")  # MD5 or SHA-256 of name, realm and password
LOOPBACK = ("127.0.0.0/8", "::1")


def settle(draft: Draft) -> None:
    """Fill the tables."""
    _turn(draft)
    _auth(draft)
    _relay(draft)
    _limits(draft)
    _peers(draft)
    _log(draft)
    draft.move("rfc3489-compatibility", "compat.rfc3489")
    draft.move("rfc5766-channel-numbers", "compat.rfc5766_channels")


def _turn(draft: Draft) -> None:
    draft.move("realm", "turn.realm")
    draft.move("server-name", "turn.server_name")
    draft.move("mobility", "turn.mobility")
    if "relay-threads" in draft.facts:
        draft.put("turn.workers", min(max(draft.last("relay-threads"), 1), MOST_WORKERS))
    binds, known = _binds(draft), _Externals(draft)
    _discovery(draft, binds)
    interfaces: dict[tuple[bool, Address], Tables] = {}
    for kind, bind, more in _listeners(draft, binds):
        external = known.of(bind.ip)
        told = {} if external == bind.ip else {"external": external if external == "auto" else _place(external, bind)}
        interfaces[kind in ("udp", "dtls"), bind] = {"transport": kind, "bind": str(bind), **told, **more}
    draft.put("turn.interfaces", list(interfaces.values()))
    if any(interface.get("external") == "auto" for interface in interfaces.values()):
        say_found_at_start(draft, "external-ip")


def _binds(draft: Draft) -> list[str]:
    """Where it listens; coturn without listening-ip takes each address of the machine."""
    named = [fact.value for fact in draft.all("listening-ip")]
    private = [fact.value[1] for fact in draft.all("external-ip") if fact.value[1]]
    if not named and not private:
        draft.notes.append("no listening-ip is in the file: hairpin listens on every IPv4 address; add [::] for IPv6")
    return list(dict.fromkeys(named or private or ["0.0.0.0"]))


class _Externals:
    """Which public address stands for which of the machine's own."""

    def __init__(self, draft: Draft) -> None:
        pairs = [fact.value for fact in draft.all("external-ip")]
        self.of_private: dict[str, str] = {private: public for public, private in pairs if private}
        self.alone: dict[int, str] = {ip_address(public).version: public for public, private in pairs if not private}
        self.first: dict[int, str] = {ip_address(public).version: public for public, _ in reversed(pairs)}

    def of(self, bind: str) -> str:
        """What clients are told of it; `auto` where no key says so and it is every address."""
        found = self.of_private.get(bind) or self.alone.get(ip_address(bind).version)
        if found or not ip_address(bind).is_unspecified:
            return found or bind
        return self.first.get(ip_address(bind).version, "auto")


def _place(external: str, bind: Address) -> str:
    return str(Address(external, bind.port))


def _listeners(draft: Draft, binds: list[str]) -> Iterator[tuple[str, Address, Tables]]:
    """Transport, address, and what else; a later one with the same address takes the place of an earlier one."""
    port, secure = draft.last("listening-port") or PORT, draft.last("tls-listening-port") or SECURE_PORT
    plain = [kind for kind in ("udp", "tcp") if f"no-{kind}" not in draft.facts]
    places = [Address(bind, port) for bind in binds] + [fact.value for fact in draft.all("aux-server")]
    for kind in plain:
        yield from ((kind, place, {}) for place in places)
    if "rfc5780" in draft.facts and "udp" in plain:
        yield from (("udp", Address(bind, _second(draft, port)), {}) for bind in binds)
    certificate = _certificate(draft)
    for kind, wanted in (("tls", "no-tls" not in draft.facts), ("dtls", "dtls" in draft.facts)):
        both = {"plain_tcp": True} if kind == "tls" and "tcp" in plain else {}
        if certificate and wanted:
            yield from ((kind, Address(bind, secure), {**certificate, **both}) for bind in binds)


def _second(draft: Draft, port: int) -> int:
    return int(draft.last("alt-listening-port") or port + 1)


def _certificate(draft: Draft) -> Tables:
    """Both files, or neither: coturn serves no TLS then."""
    for key, other in (("cert", "pkey"), ("pkey", "cert")):
        for fact in draft.all(key):
            if other not in draft.facts:
                draft.say(fact.entry, Fate.NOT_SUPPORTED, f"there is no {other} in the file, and no TLS without")
    if "cert" not in draft.facts or "pkey" not in draft.facts:
        for fact in (*draft.all("tls-listening-port"), *draft.all("dtls")):
            draft.say(fact.entry, Fate.NOT_NEEDED, "no cert and pkey are in the file, and no TLS without")
        return {}
    return {"cert": draft.last("cert"), "key": draft.last("pkey")}


def _discovery(draft: Draft, binds: list[str]) -> None:
    """Two IP addresses of a family, each with two ports (RFC 5780, section 6); coturn has none with fewer, too."""
    families = [ip_address(bind).version for bind in binds if not ip_address(bind).is_unspecified]
    enough = "no-udp" not in draft.facts and any(families.count(version) > 1 for version in (4, 6))
    if enough and "rfc5780" in draft.facts:
        draft.put("turn.discovery", True)
        return
    for fact in draft.facts.pop("rfc5780", []):
        draft.say(fact.entry, Fate.NOT_SUPPORTED, "it needs udp and two listening-ip of one family in the file")
    for fact in draft.all("alt-listening-port"):
        draft.say(fact.entry, Fate.NOT_NEEDED, "it is for rfc5780 alone")


def _auth(draft: Draft) -> None:
    secrets, users = [fact.value for fact in draft.all("static-auth-secret")], draft.all("user")
    draft.put("auth.static_auth_secret", secrets[0] if len(secrets) == 1 else secrets)
    if secrets or "use-auth-secret" in draft.facts:
        for fact in users:
            draft.say(fact.entry, Fate.NOT_NEEDED, "coturn lets in no named users beside a shared secret")
        users = []
    draft.put("auth.static_credentials", dict(_users(draft, users)))
    if not secrets:
        for fact in draft.all("use-auth-secret"):
            draft.say(fact.entry, Fate.NOT_SUPPORTED, "the secret is in coturn's database: set auth.static_auth_secret")
    if "auth" not in draft.tables:
        draft.notes.append(
            "nobody is let in yet: set auth.static_credentials, auth.static_auth_secret or api.hooks (an HTTP service)"
        )


def _users(draft: Draft, users: list[Fact]) -> Iterator[tuple[str, str]]:
    for fact in users:
        name, password = fact.value
        if KEY.fullmatch(password):
            why = "a key is no password, and the password cannot be found from it: write it in auth.static_credentials"
            draft.say(fact.entry, Fate.NOT_SUPPORTED, why)
            continue
        draft.origins[spell(["auth", "static_credentials", name])] = fact.entry
        yield name, password


def _relay(draft: Draft) -> None:
    low, high = draft.last("min-port", 49152), draft.last("max-port", HIGHEST_RELAY)
    for fact in draft.all("min-port"):
        if low < LOWEST_RELAY:
            draft.say(fact.entry, Fate.MAPPED, f"relay.ports, from {LOWEST_RELAY} on: none below is a relay's")
    if max(low, LOWEST_RELAY) > high:
        raise draft.wrong((draft.all("max-port") or draft.all("min-port"))[-1].entry, "is lower than min-port")
    if "min-port" in draft.facts or "max-port" in draft.facts:
        draft.put("relay.ports", f"{max(low, LOWEST_RELAY)}-{high}")
    kept: dict[int, str] = {}
    for fact in draft.all("relay-ip"):
        if kept.setdefault(ip_address(fact.value).version, fact.value) != fact.value:
            draft.say(fact.entry, Fate.NOT_SUPPORTED, "relays have one IPv4 and one IPv6 address at most")
    known = _Externals(draft)
    draft.put("relay.bind", list(kept.values()))
    told = [known.of(bind) for bind in kept.values()]
    if "auto" in told:
        draft.put("relay.external", "auto")
    elif told != list(kept.values()):
        draft.put("relay.external", told)
    if "no-tcp-relay" not in draft.facts:
        draft.notes.append("TCP relays (RFC 6062), which coturn has unless told otherwise, are off: relay.tcp = true")


def _limits(draft: Draft) -> None:
    draft.put("limits.allocations_per_user", draft.last("user-quota", 0))
    if "user-quota" not in draft.facts:
        draft.notes.append("no user-quota is in the file, so a user may have any number of allocations, as in coturn")
    draft.move("total-quota", "limits.allocations")
    draft.move("max-bps", "limits.bytes_per_second")
    lifetime = draft.last("max-allocate-lifetime")
    if lifetime is not None and lifetime < SHORTEST_LIFETIME:
        why = f"a client that asks for less than {SHORTEST_LIFETIME} s gets {SHORTEST_LIFETIME} s (RFC 8656)"
        draft.say(draft.all("max-allocate-lifetime")[-1].entry, Fate.NOT_SUPPORTED, why)
    else:
        draft.put("limits.lifetime", lifetime)


def _peers(draft: Draft) -> None:
    allowed = [network for fact in draft.all("allowed-peer-ip") for network in fact.value]
    if "allow-loopback-peers" in draft.facts:
        allowed += [network for text in LOOPBACK for network in networks(text)]
    put_peers(draft, allowed, draft.all("denied-peer-ip"))
    draft.notes.append(
        "coturn relays to private networks unless they are denied, hairpin only to those that peers.allow names"
    )


def _log(draft: Draft) -> None:
    if "Verbose" in draft.facts or "verbose" in draft.facts:
        draft.put("log.level", "trace" if "Verbose" in draft.facts else "debug")
    draft.move("log-min-level", "log.level")
