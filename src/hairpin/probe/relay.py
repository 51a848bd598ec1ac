"""Through the relay: permission, data both ways, and how large a datagram may be."""

import asyncio
import os
import socket
import time

from hairpin.probe.agent import Agent
from hairpin.probe.link import Datagrams, Endpoint, Link, open_socket
from hairpin.probe.reach import connect_again
from hairpin.probe.scene import FarEnd, Scene
from hairpin.probe.steps import Fact, Finding, failed, ok, skipped, warning
from hairpin.stun import Address
from hairpin.turnclient.client import SECOND
from hairpin.turnclient.failure import Failure, LinkError, plain
from hairpin.turnclient.framing import CHANNEL_HEADER

SECOND_ALLOCATION, OWN_SOCKET = "a second allocation on the same server", "a socket of this machine"
REFUSED_PEER = {403: "it is refused as a peer (403)."}
ADVICE = "Allow one of them (hairpin: peers.allow; coturn: allowed-peer-ip, for loopback allow-loopback-peers)."
TRIES, WAIT = 5, SECOND // 5  # a lost datagram is no broken relay
TAG, SMALL = 8, 160
HEADERS = {4: 28, 6: 48}  # of IP and UDP
SIZES = (1500, 1400, 1280, 576)  # IP packets: Ethernet, tunnels, IPv6's least, IPv4's least
USUAL, LEAST = 1500, 1280  # what Ethernet carries; what WebRTC's packets of 1200 bytes need
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PROBE = 10, 23, 3  # linux/in.h: DF on each datagram, whatever is known of the path


async def permission(scene: Scene) -> Finding:
    """Have the far end permitted, and a channel bound to it: a second allocation, else a socket of this machine."""
    reasons = []
    for name, attempt in ((SECOND_ALLOCATION, _second_allocation), (OWN_SOCKET, _own_socket)):
        reason = await attempt(scene)
        if reason is None:
            return ok(f"The peer is {name}.", peer=name)
        reasons.append(f"{name[0].upper()}{name[1:]}: {reason}")
    return failed(" ".join([*reasons, ADVICE]))


async def _second_allocation(scene: Scene) -> str | None:
    """Two clients of the server, each the other's peer; why not, or None."""
    try:
        far = scene.agent(await connect_again(scene), scene.credentials)
    except OSError as error:
        return f"{plain(error.strerror or 'no connection more')}."
    failure = await far.ask(lambda client, now: client.allocate(scene.version, now))
    if failure is None:
        failure = await _reach(scene.near, far.client.relay) or await _reach(far, scene.near.client.relay)
    scene.far = far
    return _why(scene, failure)


async def _own_socket(scene: Scene) -> str | None:
    """A socket on the address by which this machine reaches the server, where a NAT does not change that."""
    ip = scene.near.link.local[0]
    try:
        link = await open_socket(ip)
    except OSError as error:
        return f"{plain(error.strerror or 'no socket more')}."
    scene.keep(link)
    failure = await _reach(scene.near, Address(*link.local))
    relay = scene.near.client.relay
    if failure is None and relay is not None:
        scene.far = FarSocket(link, (relay.ip, relay.port))
    return _why(scene, failure)


async def _reach(agent: Agent, peer: Address | None) -> Failure | None:
    assert peer is not None  # granted before
    return await agent.ask(lambda client, now: client.reach(peer, now))


def _why(scene: Scene, failure: Failure | None) -> str | None:
    return None if failure is None else scene.explain(failure, REFUSED_PEER)


class FarSocket:
    """A socket of this machine that speaks with a relay."""

    def __init__(self, link: Datagrams, relay: Endpoint) -> None:
        """Send to that relayed transport address."""
        self._link = link
        self._relay = relay

    def send_data(self, payload: bytes) -> None:
        """To the relay."""
        self._link.send_to(payload, self._relay)

    async def receive_data(self, until: int) -> bytes | None:
        """What comes next; anyone may send here, so what it is must be looked at."""
        try:
            async with asyncio.timeout(max(until - time.monotonic_ns(), 0) / SECOND):
                return await self._link.receive()
        except (TimeoutError, LinkError):
            return None


async def data(scene: Scene) -> Finding:
    """Send a packet each way through the relay."""
    there = await _carry(scene.near, scene.far, SMALL)
    back = await _carry(scene.far, scene.near, SMALL)
    facts: dict[str, Fact] = {"to_peer_ms": _ms(there), "from_peer_ms": _ms(back)}
    if there is not None and back is not None:
        return ok(f"To the peer in {_ms(there)} ms, from it in {_ms(back)} ms.", **facts)
    lost = " and ".join(name for name, took in (("to the peer", there), ("from the peer", back)) if took is None)
    return failed(
        f"Nothing arrives {lost}, though all was granted: does a firewall stop UDP at the ports of the server's relays "
        "(hairpin: relay.ports; coturn: min-port, max-port), is its public address the one that it announces?",
        **facts,
    )


async def mtu(scene: Scene) -> Finding:
    """Find the largest of a few IP packets that passes each way, whole."""
    if not scene.datagrams:
        return skipped("A stream is cut to fit the path by itself.")
    for end in (scene.near, scene.far):
        if isinstance(end, Agent):
            _forbid_fragments(end.link)
    there, back = await _largest(scene, scene.near, scene.far), await _largest(scene, scene.far, scene.near)
    facts: dict[str, Fact] = {"to_peer_bytes": there, "from_peer_bytes": back}
    least = min(there, back)
    says = f"IP packets of {there} bytes pass to the peer, of {back} from it (none larger than {USUAL} were tried)"
    if least >= LEAST:
        return ok(f"{says}.", **facts)
    return warning(f"{says}: video needs {LEAST}. Look for a tunnel or a firewall that drops what is large.", **facts)


async def _largest(scene: Scene, sender: FarEnd, receiver: FarEnd) -> int:
    """The largest IP packet of SIZES between the server and its client that arrives; 0 where none does."""
    overhead = HEADERS[scene.version] + CHANNEL_HEADER
    for size in SIZES:
        if await _carry(sender, receiver, size - overhead) is not None:
            return size
    return 0


async def _carry(sender: FarEnd, receiver: FarEnd, size: int) -> int | None:
    """Send so many bytes until they arrive; how long the ones that did took (ns), None where none did."""
    for _ in range(TRIES):
        payload = os.urandom(TAG) + bytes(size - TAG)
        sent = time.monotonic_ns()
        sender.send_data(payload)
        while (came := await receiver.receive_data(sent + WAIT)) is not None:
            if came == payload:
                return time.monotonic_ns() - sent
    return None


def _forbid_fragments(link: Link) -> None:
    """Send with DF from here on, also what is larger than the path was thought to carry."""
    made = link.transport.get_extra_info("socket")
    if made.family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PROBE)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PROBE)


def _ms(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / 1e6, 2)
