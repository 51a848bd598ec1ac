"""Relay ports: even ones, reserved ones, and none left (RFC 8656, section 7.2)."""

import time

from conformance.checks.allocate import EVEN, PAIR
from conformance.clauses import MAY, MUST, SHOULD, NotOfferedError, SkippedError, check, expect
from conformance.client import UDP, Client, expect_error
from conformance.scene import Scene, known
from conformance.stun import Code, Endpoint, Method


@check(8656, "7.2", MUST, "EVEN-PORT gives an even port", line=34)
def even_port_is_even(scene: Scene) -> None:
    """Section 7.2: "the server allocates a relayed transport address with an even port number"."""
    for _ in range(4):
        client = scene.client()
        client.allocate(EVEN)
        expect(client.relay[1] % 2 == 0, f"port {client.relay[1]}")


@check(8656, "7.2", MUST, "EVEN-PORT without R reserves nothing", line=34)
def even_port_alone_reserves_nothing(scene: Scene) -> None:
    """Section 18.7: "If 0, no such reservation is requested"."""
    answer = scene.client().allocate(EVEN)
    expect(not answer.has(Code.RESERVATION_TOKEN), "there is a RESERVATION-TOKEN")


@check(8656, "18.7", MUST, "the reserved bits of EVEN-PORT are ignored", line=34)
def reserved_bits_of_even_port_are_ignored(scene: Scene) -> None:
    """Section 18.7: the RFFU field must be "ignored on reception"."""
    answer = scene.client().allocate((Code.EVEN_PORT, b"\x7f"))
    expect(not answer.has(Code.RESERVATION_TOKEN), "there is a RESERVATION-TOKEN")


def reserved(scene: Scene) -> tuple[Client, bytes]:
    """A client with an even port, and the token for the next one."""
    client = scene.client()
    token = client.allocate(PAIR).get(Code.RESERVATION_TOKEN)
    expect(token is not None and len(token) == 8, "no RESERVATION-TOKEN of eight bytes")
    assert token is not None
    return client, token


@check(8656, "7.2", MUST, "EVEN-PORT with R gives a token, and the token the next port", line=34)
def reserved_port_is_next(scene: Scene) -> None:
    """Section 7.2: "Port N is used in the current allocation", N+1 is reserved for the token."""
    first, token = reserved(scene)
    second = scene.client()
    second.allocate((Code.RESERVATION_TOKEN, token))
    host, port = first.relay
    expect(port % 2 == 0, f"port {port} is odd")
    expect(second.relay == (host, port + 1), f"{second.relay} instead of port {port + 1}")


@check(8656, "7.2", MUST, "a token is good on another transport and from another address too", line=34)
def reservation_is_server_wide(scene: Scene) -> None:
    """Section 7.2: the 5-tuple "can use a different client IP address and port, a different transport protocol"."""
    first, token = reserved(scene)
    second = scene.client("tcp")
    second.allocate((Code.RESERVATION_TOKEN, token))
    expect(second.relay[1] == first.relay[1] + 1, f"port {second.relay[1]} instead of {first.relay[1] + 1}")


@check(8656, "7.2", MUST, "a token that was used gets 508", line=33)
def used_token_is_508(scene: Scene) -> None:
    """Section 7.2, check 5: the address must be "still available", else 508."""
    _, token = reserved(scene)
    scene.client().allocate((Code.RESERVATION_TOKEN, token))
    expect_error(scene.client().request(Method.ALLOCATE, [UDP, (Code.RESERVATION_TOKEN, token)]), 508)


@check(8656, "7.2", MUST, "a reservation is held for 30 s at least", line=34, lasts=29)
def reservation_is_held(scene: Scene) -> None:
    """Section 7.2: "The server MUST hold this reservation for at least 30 seconds"."""
    first, token = reserved(scene)
    time.sleep(28.5)  # the clause is about this time
    second = scene.client()
    second.allocate((Code.RESERVATION_TOKEN, token))
    expect(second.relay[1] == first.relay[1] + 1, "another port")


@check(8656, "7.2", MUST, "without a suitable port EVEN-PORT gets 508", line=34)
def impossible_even_port_is_508(scene: Scene) -> None:
    """Section 7.2, check 8: "If the server cannot satisfy the request", 508; the only port here is odd."""
    server = known(scene.target.cramped, "no server with a single relay port was named")
    for value in (EVEN, PAIR):
        expect_error(scene.client(server=server).request(Method.ALLOCATE, [UDP, value]), 508)


def exhausted(scene: Scene) -> Endpoint:
    """A server whose single IPv4 relay port is taken, by this check or by one that is not quite over."""
    server = known(scene.target.cramped, "no server with a single relay port was named")
    client = scene.client(server=server)
    answer = client.request(Method.ALLOCATE, [UDP])
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    return server


@check(8656, "7.2", MUST, "without any port left Allocate gets 508", line=37)
def no_port_is_508(scene: Scene) -> None:
    """Section 19: 508 where the server has "no more relayed transport addresses available"."""
    server = exhausted(scene)
    expect_error(scene.client(server=server).request(Method.ALLOCATE, [UDP]), 508)


@check(8656, "7.2", MAY, "a user with too many allocations gets 486", line=37)
def quota_is_486(scene: Scene) -> None:
    """Section 7.2, check 10: "the server MAY choose to reject the request with a 486 (Allocation Quota Reached)"."""
    expect(exceed(scene), "the first one was refused")


def exceed(scene: Scene) -> int:
    """The second user makes allocations until one is refused with 486: how many."""
    if scene.target.quota is None:
        raise SkippedError("the number of allocations of a user is not known")
    for count in range(scene.target.quota + 1):
        client = scene.client(credentials=scene.other())
        answer = client.request(Method.ALLOCATE, [UDP])
        if answer.error:
            expect_error(answer, 486)
            return count
        client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    raise NotOfferedError(f"{scene.target.quota + 1} allocations of one user")


@check(8656, "7.2", SHOULD, "a quota is counted by user, not by address", line=37)
def quota_is_by_user(scene: Scene) -> None:
    """Section 7.2, check 10: it "SHOULD define it based on the username [...] and not on the client's" address."""
    exceed(scene)
    scene.allocated()
