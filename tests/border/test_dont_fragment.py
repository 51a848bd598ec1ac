"""DONT-FRAGMENT on the wire (RFC 8656, 11.2, 14 and 15), on the loopback of a network of its own, which is narrow.

There it is run as a program.
"""

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from client import DATA_VALUE, ICMP, XOR_PEER_ADDRESS, Client, parse
from running import EVERYWHERE, Running, configuration, running

NARROW = 1300
CLIENTS = ("udp", "tcp", "udp6", "tcp6")  # as EVERYWHERE has them


def test_on_a_narrow_link() -> None:
    """RFC 8656, 14 and 15: DF is set where it is asked for and nowhere else; what is too large is cut, or told of."""
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a network of one's own needs CAP_SYS_ADMIN")
    script = f"ip link set lo up mtu {NARROW} && exec {sys.executable} {__file__}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    run = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], check=False, env=environment, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout.split()) == (0, list(CLIENTS)), run.stderr


def main() -> None:
    """Each client's datagrams, as they may be cut and as they may not."""
    with running(configuration(*EVERYWHERE)) as server:
        for index, name in enumerate(CLIENTS):
            version = server.server.listeners[index][1].version
            with server.client(index) as client, peer_of(version) as peer:
                client.permit(peer.getsockname()[:2])
                if version == 4:
                    df_is_set(client, peer)
                too_large(server, client, peer, ignored=name == "udp6")
            print(name)


def df_is_set(client: Client, peer: socket.socket) -> None:
    """For a Send that asks for it and for no other datagram, and the order is kept."""
    wished = [True, False, False, True, True, False, None, True, None, False] * 10
    at = peer.getsockname()
    client.bind(0x4000, at)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as wire:
        wire.bind(("lo", 0x0800))
        wire.settimeout(10)
        for number, whole in enumerate(wished):
            data = b"%4d" % number
            if whole is None:
                client.send_channel(0x4000, data)
            else:
                client.send_data(at, data, whole=whole)
        assert [peer.recv(100) for _ in wished] == [b"%4d" % number for number in range(len(wished))]
        assert flags(wire, client.relay[1], len(wished)) == [bool(whole) for whole in wished]


def flags(wire: socket.socket, port: int, count: int) -> list[bool]:
    """DF of so many UDP datagrams of four bytes from that port; the kernel cuts some apart only behind loopback."""
    found: list[bool] = []
    while len(found) < count:
        packet, source = wire.recvfrom(65536)
        if source[2] != 4 and packet[9] == 17 and packet[20:22] == struct.pack("!H", port):  # 4: on its way out
            found += [bool(packet[6] & 0x40)] * ((len(packet) - 28) // 4)
    return found


def too_large(server: Running, client: Client, peer: socket.socket, *, ignored: bool) -> None:
    """It is cut; with DONT-FRAGMENT it is dropped, counted and told of, but where that is ignored (section 13.2)."""
    before = server.drops()["refused"]
    cut(client, peer, whole=False)
    if ignored:
        cut(client, peer, whole=True)
    else:
        ip, port = peer.getsockname()[:2]
        client.send_data((ip, port), bytes(NARROW), whole=True)
        told = parse(client.frame(10))
        assert told.get(ICMP) == bytes([0, 0, *((2, 0) if ":" in ip else (3, 4))]) + struct.pack("!I", NARROW), told
        assert told.address(XOR_PEER_ADDRESS)[0] == ip
        assert told.get(DATA_VALUE) is None
    assert server.drops()["refused"] == before + (not ignored)
    cut(client, peer, whole=False)


def peer_of(version: int) -> socket.socket:
    """A peer."""
    made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1" if version == 4 else "::1", 0))
    made.settimeout(10)
    return made


def cut(client: Client, peer: socket.socket, *, whole: bool) -> None:
    """A datagram that arrives in fragments."""
    client.send_data(peer.getsockname()[:2], bytes(NARROW), whole=whole)
    assert peer.recv(2 * NARROW) == bytes(NARROW)


if __name__ == "__main__":
    main()
