"""Connections of TCP allocations: ConnectionAttempt, ConnectionBind, and their end (RFC 6062, sections 5.3 to 5.5)."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from hairpin.stun import Address, Attribute, Kind, Message, Method, Request, Transport
from hairpin.turn.connect import connected, failed
from hairpin.turn.effects import Disconnect, Effect, Join, Reply, Send
from hairpin.turn.errors import BadRequest, WrongCredentials
from hairpin.turn.grant import Grant, Reaches
from hairpin.turn.refusal import Reason
from hairpin.turn.state import UNBOUND_LIFE, Allocation, Connection, Session, State


def arrived(state: State, session: Session, allocation: Allocation, peer: Address, now: int) -> list[Effect]:
    """A peer with a permission connected: the client is told, and has 30 s to bind it (RFC 6062, section 5.3)."""
    if peer in allocation.connections:
        return []  # it crossed a Connect, which the packet path has refused for that
    connection = Connection(state.connection_id(), peer, now + UNBOUND_LIFE)
    state.connect(session.flow, allocation, connection)
    attributes = ((Attribute.XOR_PEER_ADDRESS, peer), (Attribute.CONNECTION_ID, connection.id))
    transaction = state.chance(1 << 64).to_bytes(12, "big")
    return [Send(session.flow, Message.build(Method.CONNECTION_ATTEMPT, Kind.INDICATION, transaction, attributes))]


def bind_connection(state: State, request: Request, grant: Grant, _now: int) -> list[Effect]:
    """The connection that asks becomes the data connection of a peer (RFC 6062, section 5.4)."""
    message = request.message
    if request.transport != Transport.TCP or state.at(request.flow):
        raise BadRequest("a data connection is a TCP or TLS connection of its own")  # 400
    session, connection = find(state, message.connection_id)
    if session is None or connection is None or connection.request or connection.expires is None:
        raise BadRequest("no connection to a peer waits for this CONNECTION-ID", Reason.NOT_CONNECTED)  # 400
    if not session.belongs_to(grant.identity):
        raise WrongCredentials(f"the connection is of another user, {session.username}")  # 441
    connection.expires = None
    return [Join(Reply(request.flow, message, (), grant.identity.key), session.flow, connection.peer)]


def find(state: State, connection_id: int | None) -> tuple[Session | None, Connection | None]:
    """The connection with a CONNECTION-ID, and whose it is."""
    flow, peer = state.connections.get(connection_id, (0, None)) if connection_id is not None else (0, None)
    session = state.sessions.get(flow)
    if session is None or session.allocation is None or peer is None:
        return None, None
    return session, session.allocation.connections.get(peer)


def closed(state: State, session: Session, allocation: Allocation, peer: Address, _now: int) -> list[Effect]:
    """One side has left, and the other with it (RFC 6062, section 5.5)."""
    connection = allocation.connections.get(peer)
    if connection is not None and connection.request is None:  # else it is a later one, that is still being made
        state.disconnect(session.flow, allocation, peer)
    return []


def lapse(state: State, session: Session, now: int) -> Iterable[Effect]:
    """Who did not answer, or was not bound, for 30 s is given up (RFC 6062, sections 5.2 and 5.3)."""
    for connection in session.connections():
        if connection.expires is not None and connection.expires <= now:
            yield from give_up(state, session, connection, now)


def forbid(state: State, session: Session, reaches: Callable[[str], Reaches], now: int) -> Iterable[Effect]:
    """Connections to peers that are peers no more are closed."""
    for connection in session.connections():
        ip, port = connection.peer.ip, connection.peer.port
        if not any(first <= port <= last for first, last, _ in reaches(ip)):
            yield from give_up(state, session, connection, now)


def give_up(state: State, session: Session, connection: Connection, now: int) -> Iterable[Effect]:
    """Close a connection from our side; a Connect that waits for it is answered 447."""
    allocation, peer = session.allocation, connection.peer
    assert allocation is not None  # or it would have no connection
    yield Disconnect(session.flow, peer)
    if connection.request:
        yield from failed(state, session, allocation, peer, now)
    else:
        state.disconnect(session.flow, allocation, peer)


Change: TypeAlias = Callable[[State, Session, Allocation, Address, int], list[Effect]]
CHANGES: dict[str, Change] = {"arrived": arrived, "connected": connected, "failed": failed, "closed": closed}
