"""A call between two peers of aiortc that goes through a TURN server: the fixture `turn_server` comes with hairpin."""

import asyncio
import re

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription


def through_the_relay(description: RTCSessionDescription) -> RTCSessionDescription:
    """The same offer or answer, with relayed candidates alone."""
    relayed = re.sub(r"a=candidate:(?!.* typ relay).*\r\n", "", description.sdp)
    return RTCSessionDescription(relayed, description.type)


async def test_a_call_through_the_relay(turn_server):
    """What one says is heard by the other, and hairpin has relayed it."""
    servers = [RTCIceServer(**server) for server in turn_server.ice_servers["iceServers"]]
    caller, callee = (RTCPeerConnection(RTCConfiguration(servers)) for _ in range(2))
    heard = asyncio.get_running_loop().create_future()
    callee.on("datachannel", lambda channel: channel.on("message", heard.set_result))
    channel = caller.createDataChannel("chat")
    channel.on("open", lambda: channel.send("hello"))

    await caller.setLocalDescription(await caller.createOffer())
    await callee.setRemoteDescription(through_the_relay(caller.localDescription))
    await callee.setLocalDescription(await callee.createAnswer())
    await caller.setRemoteDescription(through_the_relay(callee.localDescription))

    assert await asyncio.wait_for(heard, 20) == "hello"
    relays = {session.relays[0] for session in turn_server.sessions()}
    assert len(relays) == 2
    await asyncio.gather(caller.close(), callee.close())
