"""ChannelBind (RFC 8656, section 12): a number that stands for a peer, in 4 bytes instead of 36."""

from hairpin.stun import Address, Reach, Request
from hairpin.turn.effects import BindChannel, Effect
from hairpin.turn.errors import BadRequest, InsufficientCapacity
from hairpin.turn.grant import Grant, not_a_relay
from hairpin.turn.permission import permit, require_room
from hairpin.turn.refusal import Reason
from hairpin.turn.state import CHANNEL_LIFE, Allocation, Channel, State

CHANNEL_FIRST = 0x4000


def bind_channel(state: State, request: Request, grant: Grant, now: int) -> list[Effect]:
    """Bind a channel to a peer, or refresh that binding, and the peer's permission with it (RFC 8656, section 12.2)."""
    message, flow = request.message, request.flow
    session, allocation = state.allocated(flow, grant)  # 437, 441
    number, peers = message.channel_number, message.peers
    if allocation.tcp:  # nothing is sent over the control connection (RFC 6062, section 3)
        raise BadRequest("the allocation is for TCP, which has no channels")  # 400
    if number is None or not peers:
        raise BadRequest("there is no CHANNEL-NUMBER, or no XOR-PEER-ADDRESS, that can be read")  # 400
    if not CHANNEL_FIRST <= number <= state.settings.channel_last:
        raise BadRequest(f"{number:#06x} is no channel of 0x4000 to {state.settings.channel_last:#06x}")  # 400
    allocation.require_family(peers[0])  # 443
    peer, reach, reaches = grant.peer(peers[0])  # 403
    if reach is Reach.INSIDE and peer not in state.relays:
        raise not_a_relay(peer)  # 403
    require_free(allocation, number, peer, grant)  # 400, 508
    require_room(allocation, {peer.ip}, grant)  # 508
    channel = Channel(number, peer, now + CHANNEL_LIFE)
    state.bind(flow, allocation, channel, reach)
    permission = allocation.permit(peer, reaches, now)
    state.deadlines.watch(flow, permission.expires)  # it lapses before its channel
    return [
        permit(flow, permission),
        BindChannel(flow, number, peer, channel.expires),
        session.notify("channel_bind", ("channel", number)),
        session.answer(message, (), now),
    ]


def require_free(allocation: Allocation, number: int, peer: Address, grant: Grant) -> None:
    """A number has one peer, and a peer one number, while the binding lives (RFC 8656, section 12.2)."""
    bound, most = allocation.channels.get(number), grant.limits.channels
    if (bound and bound.peer != peer) or allocation.numbers.get(peer, number) != number:
        raise BadRequest(f"channel {number:#06x} or {peer} is bound to another", Reason.CHANNEL_TAKEN)  # 400
    if bound is None and len(allocation.channels) >= most:
        raise InsufficientCapacity(f"a session has {most} channels at most (limits.channels)")  # 508
