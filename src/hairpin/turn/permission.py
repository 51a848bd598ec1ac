"""CreatePermission (RFC 8656, sections 9 and 10): peers that may send to a relay, and be sent to."""

from collections.abc import Iterable

from hairpin.stun import Request
from hairpin.turn.effects import Effect, Permit
from hairpin.turn.errors import BadRequest, InsufficientCapacity
from hairpin.turn.grant import Grant
from hairpin.turn.state import PERMISSION_LIFE, Allocation, Permission, State


def create_permission(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Install or extend the permissions of all peers named, or of none (RFC 8656, section 10.2)."""
    message, flow = request.message, request.flow
    session, allocation = state.allocated(flow, grant)  # 437, 441
    if not message.peers:
        raise BadRequest  # 400
    for named in message.peers:
        allocation.require_family(named)  # 443
    peers = [grant.peer(named)[0] for named in message.peers]  # 403
    require_room(allocation, {peer.ip for peer in peers}, grant)  # 508
    permissions = {peer.ip: allocation.permit(peer, grant.reaches(peer.ip), now) for peer in peers}
    ports = tuple(sorted({peer.port for peer in peers}))
    state.deadlines.watch(flow, now + PERMISSION_LIFE)
    return [
        *(permit(flow, permission) for permission in permissions.values()),
        session.answer(message, (), now),
        session.notify("create_permission", ("ports", ports)),
    ]


def require_room(allocation: Allocation, ips: Iterable[str], grant: Grant) -> None:
    """A session holds so many permissions at a time and no more: 508."""
    if len(allocation.permissions.keys() | ips) > grant.limits.permissions:
        raise InsufficientCapacity


def permit(flow: int, permission: Permission) -> Permit:
    """The effect that installs a permission as it stands."""
    return Permit(flow, permission.ip, permission.reaches, permission.expires)
