"""Connect (RFC 6062, section 5.2): a TCP connection from a relay to a peer, and the answer once it is there.

connect ---Connect---> connected ---> success, with the CONNECTION-ID that a ConnectionBind has to name
   |                       |
 error                  failed, or 30 s over ---> 447
"""

from hairpin.stun import Address, Attribute, Reach, Request
from hairpin.turn.effects import Connect, Disconnect, Effect
from hairpin.turn.errors import (
    AllocationMismatch,
    BadRequest,
    ConnectionAlreadyExists,
    ConnectionTimeoutOrFailure,
    InsufficientCapacity,
)
from hairpin.turn.grant import Grant, not_a_relay
from hairpin.turn.state import CONNECT_LIFE, UNBOUND_LIFE, Allocation, Connection, Session, State


def connect(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Connect to a peer (RFC 6062, section 5.2); `connected` or `failed` answers."""
    message, flow = request.message, request.flow
    _, allocation = state.allocated(flow, grant)  # 437, 441
    if not allocation.tcp:
        raise AllocationMismatch("the allocation is for UDP, and Connect for one for TCP")  # 437
    if not message.peers:
        raise BadRequest("there is no XOR-PEER-ADDRESS that can be read")  # 400
    named, most = message.peers[0], grant.limits.connections
    if grant.canonical(named) in allocation.connections:
        raise ConnectionAlreadyExists(f"the allocation is connected to {named} already")  # 446
    allocation.require_family(named)  # 443
    peer, reach, _ = grant.peer(named)  # 403
    require_reachable(state, peer, reach)  # 403
    if len(allocation.connections) >= most:
        raise InsufficientCapacity(f"a TCP allocation has {most} connections at most (limits.connections)")  # 508
    state.connect(flow, allocation, Connection(state.connection_id(), peer, now + CONNECT_LIFE, message))
    return [Connect(flow, peer, reach)]


def require_reachable(state: State, peer: Address, reach: Reach) -> None:
    """Of our own addresses live TCP relays are peers, and the other ports that the settings open: 403 for the rest."""
    owner = state.relays.get(peer)
    if owner is None:
        reachable = reach is not Reach.INSIDE
    else:
        allocation = state.sessions[owner].allocation
        reachable = allocation is not None and allocation.tcp
    if not reachable:
        raise not_a_relay(peer)


def connected(state: State, session: Session, allocation: Allocation, peer: Address, now: int) -> list[Effect]:
    """The peer is there, and the client has 30 s to bind a data connection to it (RFC 6062, section 5.2)."""
    connection = allocation.connections.get(peer)
    if connection is None or connection.request is None:
        return [Disconnect(session.flow, peer)]  # given up meanwhile
    request, connection.request = connection.request, None
    connection.expires = now + UNBOUND_LIFE
    state.deadlines.watch(session.flow, connection.expires)
    return [session.answer(request, ((Attribute.CONNECTION_ID, connection.id),), now)]


def failed(state: State, session: Session, allocation: Allocation, peer: Address, now: int) -> list[Effect]:
    """The peer refused, or it did not answer in time (RFC 6062, section 5.2)."""
    connection = allocation.connections.get(peer)
    if connection is None or connection.request is None:
        return []
    state.disconnect(session.flow, allocation, peer)
    error = ConnectionTimeoutOrFailure(f"{peer} refused the connection, or did not answer")
    return session.refuse(connection.request, error, now)  # 447
