"""CreatePermission (RFC 8656, sections 9 and 10): peers that may send to a relay, and be sent to."""

from collections.abc import Set as AbstractSet
from collections.abc import Sized

from hairpin.stun import Request
from hairpin.turn.effects import Effect, Permit
from hairpin.turn.errors import BadRequest, InsufficientCapacity
from hairpin.turn.grant import Grant, Limits
from hairpin.turn.state import PERMISSION_LIFE, Allocation, Permission, State


def create_permission(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Install or extend the permissions of all peers named, or of none (RFC 8656, section 10.2)."""
    message, flow = request.message, request.flow
    session, allocation = state.allocated(flow, grant)  # 437, 441
    peers = message.peers
    if not peers:
        raise BadRequest("there is no XOR-PEER-ADDRESS that can be read")  # 400
    for named in peers:
        allocation.require_family(named)  # 443
    allowed = [(peer, reaches) for peer, _, reaches in map(grant.peer, peers)]  # 403
    require_room(allocation, {peer.ip for peer, _ in allowed}, grant)  # 508
    permissions = {peer.ip: allocation.permit(peer, reaches, now) for peer, reaches in allowed}
    ports = tuple(sorted({peer.port for peer, _ in allowed}))
    state.deadlines.watch(flow, now + PERMISSION_LIFE)
    return [
        *(permit(flow, permission) for permission in permissions.values()),
        session.notify("create_permission", ("ports", ports)),
        session.answer(message, (), now),
    ]


def require_room(allocation: Allocation, ips: AbstractSet[str], grant: Grant) -> None:
    """A session holds so many permissions at a time and no more: 508."""
    known, most = allocation.permissions.keys(), grant.limits.permissions
    if len(known) + len(ips) > most:
        require_few(known | ips, grant.limits)


def require_few(ips: Sized, limits: Limits) -> None:
    """508 where these are more than a session may hold permissions for."""
    if len(ips) > limits.permissions:
        raise InsufficientCapacity(f"a session has {limits.permissions} permissions at most (limits.permissions)")


def permit(flow: int, permission: Permission) -> Permit:
    """The effect that installs a permission as it stands."""
    return Permit(flow, permission.ip, permission.reaches, permission.expires)
