"""Mobility (RFC 8016)."""

from conformance.clauses import MUST, NotOfferedError, SkippedError, check, expect
from conformance.client import UDP, Client, Credentials, expect_error, lifetime, shown
from conformance.scene import Peer, Scene
from conformance.stun import Code, Message, Method

ASKING = (Code.MOBILITY_TICKET, b"")


def mobile(scene: Scene, credentials: Credentials | None = None) -> tuple[Client, bytes]:
    """A client with an allocation that can move, and its ticket."""
    client = scene.client(credentials=credentials)
    answer = client.request(Method.ALLOCATE, [UDP, ASKING])
    if answer.error == 405:
        raise NotOfferedError("405: mobility is forbidden")
    expect(answer.is_success, shown(answer))
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    ticket = answer.get(Code.MOBILITY_TICKET)
    if ticket is None:
        raise NotOfferedError("MOBILITY-TICKET is ignored: no ticket in the success")
    expect(ticket, "the ticket is empty")
    return client, ticket


def moved(scene: Scene, ticket: bytes, credentials: Credentials | None = None) -> tuple[Client, Message]:
    """A client on a new five-tuple, and the answer to its Refresh with the ticket."""
    client = scene.client(credentials=credentials)
    return client, client.request(Method.REFRESH, [lifetime(600), (Code.MOBILITY_TICKET, ticket)])


def arrived(scene: Scene, ticket: bytes, credentials: Credentials | None = None) -> tuple[Client, bytes]:
    """The same where it must succeed, with the new ticket."""
    client, answer = moved(scene, ticket, credentials)
    expect(answer.is_success, f"Refresh with the ticket from a new five-tuple got {shown(answer)}")
    fresh = answer.get(Code.MOBILITY_TICKET)
    expect(fresh, "no new ticket")
    return client, fresh or b""


def permitted(scene: Scene) -> tuple[Client, bytes, Peer]:
    """A client that can move, with a permission for a peer."""
    client, ticket = mobile(scene)
    far = scene.peer()
    client.permit(far.address)
    return client, ticket, far


@check(8016, "3.1.2", MUST, "Allocate with an empty MOBILITY-TICKET gives a ticket, or 405, or ignores it", line=64)
def ticket_is_given(scene: Scene) -> None:
    """Section 3.1.2: the ticket stands in the success; a server that forbids mobility answers 405."""
    mobile(scene)


@check(8016, "3.1.2", MUST, "Allocate with a MOBILITY-TICKET that is not empty gets 400", line=64)
def full_ticket_in_allocate_is_400(scene: Scene) -> None:
    """Section 3.1.2: a length that is not zero is a 400 (Bad Request)."""
    mobile(scene)
    expect_error(scene.client().request(Method.ALLOCATE, [UDP, (Code.MOBILITY_TICKET, b"ticket")]), 400)


@check(8016, "3.2.2", MUST, "Refresh with the ticket from a new five-tuple succeeds, with a new ticket", line=65)
def ticket_moves_an_allocation(scene: Scene) -> None:
    """Section 3.2.2: the allocation is found by the ticket; the new ticket differs from the old one."""
    _, ticket = mobile(scene)
    client, fresh = arrived(scene, ticket)
    expect(fresh != ticket, "the ticket is the old one")
    client.relays = [("", 0)]  # whoever closes it gives the allocation back


@check(8016, "3.2.2", MUST, "another user cannot move an allocation: 441", line=65)
def foreign_ticket_is_441(scene: Scene) -> None:
    """Section 3.2.2: the user must be the one that made the allocation, else 441 (Wrong Credentials)."""
    client, ticket = mobile(scene)
    expect_error(moved(scene, ticket, scene.other())[1], 441)
    client.refresh()


@check(8016, "3.2.2", MUST, "an unknown ticket is refused with 437, or 400", line=65)
def unknown_ticket_is_refused(scene: Scene) -> None:
    """No allocation has it: 437 (RFC 8656, section 5); a ticket that cannot be read is a bad request, too."""
    _, ticket = mobile(scene)
    expect_error(moved(scene, bytes(len(ticket)))[1], 437, 400)


@check(8016, "3.2.2", MUST, "a ticket that was replaced is refused", line=65)
def old_ticket_is_refused(scene: Scene) -> None:
    """Section 3.2.2: the old ticket is gone once the client was heard on the new five-tuple."""
    _, ticket, far = permitted(scene)
    client, _ = arrived(scene, ticket)
    client.relays = [("", 0)]
    client.send_data(far.address, b"here now")
    far.receive(b"here now")
    expect_error(moved(scene, ticket)[1], 437, 400)


@check(8016, "3.2.2", MUST, "the old five-tuple receives until the client sends on the new one", line=65)
def handover_waits_for_the_client(scene: Scene) -> None:
    """Section 3.2.2: the server keeps the old 5-tuple until a Send or ChannelData comes on the new one."""
    old, ticket, far = permitted(scene)
    relay = old.relay
    new, _ = arrived(scene, ticket)
    new.relays = [relay]
    far.send(b"to the old", relay)
    expect(old.arrival().data == b"to the old", "it did not come to the old five-tuple")
    new.send_data(far.address, b"here now")
    expect(far.receive(b"here now").source == relay, "it came from another address")
    far.send(b"to the new", relay)
    expect(new.arrival().data == b"to the new", "it did not come to the new five-tuple")
    expect(old.arrives() is None, "something still comes to the old five-tuple")


@check(8016, "3.2.2", MUST, "permissions and channels move along", line=65)
def state_moves_along(scene: Scene) -> None:
    """Section 3.2.2: the allocation's state is the same, only its five-tuple is another."""
    old, ticket, far = permitted(scene)
    old.bind(0x4000, far.address)
    relay = old.relay
    new, _ = arrived(scene, ticket)
    new.relays = [relay]
    new.send_channel(0x4000, b"here now")
    far.receive(b"here now")
    far.send(b"back", relay)
    got = new.arrival()
    expect((got.channel, got.data) == (0x4000, b"back"), f"it came as {got}")


@check(8016, "3.2.2", MUST, "a second move before the first was used takes its place", line=66)
def second_move_replaces_the_first(scene: Scene) -> None:
    """Section 3.2.2: there is one new 5-tuple at a time, that of the last Refresh with the valid ticket."""
    old, ticket, far = permitted(scene)
    relay = old.relay
    first, fresh = arrived(scene, ticket)
    second, answer = moved(scene, fresh)
    if not answer.is_success:
        second, answer = moved(scene, ticket)  # as long as nobody was heard on the new one, the old ticket may hold
    expect(answer.is_success, f"the second move got {shown(answer)}")
    second.relays = [relay]
    second.send_data(far.address, b"here now")
    far.receive(b"here now")
    far.send(b"to the second", relay)
    expect(second.arrival().data == b"to the second", "it did not come to the second five-tuple")
    expect(first.arrives() is None, "something came to the first one")


@check(8016, "3.2.2", MUST, "a move needs no second unit of a quota", line=66)
def move_counts_once(scene: Scene) -> None:
    """Section 3.2.2: a move makes no new allocation, so no quota (RFC 8656, section 7.2) stands in its way."""
    if scene.target.quota is None:
        raise SkippedError("the number of allocations of a user is not known")
    _, ticket = mobile(scene, scene.other())
    for _ in range(scene.target.quota):
        filler = scene.client(credentials=scene.other())
        answer = filler.request(Method.ALLOCATE, [UDP])
        if answer.error == 486:
            break
        filler.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    new, _ = arrived(scene, ticket, scene.other())
    new.relays = [("", 0)]
