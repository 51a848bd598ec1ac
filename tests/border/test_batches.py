"""Whatever comes at once, of whatever sizes, to whatever destinations: each flow's bytes arrive whole and in order.

Clients and peers send in bursts that the kernel hands over as one (UDP_SEGMENT into UDP_GRO) and apart, shuffled;
channels, indications, questions and rubbish stand mixed within one burst. All is compared byte for byte.
"""

import os
import random
import socket
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import groupby

import pytest

from client import (
    BINDING,
    DATA_VALUE,
    INDICATION,
    SEND,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    Client,
    Endpoint,
    build,
    mask,
    parse,
)
from running import EVERYWHERE, Running, configuration, running

SOL_UDP, UDP_SEGMENT, SO_RCVBUFFORCE = 17, 103, 33  # Python's socket module does not name them
LARGEST_SEGMENT = 1400
UNKNOWN_OPTIONAL = 0xFF00
SIZES = (0, 1, 2, 3, 4, 12, 160, 161, 1000, 1199, 1200, 1201, 1400, 1472, 1473, 4000)
UDP4, TCP4, UDP6, TCP6 = range(4)
ANY_ADDRESS = [(kind, *ips) for ips in (("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")) for kind in ("udp", "tcp")]
Flow = tuple[str, object]  # who receives, and from whom


@pytest.fixture(scope="module", params=["one worker", "two workers", "every address", "TLS"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in this process; one that listens on every address says with each datagram from which one it goes."""
    if request.param == "every address":
        interfaces = [{"transport": kind, "bind": f"{ip}:0", "external": f"{out}:0"} for kind, ip, out in ANY_ADDRESS]
        turn = {"realm": "hairpin.test", "interfaces": interfaces}
        config = configuration(turn=turn, relay={"bind": ["127.0.0.1", "::1"]})
    else:
        streams = "tls" if request.param == "TLS" else "tcp"
        binds = [(streams if kind == "tcp" else kind, bind) for kind, bind in EVERYWHERE]
        config = configuration(*binds, workers=2 if request.param == "two workers" else 1)
    with running(config) as made:
        yield made


class Party:
    """A client or a peer: what it has to get, and what it got."""

    def __init__(self, name: str, at: socket.socket, client: Client | None = None) -> None:
        self.name, self.socket, self.client = name, at, client
        self.ways: list[tuple[str, object, Flow]] = []
        self.wanted = self.asked = self.answered = 0
        self.got: list[tuple[object, bytes]] = []
        with suppress(PermissionError):  # or the usual buffer, for 90 packets
            at.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)

    def burst(self, frames: list[bytes], to: Endpoint | None) -> None:
        """Send frames of one length as one message that the kernel cuts, where it can."""
        if self.client and self.client.tcp:
            self.socket.sendall(b"".join(frames))
        elif len(frames) == 1 or not frames[0] or len(frames[0]) > LARGEST_SEGMENT:
            for frame in frames:
                self.socket.sendto(frame, to) if to else self.socket.send(frame)
        else:
            segment = [(SOL_UDP, UDP_SEGMENT, struct.pack("H", len(frames[0])))]
            self.socket.sendmsg([b"".join(frames)], segment, 0, *([to] if to else []))

    def collect(self) -> None:
        """Wait until all that was sent to it is here, and every question of its own is answered."""
        while len(self.got) < self.wanted or self.answered < self.asked:
            if self.client is None:
                self.socket.settimeout(10)
                data, whence = self.socket.recvfrom(65536)
                self.got.append((whence, data))
            else:
                self.take(self.client)

    def take(self, client: Client) -> None:
        """The next frame: data, or the answer to a Binding request."""
        if client.arrived:
            return self.got.append(client.arrived.popleft())
        frame = client.frame(10)
        if not client._keep(frame):
            assert parse(frame).address(XOR_MAPPED_ADDRESS) == client.address
            self.answered += 1
        return None


class World:
    """Clients by UDP and TCP over IPv4 and IPv6, and two peers; nearly everyone may reach nearly everyone."""

    def __init__(self, server: Running, chance: random.Random, stack: ExitStack) -> None:
        self.chance, self.sent = chance, defaultdict[Flow, list[bytes]](list)
        clients = [stack.enter_context(server.client(index)) for index in (UDP4, UDP4, UDP4, TCP4)]
        six = [stack.enter_context(server.client(index)) for index in (UDP6, TCP6)]
        self.parties = [Party(f"client {n}", one.socket, one) for n, one in enumerate(clients + six)]
        self._meet(clients)
        self._meet(six)
        for number in range(2):
            self._peer(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)), f"peer {number}")

    def _meet(self, clients: list[Client]) -> None:
        """Each client has a channel to the next one, and a permission for all."""
        parties = {id(party.client): party for party in self.parties}
        for client, following in zip(clients, clients[1:] + clients[:1], strict=True):
            client.bind(0x4000, following.relay)
            client.permit(*(other.relay for other in clients))
        for client, following in zip(clients, clients[1:] + clients[:1], strict=True):
            mutual = len(clients) == 2  # then the other one has a channel back
            back: object = 0x4000 if mutual else client.relay
            flow = (parties[id(following)].name, back)
            parties[id(client)].ways += [("channel", 0x4000, flow), ("send", following.relay, flow)]

    def _peer(self, made: socket.socket, name: str) -> None:
        """A peer that the first four clients reach: by a channel those with even numbers."""
        made.bind(("127.0.0.1", 0))
        peer, at = Party(name, made), made.getsockname()
        for number, party in enumerate(self.parties[:4]):
            assert party.client
            channel = 0x4100 + len(self.parties)
            if number % 2:
                party.client.permit(at)
            else:
                party.client.bind(channel, at)
                party.ways.append(("channel", channel, (name, party.client.relay)))
            party.ways.append(("send", at, (name, party.client.relay)))
            peer.ways.append(("plain", party.client.relay, (party.name, at if number % 2 else channel)))
        self.parties.append(peer)

    def story(self, steps: int) -> None:
        """Bursts of anybody to anybody; what is under way never overfills a socket."""
        for step in range(steps):
            self.send(self.chance.choice(self.parties))
            if step % 8 == 7 or step == steps - 1:
                for party in self.parties:
                    party.collect()

    def send(self, party: Party) -> None:
        """A burst of one size, the last one perhaps shorter; a peer's goes to one relay."""
        size = self.chance.choice(SIZES)
        ways = [self.chance.choice(party.ways) for _ in range(self.chance.randint(1, 24) if size < 2000 else 1)]
        if party.client is None:
            ways = ways[:1] * len(ways)
        sizes = [size] * (len(ways) - 1) + [self.chance.choice((size, size // 2))]
        frames = [frame for way, size in zip(ways, sizes, strict=True) for frame in self.frames(party, way, size)]
        for _, alike in groupby(frames, key=len):
            party.burst(list(alike), None if party.client else ways[0][1])

    def frames(self, party: Party, way: tuple[str, object, Flow], size: int) -> list[bytes]:
        """A frame with fresh bytes, entered in the book; now and then a question or rubbish of its length behind it."""
        kind, to, flow = way
        data = (b"%d:" % len(self.sent[flow]) + self.chance.randbytes(size))[:size]
        self.sent[flow].append(data)
        next(one for one in self.parties if one.name == flow[0]).wanted += 1
        if kind == "plain":
            return [data]
        frame = struct.pack("!HH", to, size) + data if kind == "channel" else indication(to, data)
        if party.client.tcp:
            return [frame + bytes(-len(frame) % 4)]
        return [frame, *self.others(party, len(frame))]

    def others(self, party: Party, length: int) -> list[bytes]:
        """A Binding request, or data for a channel that is not bound."""
        drawn = self.chance.random()
        if drawn < 0.1 and length % 4 == 0 and length > 24:
            party.asked += 1
            return [build(BINDING, os.urandom(12), [(UNKNOWN_OPTIONAL, bytes(length - 24))])]
        return [struct.pack("!HH", 0x4FFF, length - 4) + bytes(length - 4)] if drawn > 0.9 else []

    def arrived(self) -> dict[Flow, list[bytes]]:
        """What each flow brought."""
        found = defaultdict[Flow, list[bytes]](list)
        for party in self.parties:
            for whence, data in party.got:
                found[party.name, whence].append(data)
        return found


def indication(to: Endpoint, data: bytes) -> bytes:
    """A Send indication."""
    transaction = os.urandom(12)
    return build(SEND | INDICATION, transaction, [(XOR_PEER_ADDRESS, mask(to, transaction)), (DATA_VALUE, data)])


@pytest.mark.parametrize("seed", range(4))
def test_every_batch_arrives_byte_for_byte(server: Running, seed: int) -> None:
    """What was sent on a flow is what arrived on it, in order, and nothing else; a story of 1000 bursts."""
    with ExitStack() as stack:
        world = World(server, random.Random(seed), stack)
        world.story(1000)
        arrived = world.arrived()
        assert arrived.keys() == world.sent.keys()
        for flow, data in world.sent.items():
            assert arrived[flow] == data, flow
        assert sum(map(len, arrived.values())) > 2000
