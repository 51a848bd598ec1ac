"""aioice, the TURN client of aiortc, through hairpin."""

import asyncio
from typing import Any

import pytest
from aioice import turn

from serving import PASSWORD, USER, Serving

PATIENCE = 10


class Inbox(asyncio.DatagramProtocol):
    """Keeps what arrives on a relayed address."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.closed = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """One datagram of a peer."""
        self.arrived.put_nowait((data, addr))

    def connection_lost(self, exc: Exception | None) -> None:
        """The allocation is deleted."""
        self.closed.set()

    async def next(self) -> tuple[bytes, Any]:
        """What arrives next."""
        return await asyncio.wait_for(self.arrived.get(), PATIENCE)


async def endpoint(server: Serving, transport: str, password: str = PASSWORD) -> tuple[turn.TurnTransport, Inbox]:
    """A relayed transport address of aioice's."""
    connecting = turn.create_turn_endpoint(
        Inbox, server_addr=server.address, username=USER, password=password, transport=transport
    )
    return await asyncio.wait_for(connecting, PATIENCE)


async def open_way(there: turn.TurnTransport, back: turn.TurnTransport, inbox: Inbox) -> None:
    """Bind a channel on both ends; data that comes before the other's permission is lost, so send until it arrives."""
    relays = [end.get_extra_info("sockname") for end in (there, back)]
    for _ in range(100):
        back.sendto(b"way back", relays[0])
        there.sendto(b"way there", relays[1])
        try:
            assert await asyncio.wait_for(inbox.arrived.get(), 0.1) == (b"way there", relays[0])
        except TimeoutError:
            continue
        return
    pytest.fail("nothing came through")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_two_clients_meet(server: Serving, transport: str) -> None:
    """What one client sends to the other's relayed address arrives, whole, in order and from the sender's own."""
    first, inbox1 = await endpoint(server, transport)
    second, inbox2 = await endpoint(server, transport)
    await open_way(first, second, inbox2)
    messages = [b"x" * size for size in (0, 1, 3, 160, 1200)]
    for message in messages:
        first.sendto(message, second.get_extra_info("sockname"))
    found: list[tuple[bytes, Any]] = []
    while len(found) < len(messages):
        found += [got for got in [await inbox2.next()] if got[0] != b"way there"]
    assert found == [(message, first.get_extra_info("sockname")) for message in messages]
    for end, inbox in ((first, inbox1), (second, inbox2)):
        end.close()
        await asyncio.wait_for(inbox.closed.wait(), PATIENCE)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_wrong_password_is_refused(server: Serving, transport: str) -> None:
    """A client with a wrong password gets 401."""
    with pytest.raises(Exception, match="401"):
        await endpoint(server, transport, password="wrong")
