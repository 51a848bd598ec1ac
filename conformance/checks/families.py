"""Address families and dual allocations (RFC 8656, sections 7.2, 8 and 13)."""

from conformance.checks.allocate import BOTH
from conformance.checks.ports import exhausted
from conformance.clauses import MAY, MUST, NotOfferedError, SkippedError, check, expect
from conformance.client import UDP, Client, family, shown
from conformance.scene import Peer, Scene
from conformance.stun import Code, Method


@check(8656, "7.2", MUST, "without REQUESTED-ADDRESS-FAMILY the relay is IPv4", line=35)
def relay_is_ipv4_by_default(scene: Scene) -> None:
    """Section 7.2, check 7: "the server MUST allocate an IPv4 relayed transport address"."""
    client = scene.client(server=scene.target.address6 or scene.target.address)
    client.allocate()
    expect(":" not in client.relay[0], f"the relay is {client.relay[0]}")


@check(8656, "7.2", MUST, "REQUESTED-ADDRESS-FAMILY IPv6 gives an IPv6 relay, or 440", line=35)
def relay_is_ipv6_on_request(scene: Scene) -> None:
    """Section 7.2, check 7; a server without IPv6 relays gives 440."""
    client = ipv6_relay(scene)
    expect(":" in client.relay[0], f"the relay is {client.relay[0]}")


def ipv6_relay(scene: Scene) -> Client:
    """A client over IPv4 with an IPv6 relay."""
    client = scene.client()
    answer = client.request(Method.ALLOCATE, [UDP, family(6)])
    if answer.error == 440:
        raise NotOfferedError("440: no IPv6 relays")
    expect(answer.is_success, shown(answer))
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    return client


def dual(scene: Scene) -> Client:
    """A client with a relay of each family."""
    client = scene.client()
    client.allocate(BOTH)
    if len(client.relays) == 1:
        raise NotOfferedError("ADDITIONAL-ADDRESS-FAMILY is ignored: one relayed transport address")
    return client


@check(8656, "7.2", MUST, "ADDITIONAL-ADDRESS-FAMILY IPv6 gives two relayed transport addresses", line=36)
def dual_allocation(scene: Scene) -> None:
    """Section 7.2, check 9: one IPv4 and one IPv6 address "in two XOR-RELAYED-ADDRESS attributes"."""
    relays = dual(scene).relays
    expect(sorted(":" in host for host, _ in relays) == [False, True], f"the relays are {relays}")


@check(8656, "10.1", MAY, "a dual allocation takes permissions for peers of both families in one request", line=36)
def dual_allocation_relays_both(scene: Scene) -> None:
    """Section 10.1: XOR-PEER-ADDRESS attributes "of IPv4 and IPv6 address families"; data goes out by its family."""
    client, four, six = dual(scene), scene.peer(), ipv6_peer(scene)
    client.permit(four.address, six.address)
    for far in (four, six):
        client.send_data(far.address, b"by family")
        relay = next(one for one in client.relays if (":" in one[0]) == (":" in far.address[0]))
        expect(far.receive(b"by family").source == relay, "it came from the other relay")


def ipv6_peer(scene: Scene) -> Peer:
    """A peer on IPv6, where both are on loopback."""
    if not scene.target.is_local:
        raise SkippedError("IPv6 peers are tried on loopback")
    return scene.peer("::1")


@check(8656, "7.2", MUST, "if one family cannot be had, success says so in ADDRESS-ERROR-CODE", line=36)
def dual_allocation_in_part(scene: Scene) -> None:
    """Section 7.2, check 9: partly met, it "includes ADDRESS-ERROR-CODE attribute in the success response"."""
    server = exhausted(scene)
    client = scene.client(server=server)
    answer = client.request(Method.ALLOCATE, [UDP, BOTH])
    if answer.error in (440, 508) and not answer.has(Code.ADDRESS_ERROR_CODE):
        raise NotOfferedError("ADDITIONAL-ADDRESS-FAMILY is ignored")
    expect(answer.is_success, shown(answer))
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    expect([":" in host for host, _ in client.relays] == [True], f"the relays are {client.relays}")
    value = answer.get(Code.ADDRESS_ERROR_CODE) or bytes(4)
    expect(value[0] == 1 and (value[2] & 7) * 100 + value[3] in (440, 508), f"ADDRESS-ERROR-CODE {value[:4].hex()}")
