"""TURN as RFC 8656 tells it, over plain dicts: what a server must answer, relay and forget. None of it is hairpin's.

A client is a name; a time is nanoseconds. What is expected to leave the server is a tuple, see `Out`.
"""

from dataclasses import dataclass, field
from typing import Any

from model.mobility import Mobility
from model.words import Answered, Ask, Endpoint, Out, RefusalError, plain, version

SECOND = 10**9
DEFAULT_LIFETIME = 600  # RFC 8656, 3.2
MAX_LIFETIME = 3600  # of the settings under test, as are the next five
SESSION_MAX = 4000 * SECOND
SESSIONS_PER_USER = 2
PERMISSIONS, CHANNELS = 2, 2
PORTS = range(50000, 50004)
UNALLOCATED = 60 * SECOND  # CONTRACT: a session without an allocation
PERMISSION = 5 * 60 * SECOND  # RFC 8656, 9
CHANNEL = 10 * 60 * SECOND  # RFC 8656, 12
ANSWERS, ANSWER_LIFE = 8, 40 * SECOND  # RFC 8489, 6.3.1: as long as a client sends a request again
PORT_REST = 300 * SECOND
RESERVED = 40 * SECOND  # RFC 8656, 7.2: 30 s at least
NONCE_LIFE = 30 * 60  # seconds


@dataclass
class Reference(Mobility):
    """The server as it should be."""

    clients: dict[str, Endpoint]  # and their addresses
    streams: set[str]  # clients that come by TCP
    users: dict[str, tuple[str, int | None]]  # by name: whom quotas count, and the second when it expires
    relay_ips: dict[int, str]  # by family
    aliases: dict[str, str]  # what a relay is bound to, and what it is announced as
    reach: Any  # by IP: "out", "in" (a live relay of ours), or None
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    connected: set[str] = field(default_factory=set)
    taken: set[Endpoint] = field(default_factory=set)
    resting: dict[Endpoint, int] = field(default_factory=dict)
    reserved: dict[bytes, tuple[str, Endpoint, int]] = field(default_factory=dict)  # by token: user, address, until
    told: list[tuple[Any, ...]] = field(default_factory=list)
    drawn: list[bytes] = field(default_factory=list)  # the tickets that the server made up
    ahead: int = 0  # seconds that the world's clock is ahead of the one that leases run on

    # Requests

    def gate(self, client: str, ask: Ask, now: int) -> Answered | None:
        """What needs no look-up (RFC 8489, 9.2.4); None where the request is to be judged."""
        self.arrive(client)
        session = self.sessions.get(self.home(client))
        if ask.flaw == "no integrity":
            return self.unsigned(ask, 401)
        if ask.flaw in ("no username", "no realm", "no nonce"):
            return self.unsigned(ask, 400)
        if ask.nonce is None or now // SECOND - ask.nonce // SECOND > NONCE_LIFE:
            return self.unsigned(ask, 438)
        if ask.flaw == "wrong realm":
            return self.unsigned(ask, 401)
        own = session is not None and session["user"] == ask.user
        return self.unsigned(ask, 401) if own and ask.flaw == "wrong password" else None

    def arrive(self, client: str) -> None:
        """A stream is connected from its first frame on."""
        if client in self.streams:
            self.connected.add(client)

    def unsigned(self, ask: Ask, code: int) -> Answered:
        """400 says nothing more; 401 and 438 name the realm and the password algorithms, and give a nonce out."""
        says = {} if code == 400 else {"realm": True, "nonce": True, "algorithms": bytes([0, 2, 0, 0, 0, 1, 0, 0])}
        return Answered(ask.number, ask.transaction, code, says, None, ask.fingerprint)

    def judge(self, client: str, ask: Ask, now: int, got: dict[str, Any]) -> Answered | None:
        """The answer to a request that came so far, if any; `got` is what the server says, which may choose ports."""
        home = self.home(client)
        session = self.sessions.get(home)
        if not (session and session["user"] == ask.user) and not self.known(ask, now):
            return self.unsigned(ask, 401)
        self.expire(now)
        if session and home not in self.sessions and (home == client or client not in self.streams):
            return None  # its five-tuple was let go; the client's next copy begins anew
        session = self.sessions.get(self.home(client)) or self.ticketed(ask)[1]
        if session and session["user"] == ask.user:
            for id_, method, at, code, says in session["answers"]:
                if (id_, method) == (ask.transaction, ask.method) and now < at + ANSWER_LIFE:
                    return self.answer(ask, code, says)
        try:
            where = client if self.is_resumed(ask) else self.home(client)
            code, says = 0, getattr(self, ask.method)(where, ask, now, got)
        except RefusalError as refusal:
            code, says = refusal.code, refusal.says
        session = self.sessions.get(self.home(client))
        if session and session["user"] == ask.user:
            session["answers"] = [*session["answers"], (ask.transaction, ask.method, now, code, says)][-ANSWERS:]
        return self.answer(ask, code, says)

    def known(self, ask: Ask, now: int) -> bool:
        """Whether the password is the user's; one that expires does so for Allocate only."""
        if ask.user not in self.users or ask.flaw == "wrong password":
            return False
        expiry = self.users[ask.user][1]
        return expiry is None or ask.method != "allocate" or now // SECOND + self.ahead <= expiry

    def answer(self, ask: Ask, code: int, says: dict[str, Any]) -> Answered:
        """Signed with the key of whoever asked."""
        return Answered(ask.number, ask.transaction, code, says, ask.user, ask.fingerprint)

    def understood(self, ask: Ask) -> None:
        """RFC 8489, 6.3.1."""
        if ask.flaw == "unknown attribute":
            raise RefusalError(420, unknown=(0x7FFF,))
        if ask.flaw == "broken attribute":
            raise RefusalError(400)

    def allocate(self, client: str, ask: Ask, now: int, got: dict[str, Any]) -> dict[str, Any]:
        """RFC 8656, 7.2."""
        session = self.sessions.get(client)
        if session and session["relays"]:
            raise RefusalError(437)
        if not (session and session["user"] == ask.user):
            quota = self.users[ask.user][0]
            if sum(self.users[one["user"]][0] == quota for one in self.sessions.values()) >= SESSIONS_PER_USER:
                raise RefusalError(486)
            if session:
                self.close(client, "replaced", now)
            self.begin(client, ask.user, now)
        self.understood(ask)
        session = self.sessions[client]
        if ask.transport is None:
            raise RefusalError(400)
        if ask.transport != 17:
            raise RefusalError(442)
        if ask.ticket:
            raise RefusalError(400)  # RFC 8016, 3.1
        if ask.token is not None:
            relays, failed = self.redeem(ask), ()
        else:
            self.allocatable(ask)
            relays, failed = self.take_all(ask, now, got.get("relayed", ()))
        lifetime, expires = self.lease(session, ask.lifetime, now)
        session["relays"], session["lives"] = relays, dict.fromkeys(relays, expires)
        relayed = tuple(relays.values())
        self.told.append(("allocated", client, ("port", relayed[0][1])))
        says = {"relayed": relayed, "lifetime": lifetime, "mapped": self.clients[client], "software": True}
        if ask.even:
            says["token"] = self.reserve(ask.user, relayed[0], now, got.get("token", b""))
        if ask.ticket is not None:
            session["ticket"] = says["ticket"] = self.draw(got.get("ticket", b""))
        return says | ({"failed": failed} if failed else {})

    def allocatable(self, ask: Ask) -> None:
        """What may be asked for together (RFC 8656, 7.2), and how many reservations a user may hold."""
        if ask.additional is not None and (ask.family is not None or ask.even or ask.additional != 2):
            raise RefusalError(400)
        if ask.family not in (None, 1, 2):
            raise RefusalError(440)
        quota = self.users[ask.user][0]
        if ask.even and sum(user == quota for user, _, _ in self.reserved.values()) >= SESSIONS_PER_USER:
            raise RefusalError(486)

    def redeem(self, ask: Ask) -> dict[int, Endpoint]:
        """The address that a token is for, alone, once and for the one who got it."""
        if (ask.even, ask.family, ask.additional) != (None, None, None):
            raise RefusalError(400)
        user, relay, _ = self.reserved.get(ask.token or b"", ("", ("", 0), 0))
        if user != self.users[ask.user][0]:
            raise RefusalError(508)
        del self.reserved[ask.token or b""]
        return {version(relay): relay}

    def reserve(self, user: str, relay: Endpoint, now: int, token: bytes) -> bytes:
        """The next port is held; the server makes up the token: 8 bytes, and new."""
        assert len(token) == 8
        assert token not in self.reserved
        self.reserved[token] = self.users[user][0], (relay[0], relay[1] + 1), now + RESERVED
        return token

    def take_all(self, ask: Ask, now: int, chosen: tuple[Endpoint, ...]) -> tuple[dict[int, Endpoint], tuple[Any, ...]]:
        """A relay of each family, and the families of which there is none, with the code; none at all is an error."""
        relays, failed = {}, []
        for each in (4, 6) if ask.additional else (6,) if ask.family == 2 else (4,):
            try:
                relays[each] = self.take(each, now, chosen, ask.even)
            except RefusalError as refusal:
                failed.append(({4: 1, 6: 2}[each], refusal.code))
        if not relays:
            raise RefusalError(508)
        return relays, tuple(failed)

    def begin(self, client: str, user: str, now: int) -> None:
        """A session, from its user's first Allocate on."""
        self.sessions[client] = {
            "user": user,
            "relays": {},  # by IP version
            "lives": {None: now + UNALLOCATED},  # until when each, and the session as long as any
            "ends": now + SESSION_MAX,
            "permissions": {},
            "channels": {},
            "answers": [],
            "ticket": None,
            "coming": None,  # the client's next place, and its ticket there
        }

    def lease(self, session: dict[str, Any], asked: int | None, now: int) -> tuple[int, int]:
        """600 s at least, the maximum at most, and never beyond the session's own end."""
        seconds = DEFAULT_LIFETIME if asked is None or asked < DEFAULT_LIFETIME else min(asked, MAX_LIFETIME)
        if now + seconds * SECOND > session["ends"]:
            return max(1, (session["ends"] - now) // SECOND), session["ends"]
        return seconds, now + seconds * SECOND

    def take(self, version: int, now: int, wanted: tuple[Endpoint, ...], even: int | None) -> Endpoint:
        """A relay of that family, even or with its pair: not taken, and if there is one, not resting; else 508."""
        ip = self.relay_ips[version]
        choices = [((ip, one), (ip, one + 1))[: 2 if even else 1] for one in PORTS if even is None or not one % 2]
        left = {one: max(self.resting.get(port, 0) for port in one) for one in choices if not self.taken & {*one}}
        if not left:
            raise RefusalError(508)
        rested = [one for one, rest in left.items() if rest <= now]
        allowed = rested or [one for one, rest in left.items() if rest == min(left.values())]
        chosen = next((one for one in allowed if one[0] in wanted), allowed[0])
        self.taken |= {*chosen}
        for port in chosen:
            self.resting.pop(port, None)
        return chosen[0]

    def allocated(self, client: str, ask: Ask) -> dict[str, Any]:
        """RFC 8656, 5: 437 where there is no allocation, 441 where it is another user's."""
        self.understood(ask)
        session = self.sessions.get(client)
        if session is None or not session["relays"]:
            raise RefusalError(437)
        if session["user"] != ask.user:
            raise RefusalError(441)
        return session

    def refresh(self, client: str, ask: Ask, now: int, got: dict[str, Any]) -> dict[str, Any]:
        """RFC 8656, 8.2."""
        self.understood(ask)
        session = self.resumed(client, ask) if self.is_resumed(ask) else self.allocated(client, ask)
        meant = (
            set(session["relays"]) if ask.family is None else {{1: 4, 2: 6}.get(ask.family)} & set(session["relays"])
        )
        if not meant:
            raise RefusalError(443)
        home = next(name for name, one in self.sessions.items() if one is session)
        if ask.lifetime == 0:
            if meant == set(session["relays"]):
                self.close(home, "refresh", now)
            else:
                self.close_relay(session, meant.pop(), now)
            return {"lifetime": 0}
        lifetime, expires = self.lease(session, ask.lifetime, now)
        session["lives"] |= dict.fromkeys(meant, expires)
        self.told.append(("refresh", home, ("lifetime", lifetime)))
        if not self.is_resumed(ask):
            return {"lifetime": lifetime}
        if session["coming"] is None or session["coming"][0] != client:
            session["coming"] = client, self.draw(got.get("ticket", b""))
        return {"lifetime": lifetime, "ticket": session["coming"][1]}

    def permit(self, client: str, ask: Ask, now: int, got: dict[str, Any]) -> dict[str, Any]:
        """CreatePermission (RFC 8656, 10.2): all of the peers, or none."""
        session = self.allocated(client, ask)
        if not ask.peers:
            raise RefusalError(400)
        peers = self.peers(session, ask)
        self.room(session, {ip for ip, _ in peers})
        session["permissions"] |= dict.fromkeys((ip for ip, _ in peers), now + PERMISSION)
        self.told.append(("create_permission", client, ("ports", tuple(sorted({number for _, number in peers})))))
        return {}

    def bind(self, client: str, ask: Ask, now: int, got: dict[str, Any]) -> dict[str, Any]:
        """ChannelBind (RFC 8656, 12.2)."""
        session = self.allocated(client, ask)
        if ask.channel is None or not 0x4000 <= ask.channel <= 0x4FFF or not ask.peers:
            raise RefusalError(400)
        peer = self.peers(session, ask)[0]
        if self.reach(peer[0]) == "in" and peer not in self.owners():
            raise RefusalError(403)
        channels = session["channels"]
        if channels.get(ask.channel, (peer,))[0] != peer:
            raise RefusalError(400)  # the number is another peer's
        if any(number != ask.channel and bound == peer for number, (bound, _) in channels.items()):
            raise RefusalError(400)  # the peer has another number
        if ask.channel not in channels and len(channels) >= CHANNELS:
            raise RefusalError(508)
        self.room(session, {peer[0]})
        channels[ask.channel] = (peer, now + CHANNEL)
        session["permissions"][peer[0]] = now + PERMISSION
        self.told.append(("channel_bind", client, ("channel", ask.channel)))
        return {}

    def peers(self, session: dict[str, Any], ask: Ask) -> list[Endpoint]:
        """The peers by the addresses that they are known by: 443 for the other family, 403 for the forbidden."""
        if any(version(plain(peer)) not in session["relays"] for peer in ask.peers):
            raise RefusalError(443)
        peers = [self.canonical(peer) for peer in ask.peers]
        if any(self.reach(ip) is None for ip, _ in peers):
            raise RefusalError(403)
        return peers

    def canonical(self, peer: Endpoint) -> Endpoint:
        """A mapped address is the IPv4 address in it, a relay's own address the announced one."""
        ip, number = plain(peer)
        return self.aliases.get(ip, ip), number

    def room(self, session: dict[str, Any], ips: set[str]) -> None:
        """508 where a session would have too many permissions."""
        if len(session["permissions"].keys() | ips) > PERMISSIONS:
            raise RefusalError(508)

    # The end of things

    def expire(self, now: int) -> None:
        """Forget what has lapsed."""
        for token, (_, relay, end) in list(self.reserved.items()):
            if end <= now:
                del self.reserved[token]
                self.rest(relay, now)
        for client, session in list(self.sessions.items()):
            if session["ends"] <= now:
                self.close(client, "session_max", now, disconnect=True)
            elif max(session["lives"].values()) <= now:
                self.close(client, "expired", now, disconnect=True)
        for session in self.sessions.values():
            for lapsed in [each for each, end in session["lives"].items() if end <= now]:
                self.close_relay(session, lapsed, now)
            session["permissions"] = {ip: end for ip, end in session["permissions"].items() if now < end}
            session["channels"] = {number: one for number, one in session["channels"].items() if now < one[1]}

    def close(self, client: str, reason: str, now: int, *, disconnect: bool = False) -> None:
        """A session ends, and its relays."""
        relays = self.sessions.pop(client)["relays"].values()
        if disconnect:
            self.connected.discard(client)
        for relay in relays:
            self.rest(relay, now)
        self.told.append(("closed", client, ("reason", reason)))

    def close_relay(self, session: dict[str, Any], which: int, now: int) -> None:
        """One of two relays ends: what is of its family goes with it."""
        del session["lives"][which]
        session["permissions"] = {ip: end for ip, end in session["permissions"].items() if version((ip, 0)) != which}
        session["channels"] = {n: one for n, one in session["channels"].items() if version(one[0]) != which}
        self.rest(session["relays"].pop(which), now)

    def rest(self, relay: Endpoint, now: int) -> None:
        """The port of a relay rests, and nobody keeps a channel to it."""
        self.taken.remove(relay)
        self.resting[relay] = now + PORT_REST
        for session in self.sessions.values():
            session["channels"] = {n: one for n, one in session["channels"].items() if one[0] != relay}

    # Data

    def owners(self) -> dict[Endpoint, str]:
        """Who has which relay."""
        return {relay: client for client, session in self.sessions.items() for relay in session["relays"].values()}

    def relays(self, session: dict[str, Any] | None, peer: Endpoint, now: int) -> Endpoint | None:
        """The session's relay that speaks with that peer now, if any: that of its family, for a permitted peer."""
        if not session or now >= session["permissions"].get(peer[0], 0):
            return None
        family = version(peer)
        relay: Endpoint | None = session["relays"].get(family)
        return relay if relay and now < session["lives"][family] else None

    def send(self, client: str, peer: Endpoint, data: bytes, now: int) -> list[Out]:
        """Data from a client for a peer (RFC 8656, 11.2 and 12.6)."""
        peer = self.canonical(peer)
        relay = self.relays(self.sessions.get(client), peer, now)
        if relay is None:
            return []
        if self.reach(peer[0]) == "out":
            return [("peer", relay, peer, data)]
        return self.arrived(peer, relay, data, now)

    def send_channel(self, client: str, number: int, data: bytes, now: int) -> list[Out]:
        """ChannelData (RFC 8656, 12.6)."""
        self.arrive(client)
        bound = self.sessions.get(client, {"channels": {}})["channels"].get(number)
        return self.send(client, bound[0], data, now) if bound and now < bound[1] else []

    def arrived(self, relay: Endpoint, peer: Endpoint, data: bytes, now: int) -> list[Out]:
        """Data from a peer at a relay (RFC 8656, 11.3 and 12.7)."""
        client = self.owners().get(relay)
        session = self.sessions[client] if client else None
        if not session or not self.relays(session, peer, now):
            return []
        for number, (bound, end) in session["channels"].items():
            if bound == peer and now < end:
                return [("channel", client, number, data)]
        return [("data", client, peer, data)]

    # What an onlooker sees

    def entries(self, now: int) -> list[tuple[Any, ...]]:
        """What the packet path holds that is alive, and a place for each stream that is nobody's yet."""
        live = [
            (
                sorted(relay for version, relay in session["relays"].items() if now < session["lives"][version]),
                sorted((ip, end) for ip, end in session["permissions"].items() if now < end),
                sorted((number, peer, end) for number, (peer, end) in session["channels"].items() if now < end),
            )
            for session in self.sessions.values()
        ]
        coming = {session["coming"][0] for session in self.sessions.values() if session["coming"]}
        return sorted([*live, *(([], [], []) for _ in (self.connected | coming) - self.sessions.keys())], key=repr)
