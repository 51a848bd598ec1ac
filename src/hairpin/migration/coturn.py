"""coturn's turnserver.conf: how it is written, and each of its keys, those of older versions too."""

from collections.abc import Iterator
from pathlib import Path

from hairpin.migration.common import LOGS, SUITES
from hairpin.migration.draft import Entry, Rule, flag, mapped, not_needed, not_supported
from hairpin.migration.networks import networks
from hairpin.migration.values import (
    address,
    file_in,
    ip,
    listening_ip,
    one_of,
    pair,
    port,
    text,
    user,
    whole,
)

DATABASE = "users in a database come over api.hooks, an HTTP service of yours that is asked for each password"
ELSEWHERE = "the API lists, counts and ends sessions (api.bind, api.token)"
MANAGER = "systemd or the container runs it as a user: deploy/hairpin.service"
METRICS = "GET /metrics of the API is always there"
BATCHES = "packets are received and sent in batches where the kernel can"
NONCES = "nonces are signed and dated, and nothing is kept for them"
ALWAYS_REFUSED = "such peers are always refused"
STRANGERS = "answers to strangers are always limited (limits.source_rate)"
REDIRECT = "clients are sent away only while hairpin drains (turn.alternate): name several servers in iceServers"
LEVELS = {"debug": "debug", "info": "info", "warning": "warn", "error": "error"}


def parse(lines: str) -> Iterator[Entry]:
    """`key`, `key=value` or `key value` a line; quotes around a value are no part of it.

    Only a newline ends a line: half of a password that has a U+2028 must not be told as a key.
    """
    for number, line in enumerate(lines.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key = stripped.split("=")[0].split()[0] if stripped[0] != "=" else "="
        value = stripped[len(key) :].lstrip(" \t=")
        if value.startswith('"'):
            value = value[1:].removesuffix('"')
        yield Entry(number, key, value)


def keys(folder: Path) -> dict[str, Rule]:
    """A row a key; `folder` is where the file stands."""
    return {
        # where it listens
        "listening-port": mapped("turn.interfaces.bind", port),
        "tls-listening-port": mapped("turn.interfaces.bind, with TLS and, as there, TCP without", port),
        "listening-ip": mapped("turn.interfaces.bind", listening_ip),
        "aux-server": mapped("turn.interfaces.bind", address),
        "external-ip": mapped("turn.interfaces.external", pair),
        "alt-listening-port": mapped("turn.interfaces.bind", port),
        "alt-tls-listening-port": not_needed("NAT behaviour discovery is for UDP alone"),
        "listening-device": not_supported("name the address instead, in turn.interfaces.bind"),
        "tcp-proxy-port": not_supported(
            "write an interface with `proxy_from`, the networks of the proxies: a header is not believed of everyone"
        ),
        "no-udp": mapped("turn.interfaces: no udp", flag),
        "no-tcp": mapped("turn.interfaces: no tcp", flag),
        "no-tls": mapped("turn.interfaces: no tls", flag),
        "dtls": mapped("turn.interfaces: dtls, whose key must be ECDSA with P-256 or P-384", flag),
        "no-dtls": not_needed("there is none unless an interface says so", flag),
        "udp-self-balance": not_needed("one address serves all workers", flag),
        "cert": mapped("turn.interfaces.cert", file_in(folder)),
        "pkey": mapped("turn.interfaces.key", file_in(folder)),
        "pkey-pwd": not_supported("the key must not be encrypted: openssl pkey -in OLD -out NEW"),
        "raw-public-keys": not_supported("servers show certificates", flag),
        "CA-file": not_supported("clients are not asked for certificates"),
        "cipher-list": not_needed(SUITES),
        "ec-curve-name": not_needed(SUITES),
        "dh-file": not_needed(SUITES),
        "dh566": not_needed(SUITES, flag),
        "dh1066": not_needed(SUITES, flag),
        "dh2066": not_needed(SUITES, flag),
        "tlsv1": not_supported(SUITES, flag),
        "tlsv1_1": not_supported(SUITES, flag),
        "no-sslv2": not_needed(SUITES, flag),
        "no-sslv3": not_needed(SUITES, flag),
        "no-tlsv1": not_needed(SUITES, flag),
        "no-tlsv1_1": not_needed(SUITES, flag),
        "no-tlsv1_2": not_supported(SUITES, flag),
        "acme-redirect": not_supported("hairpin serves no HTTP to clients: use the DNS challenge, or another port"),
        "respond-http-unsupported": not_supported("hairpin serves no HTTP to clients", flag),
        # where it relays
        "relay-ip": mapped("relay.bind", ip),
        "relay-device": not_supported("name the address instead, in relay.bind"),
        "min-port": mapped("relay.ports", port),
        "max-port": mapped("relay.ports", port),
        "no-udp-relay": not_supported("UDP relays are what hairpin is for", flag),
        "no-tcp-relay": not_needed("there are none unless relay.tcp says so", flag),
        "keep-address-family": not_supported("without a family in the request the relay is IPv4 (RFC 8656)", flag),
        "allocation-default-address-family": not_supported("without a family in the request the relay is IPv4"),
        "server-relay": not_supported("nothing reaches a client without a permission", flag),
        "multiplex-peer": not_supported("each relay has a port of its own", flag),
        "multiplex-peer-port": not_supported("each relay has a port of its own"),
        "multiplex-peer-max-peers": not_supported("limits.permissions bounds the peers of a session"),
        # who is let in
        "lt-cred-mech": not_needed("credentials are always asked for", flag),
        "no-auth": not_supported("hairpin relays for nobody without credentials", flag),
        "use-auth-secret": not_needed("auth.static_auth_secret is enough", flag),
        "static-auth-secret": mapped("auth.static_auth_secret", text),
        "user": mapped("auth.static_credentials", user),
        "realm": mapped("turn.realm", text),
        "server-name": mapped("turn.server_name", text),
        "oauth": not_supported("their keys are in coturn's database: write them into auth.oauth_keys", flag),
        "rest-api-separator": not_supported("the separator is a colon"),
        "secure-stun": not_supported("Binding is answered without credentials", flag),
        "check-origin-consistency": not_supported("ORIGIN is not looked at", flag),
        "userdb": not_supported(DATABASE),
        "db": not_supported(DATABASE),
        "psql-userdb": not_supported(DATABASE),
        "sql-userdb": not_supported(DATABASE),
        "mysql-userdb": not_supported(DATABASE),
        "mongo-userdb": not_supported(DATABASE),
        "redis-userdb": not_supported(DATABASE),
        "secret-key-file": not_supported(DATABASE),
        "redis-statsdb": not_supported("what happens to sessions is told to api.hooks, and GET /session lists them"),
        "no-auth-pings": not_needed("there is no database", flag),
        "no-dynamic-ip-list": not_needed("there is no database", flag),
        "no-dynamic-realms": not_needed("there is no database", flag),
        # limits
        "user-quota": mapped("limits.allocations_per_user", whole),
        "total-quota": mapped("limits.allocations", whole),
        "max-bps": mapped("limits.bytes_per_second", whole),
        "bps-capacity": not_supported("there is no limit of all sessions together; limits.bytes_per_second is for one"),
        "max-allocate-lifetime": mapped("limits.lifetime", whole),
        "channel-lifetime": not_needed("it is 600 s, as RFC 8656 has it"),
        "permission-lifetime": not_needed("it is 300 s, as RFC 8656 has it"),
        "max-allocate-timeout": not_needed("a connection that proves nothing is closed after 30 s"),
        "stale-nonce": not_needed(NONCES),
        "stateless-nonce": not_needed(NONCES),
        "stateless-nonce-secret": not_supported("each server signs nonces of its own; another's costs a round trip"),
        "unauthorized-ratelimit": not_needed(STRANGERS, flag),
        "unauthorized-ratelimit-rps": not_needed(STRANGERS),
        "drop-invalid-packets": not_needed("what is malformed is dropped and counted", flag),
        "drop-invalid-packets-log": not_needed("what is malformed is dropped and counted", flag),
        # peers
        "denied-peer-ip": mapped("peers.deny", networks),
        "allowed-peer-ip": mapped("peers.allow", networks),
        "allow-loopback-peers": mapped("peers.allow", flag),
        "no-loopback-peers": not_needed("they are refused unless peers.allow names them", flag),
        "no-multicast-peers": not_needed(ALWAYS_REFUSED, flag),
        # what it speaks
        "stun-only": not_supported("with no credentials in the file hairpin answers STUN, and relays for nobody", flag),
        "no-stun": not_supported("Binding is always answered", flag),
        "rfc5780": mapped("turn.discovery", flag),
        "no-rfc5780": not_needed("it is off unless turn.discovery says so", flag),
        "response-origin-only-with-rfc5780": not_needed("so it is", flag),
        "stun-backward-compatibility": not_supported("MAPPED-ADDRESS is sent only with turn.discovery", flag),
        "no-stun-backward-compatibility": not_needed("MAPPED-ADDRESS is sent only with turn.discovery", flag),
        "rfc3489-compatibility": mapped("compat.rfc3489", flag),
        "rfc5766-channel-numbers": mapped("compat.rfc5766_channels", flag),
        "mobility": mapped("turn.mobility", flag),
        "fingerprint": not_needed("FINGERPRINT is sent where the client sends it", flag),
        "software-attribute": not_needed("SOFTWARE is sent to those who have proved credentials", flag),
        "no-software-attribute": not_needed("strangers are not told what serves them", flag),
        "include-reason-string": not_needed("the log says why, and the wire no more than the RFC", flag),
        "alternate-server": not_supported(REDIRECT),
        "tls-alternate-server": not_supported(REDIRECT),
        "udp-alternate-server": not_supported(REDIRECT),
        "tcp-alternate-server": not_supported(REDIRECT),
        # the process
        "relay-threads": mapped("turn.workers", whole),
        "cpus": not_needed("affinity and the cgroup say how many processors there are"),
        "sock-buf-size": not_needed("4 MiB are asked for, and a smaller buffer is said at the start"),
        "udp-recvmmsg": not_needed(BATCHES, flag),
        "udp-recvmmsg-log": not_needed(BATCHES, flag),
        "udp-sendmmsg-log": not_needed(BATCHES, flag),
        "udp-gso": not_needed(BATCHES, flag),
        "ne": not_needed(BATCHES),
        "verbose": mapped("log.level", flag),
        "Verbose": mapped("log.level", flag),
        "log-min-level": mapped("log.level", one_of(LEVELS)),
        "log-file": not_needed(LOGS),
        "no-stdout-log": not_needed(LOGS, flag),
        "syslog": not_needed(LOGS, flag),
        "syslog-facility": not_needed(LOGS),
        "simple-log": not_needed(LOGS, flag),
        "new-log-timestamp": not_needed("times are ISO 8601", flag),
        "new-log-timestamp-format": not_needed("times are ISO 8601"),
        "log-binding": not_supported("answers to strangers are counted (GET /metrics), not logged", flag),
        "daemon": not_needed(MANAGER, flag),
        "pidfile": not_needed(MANAGER),
        "proc-user": not_needed(MANAGER),
        "proc-group": not_needed(MANAGER),
        "version": not_needed("hairpin --version", flag),
        "drain-min-allocations": not_supported("a drain ends with the last session, or after limits.drain seconds"),
        "prometheus": not_needed(METRICS, flag),
        "prometheus-port": not_needed(METRICS),
        "prometheus-address": not_needed(METRICS),
        "prometheus-path": not_needed(METRICS),
        "prometheus-username-labels": not_supported("no metric has a user in its labels; GET /session has users", flag),
        "prometheus-tls": not_supported("put a proxy with TLS in front of the API", flag),
        "prometheus-cert": not_supported("put a proxy with TLS in front of the API"),
        "prometheus-key": not_supported("put a proxy with TLS in front of the API"),
        "cli": not_needed(ELSEWHERE, flag),
        "no-cli": not_needed(ELSEWHERE, flag),
        "cli-ip": not_needed(ELSEWHERE),
        "cli-port": not_needed(ELSEWHERE),
        "cli-password": not_needed(ELSEWHERE),
        "cli-max-output-sessions": not_needed(ELSEWHERE),
        "web-admin": not_needed(ELSEWHERE, flag),
        "web-admin-ip": not_needed(ELSEWHERE),
        "web-admin-port": not_needed(ELSEWHERE),
        "web-admin-listen-on-workers": not_supported("the API has an address of its own", flag),
    }  # fmt: skip
