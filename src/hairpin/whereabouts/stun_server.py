"""A STUN server that is asked what it sees of us (RFC 8489, section 7.2; its URI: RFC 7064)."""

import asyncio
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from hairpin.stun import Address, DecodeError, Kind, Message, Method

PORT = 3478
WAITS = (0.5, 1.0, 2.0)  # seconds for an answer to each sending (RFC 8489, section 6.2.1, which sends more often)
_URI = re.compile(r"stun:(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class StunServer:
    """Where it is."""

    host: str
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> Self:
        """Out of `stun:HOST[:PORT]`; ValueError where it is none."""
        match = _URI.fullmatch(text)
        port = int(match["port"] or PORT) if match else 0
        if match is None or not 0 < port < 65536:
            raise ValueError(f"{text!r} is no STUN server, such as stun:stun.example.org:3478")
        return cls(match["v6"] or match["host"], port)

    def __str__(self) -> str:
        """Its URI."""
        return f"stun:[{self.host}]:{self.port}" if ":" in self.host else f"stun:{self.host}:{self.port}"

    async def ask(self, bind: str, chance: Callable[[int], bytes]) -> str | None:
        """The IP that requests from `bind` seem to come from; None without an answer. OSError: it cannot be asked."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET if Address(bind, 0).version == 4 else socket.AF_INET6
        place, *_ = await loop.getaddrinfo(self.host, self.port, family=family, type=socket.SOCK_DGRAM)
        request = Message.build(Method.BINDING, Kind.REQUEST, chance(12), [])
        transport, question = await loop.create_datagram_endpoint(
            lambda: _Question(request, loop.create_future()),
            local_addr=(bind, 0),
            remote_addr=(str(place[4][0]), self.port),
        )
        try:
            for wait in WAITS:
                transport.sendto(bytes(request))
                await asyncio.wait([question.answer], timeout=wait)
                if question.answer.done():
                    return question.answer.result()
        finally:
            transport.close()
        return None


class _Question(asyncio.DatagramProtocol):
    """A Binding request, and the future of what is answered."""

    def __init__(self, request: Message, answer: "asyncio.Future[str]") -> None:
        self.answer = answer
        self._transaction = request.transaction_id

    def datagram_received(self, data: bytes, _addr: tuple[str | Any, int]) -> None:
        try:
            message = Message.decode(data)
        except DecodeError:
            return
        mapped = message.xor_mapped_address
        ours = message.transaction_id == self._transaction and message.kind == Kind.SUCCESS
        if ours and mapped and not self.answer.done():
            self.answer.set_result(mapped.ip)
