"""The end of an allocation, and Refresh (RFC 8656, sections 5, 6 and 8)."""

import time
from functools import partial

from conformance.checks.families import dual
from conformance.clauses import MAY, MUST, Clause, add, check, expect
from conformance.client import TCP, Value, expect_error, family, lifetime, peer
from conformance.links import PATIENCE
from conformance.scene import Peer, Scene
from conformance.stun import Code, Endpoint, Method


def gone(far: Peer, relay: Endpoint) -> bool:
    """Whether the kernel says that nobody listens at the relayed transport address any more."""
    far.socket.connect(relay)
    far.socket.settimeout(0.2)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            far.socket.send(b"anybody there?")
            far.socket.recv(10)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            continue
    return False


@check(8656, "8.2", MUST, "Refresh with lifetime 0 deletes the allocation and says LIFETIME 0", line=42)
def refresh_zero_deletes(scene: Scene) -> None:
    """Section 8.2: "If the "desired lifetime" is zero, then the request succeeds and the allocation is deleted"."""
    client, far = scene.allocated(), scene.peer()
    relay = client.relay
    answer = client.refresh(lifetime(0))
    expect(answer.number(Code.LIFETIME) == 0, f"LIFETIME {answer.number(Code.LIFETIME)}")
    expect_error(client.request(Method.REFRESH), 437)
    expect(gone(far, relay), "the relayed transport address still takes datagrams")


@check(8656, "8.2", MUST, "after its end a five-tuple can allocate again", line=42)
def five_tuple_can_allocate_again(scene: Scene) -> None:
    """Section 7.2, check 2, finds no allocation any more."""
    client = scene.allocated()
    client.refresh(lifetime(0))
    client.allocate()


@check(8656, "3.1", MUST, "the end of a client's TCP connection deletes its allocation", line=41)
def closed_connection_deletes(scene: Scene) -> None:
    """Section 6: the 5-tuple identifies an allocation, and this one cannot come again; see also section 3.1."""
    client, far = scene.allocated(transport="tcp"), scene.peer()
    relay, client.relays = client.relay, []
    client.link.close()
    expect(gone(far, relay), "the relayed transport address still takes datagrams after 5 s")


# Refresh

REFRESHED: dict[str, tuple[str, int | None, int]] = {
    "absent": ("without LIFETIME 600 s are granted", None, 600),
    "small": ("less than the default is granted as the default", 1, 600),
    "larger": ("more than the default is granted up to the maximum", 1500, 1500),
}


def refreshed(asked: int | None, wanted: int, scene: Scene) -> None:
    """Section 8.2: the "desired lifetime"."""
    answer = scene.allocated().refresh(*([] if asked is None else [lifetime(asked)]))
    got = answer.number(Code.LIFETIME)
    expect(got == wanted, f"granted are {got} s instead of {wanted}")


for _name, (_asked, _wish, _granted) in REFRESHED.items():
    add(f"refresh_lifetime_{_name}", Clause(8656, "8.2", MUST, _asked, 42), partial(refreshed, _wish, _granted))


@check(8656, "8.2", MUST, "Refresh grants no more than the maximum of Allocate", line=42)
def refresh_has_a_maximum(scene: Scene) -> None:
    """Section 8.2: "the minimum of the client's requested lifetime and the server's maximum allowed lifetime"."""
    client = scene.client()
    most = client.allocate(lifetime(2**32 - 1)).number(Code.LIFETIME)
    got = client.refresh(lifetime(2**32 - 1)).number(Code.LIFETIME)
    expect(got == most, f"Allocate grants {most} s, Refresh {got}")


NO_ALLOCATION: dict[str, Method] = {
    "refresh": Method.REFRESH,
    "create_permission": Method.CREATE_PERMISSION,
    "channel_bind": Method.CHANNEL_BIND,
}


def mismatch(method: Method, scene: Scene) -> None:
    """Section 5: without allocation a request "MUST [...] be rejected with a 437 Allocation Mismatch error"."""
    channel = (Code.CHANNEL_NUMBER, b"\x40\0\0\0")
    values: dict[Method, list[Value]] = {
        Method.REFRESH: [],
        Method.CREATE_PERMISSION: [peer((scene.peer_host, 9))],
        Method.CHANNEL_BIND: [channel, peer((scene.peer_host, 9))],
    }
    expect_error(scene.client().request(method, values[method]), 437)


for _name, _method in NO_ALLOCATION.items():
    _line = {Method.REFRESH: 42, Method.CREATE_PERMISSION: 44, Method.CHANNEL_BIND: 51}[_method]
    _clause = Clause(8656, "5", MUST, f"{_name.replace('_', ' ')} without an allocation gets 437", _line)
    add(f"{_name}_without_allocation_is_437", _clause, partial(mismatch, _method))


@check(8656, "8.2", MUST, "Refresh for another address family than the allocation's gets 443", line=43)
def refresh_of_other_family_is_443(scene: Scene) -> None:
    """Section 8.2: "the server MUST reply with a 443 (Peer Address Family Mismatch) Refresh error response"."""
    client = scene.allocated()
    expect_error(client.request(Method.REFRESH, [family(6), lifetime(0)]), 443)
    expect(client.request(Method.REFRESH).is_success, "the allocation is gone")


@check(8656, "8.2", MUST, "Refresh for the allocation's own address family succeeds", line=43)
def refresh_of_own_family_succeeds(scene: Scene) -> None:
    """Section 8.2: the 443 is for a family that "does not match the address family of the allocation"."""
    scene.allocated().refresh(family(4))


@check(8656, "8.1", MUST, "Refresh of one family of a dual allocation leaves the other alone", line=43)
def dual_refresh_is_by_family(scene: Scene) -> None:
    """Section 8.1: to refresh one address of a dual allocation the client names its family."""
    client, four = dual(scene), scene.peer()
    client.permit(four.address)
    client.refresh(family(6), lifetime(0))
    client.send_data(four.address, b"IPv4 lives")
    four.receive(b"IPv4 lives")
    expect_error(client.request(Method.REFRESH, [family(6)]), 443, 437)
    client.refresh(family(4))


@check(8656, "8.2", MUST, "an allocation ends at its lifetime, and with it its relay", line=41, lasts=640)
def allocation_expires(scene: Scene) -> None:
    """Sections 5 and 6: "When an allocation expires, the state data [...] can be freed"; requests get 437 then."""
    client, far = scene.allocated(), scene.peer()
    relay = client.relay
    granted_for = client.refresh(lifetime(600)).number(Code.LIFETIME) or 0
    expect(granted_for == 600, f"granted are {granted_for} s")
    client.permit(far.address)
    time.sleep(590)
    client.send_data(far.address, b"still there")  # a permission lasts 300 s, so nothing comes; the relay still is
    expect(not gone(scene.peer(), relay), "the relay went before its time")
    time.sleep(20)
    expect(gone(scene.peer(), relay), "the relayed transport address still takes datagrams after 610 s")
    expect_error(client.request(Method.REFRESH), 437)


@check(8656, "7.2", MAY, "a TCP allocation over UDP control is refused with 442, or 400 where TCP is relayed", line=30)
def tcp_relay_over_udp_is_refused(scene: Scene) -> None:
    """Section 7.2, check 3: 442; RFC 6062, section 5.1: 400 over a control connection that is not TCP."""
    expect_error(scene.client().request(Method.ALLOCATE, [TCP]), 400, 442)
