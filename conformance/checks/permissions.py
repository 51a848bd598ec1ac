"""CreatePermission and permissions (RFC 8656, sections 9 and 10)."""

import time

from conformance.clauses import (
    MAY,
    MUST,
    NotOfferedError,
    check,
    expect,
)
from conformance.client import Client, Value, expect_error, peer
from conformance.scene import Peer, Scene
from conformance.stun import Code, Method

DONT_FRAGMENT = (Code.DONT_FRAGMENT, b"")
DATA = b"data of the client"
LARGEST = 65507 - 36 - 8  # what a Send indication in one UDP datagram over IPv4 can carry


# CreatePermission


@check(8656, "10.2", MUST, "CreatePermission without XOR-PEER-ADDRESS gets 400", line=44)
def permission_without_peer_is_400(scene: Scene) -> None:
    """Section 10.2: "If no such attribute exists, or if any of these attributes are invalid, then a 400"."""
    expect_error(scene.allocated().request(Method.CREATE_PERMISSION), 400)


@check(8656, "10.2", MUST, "one invalid XOR-PEER-ADDRESS gets 400, and no permission is installed", line=44)
def invalid_peer_installs_nothing(scene: Scene) -> None:
    """Section 10.2: "if any of these attributes are invalid"; only a valid message installs permissions."""
    client, far = scene.allocated(), scene.peer()
    values: list[Value] = [peer(far.address), (Code.XOR_PEER_ADDRESS, b"\0\1\0\0")]
    expect_error(client.request(Method.CREATE_PERMISSION, values), 400)
    not_relayed(client, far, scene)


@check(8656, "10.2", MUST, "a peer of another address family gets 443, and no permission is installed", line=44)
def peer_of_other_family_is_443(scene: Scene) -> None:
    """Section 10.2: "the server MUST generate an error response with the 443" code."""
    client, far = scene.allocated(), scene.peer()
    expect_error(client.request(Method.CREATE_PERMISSION, [peer(far.address), peer(("2001:db8::1", 9))]), 443)
    not_relayed(client, far, scene)


@check(8656, "10.2", MAY, "a peer that is not allowed gets 403, and no permission is installed", line=44)
def forbidden_peer_is_403(scene: Scene) -> None:
    """Section 10.2: "if a value is not allowed, the server rejects the request with a 403 (Forbidden) error"."""
    client, far = scene.allocated(), scene.peer()
    answer = client.request(Method.CREATE_PERMISSION, [peer(far.address), peer(("255.255.255.255", 9))])
    if answer.is_success:
        raise NotOfferedError("broadcast is an allowed peer")
    expect_error(answer, 403)
    not_relayed(client, far, scene)


@check(8656, "10.2", MAY, "more permissions than a server can hold get 508, and none of them is installed", line=44)
def too_many_permissions_is_508(scene: Scene) -> None:
    """Section 10.2: "unable to satisfy the request due to some capacity limit or similar": 508."""
    client = scene.allocated()
    for start in range(0, 1024, 16):
        peers = [peer((f"8.{(start + n) // 250}.0.{(start + n) % 250 + 1}", 9)) for n in range(16)]
        answer = client.request(Method.CREATE_PERMISSION, peers)
        if answer.error:
            expect_error(answer, 508)
            return
    raise NotOfferedError("1,024 permissions were given to one allocation")


def not_relayed(client: Client, far: Peer, scene: Scene) -> None:
    """A Send to that peer goes nowhere, while one to a permitted address arrives."""
    near = scene.peer(scene.elsewhere()) if scene.target.is_local else None
    if near is not None:
        client.permit(near.address)
    client.send_data(far.address, DATA)
    if near is not None:
        client.send_data(near.address, DATA)
        near.receive(DATA)
    far.nothing()


# Permissions


def permitted(scene: Scene, transport: str = "udp") -> tuple[Client, Peer]:
    """A client with a permission for a peer."""
    client, far = scene.allocated(transport=transport), scene.peer()
    client.permit(far.address)
    return client, far


@check(8656, "9", MUST, "a permission is for an address, whatever the port", line=45)
def permission_ignores_ports(scene: Scene) -> None:
    """Section 9: "only addresses are compared and port numbers are not considered"."""
    client, far = scene.allocated(), scene.peer()
    client.permit((far.address[0], 1))
    client.send_data(far.address, DATA)
    far.receive(DATA)
    far.send(b"back", client.relay)
    expect(client.arrival().data == b"back", "other data came back")


@check(8656, "9", MUST, "a datagram of an address without permission is discarded", line=47)
def stranger_is_not_relayed(scene: Scene) -> None:
    """Section 9: "If no match is found, relaying is not permitted and the server silently discards"."""
    client, far = permitted(scene)
    stranger = scene.peer(scene.elsewhere())
    stranger.send(b"stranger", client.relay)
    far.send(b"friend", client.relay)
    expect(client.arrival().data == b"friend", "the stranger's datagram was relayed")


@check(8656, "9", MUST, "permissions of one allocation mean nothing to another", line=45)
def permissions_are_apart(scene: Scene) -> None:
    """Section 9: "The permissions for one allocation are totally unrelated to" those of another."""
    _, far = permitted(scene)
    second = scene.allocated()
    not_relayed(second, far, scene)


PERMISSION_LIFETIME = 300


@check(8656, "9", MUST, "a permission lasts 300 s, and data does not prolong it", line=45, lasts=310)
def permission_lapses(scene: Scene) -> None:
    """Section 9: "The Permission Lifetime MUST be 300 seconds"; 11.2: Send "never causes the server to refresh" it."""
    client, far = permitted(scene)
    start = time.monotonic()
    while (age := time.monotonic() - start) < PERMISSION_LIFETIME + 5:
        client.send_data(far.address, str(age).encode())
        far.send(b"inwards", client.relay)
        came = far.receives(1) is not None
        expect(came or age > PERMISSION_LIFETIME - 2, f"nothing is relayed after {age:.0f} s")
        expect(not came or age < PERMISSION_LIFETIME + 2, f"data is still relayed after {age:.0f} s")
        time.sleep(5 if age < PERMISSION_LIFETIME - 15 else 0.5)
    client.inbox.clear()
    while client.arrives() is not None:
        pass
    far.send(b"too late", client.relay)
    expect(client.arrives(1) is None, "data of the peer still comes in")


@check(8656, "9", MUST, "CreatePermission and ChannelBind each prolong a permission", line=45, lasts=420)
def permission_is_prolonged(scene: Scene) -> None:
    """Section 9: with a permission there "the time-to-expiry for that permission is reset to Permission Lifetime"."""
    clients = [permitted(scene), permitted(scene)]
    time.sleep(200)
    clients[0][0].permit(clients[0][1].address)
    clients[1][0].bind(0x4000, clients[1][1].address)
    time.sleep(200)
    for client, far in clients:
        client.send_data(far.address, DATA)
        far.receive(DATA)
