"""Broken input on purpose: messages of every kind, bent in every way; a seed makes them again."""

import struct
from collections.abc import Callable
from random import Random

from client import (
    ALLOCATE,
    BINDING,
    CHANNEL_BIND,
    CHANNEL_NUMBER,
    CREATE_PERMISSION,
    DATA,
    DATA_VALUE,
    ERROR,
    ERROR_CODE,
    INDICATION,
    LIFETIME,
    REFRESH,
    REQUEST,
    SEND,
    SUCCESS,
    TRANSPORT,
    UDP_RELAY,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attributes,
    build,
    mask,
)

METHODS = (BINDING, ALLOCATE, REFRESH, SEND, DATA, CREATE_PERMISSION, CHANNEL_BIND, 0x002, 0x00A, 0x00B, 0xFFF)
CODES = bytes.fromhex("01060809 0C0D1213 14151617 18191A1C 20222428")
HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n\r\n"
HELLO = bytes.fromhex("16030100c4010000c00303") + bytes(range(32)) + bytes.fromhex("20") + bytes(range(150))


class Mutator:
    """Makes broken datagrams and streams; `sign` makes a request in the name of a client."""

    def __init__(self, seed: int, sign: Callable[[int, Attributes, bytes], bytes]) -> None:
        self.random = Random(seed)
        self.sign = sign
        self.transaction = self.random.randbytes(12)

    def datagram(self) -> bytes:
        """The next one: mostly a message bent after it was signed, sometimes one that is signed and makes no sense."""
        whole = self.message()
        bends = (self.same, self.flip, self.cut, self.lie, self.lie_inside, self.grow, self.noise, self.stranger)
        return self.random.choices(bends, (1, 3, 1, 1, 1, 1, 1, 1))[0](whole)

    def stream(self) -> bytes:
        """Some frames of which one is broken."""
        frames = [self.padded(self.message()) for _ in range(self.random.randrange(1, 6))]
        frames.insert(self.random.randrange(len(frames) + 1), self.datagram())
        return b"".join(frames)

    def padded(self, frame: bytes) -> bytes:
        """A frame as it goes on a stream."""
        return frame + bytes(-len(frame) % 4)

    def message(self) -> bytes:
        """ChannelData, or a message of any method and class: half of them what a client would send, half nonsense."""
        if self.random.random() < 0.1:
            number = self.random.choice((0x4000, 0x4001, 0x4FFF, 0x5000, 0x7FFF))
            return struct.pack("!HH", number, 40) + self.random.randbytes(40)
        self.transaction = self.random.randbytes(12)
        method = self.random.choice(METHODS)
        kind = self.random.choice((REQUEST, REQUEST, REQUEST, INDICATION, SUCCESS, ERROR))
        attributes = self.sensible(method, kind) if self.random.random() < 0.5 else self.nonsense()
        signed = kind == REQUEST and self.random.random() < 0.5
        if signed and method != BINDING:
            return self.sign(method, attributes, self.transaction)
        coded = (method & 0xF) | (method & 0x70) << 1 | (method & 0xF80) << 2
        return build(coded | kind, self.transaction, attributes, fingerprint=self.random.random() < 0.3)

    def sensible(self, method: int, kind: int) -> Attributes:
        """What belongs into such a message."""
        peer = (XOR_PEER_ADDRESS, mask(("192.0.2.1", 9), self.transaction))
        if kind == ERROR:
            return [(ERROR_CODE, bytes([0, 0, 4, 1]) + b"Unauthorized")]
        if kind == SUCCESS:
            return [(XOR_MAPPED_ADDRESS, peer[1]), (XOR_RELAYED_ADDRESS, peer[1])]
        return {
            ALLOCATE: [(TRANSPORT, UDP_RELAY)],
            REFRESH: [(LIFETIME, bytes([0, 0, 2, 88]))],
            SEND: [peer, (DATA_VALUE, b"data")],
            DATA: [peer, (DATA_VALUE, b"data")],
            CREATE_PERMISSION: [peer],
            CHANNEL_BIND: [(CHANNEL_NUMBER, bytes([0x40, 0, 0, 0])), peer],
        }.get(method, [])

    def nonsense(self) -> Attributes:
        """Attributes that exist, with values that do not."""
        size = self.random.choice((0, 1, 3, 4, 8, 20, 20, 21, 700))
        codes = self.random.choices(CODES, k=self.random.randrange(6))
        return [
            (code | self.random.choice((0, 0, 0x8000)), self.random.randbytes(self.random.randrange(size + 1)))
            for code in codes
        ]

    def same(self, whole: bytes) -> bytes:
        """As it is."""
        return whole

    def flip(self, whole: bytes) -> bytes:
        """One to eight bits."""
        data = bytearray(whole)
        for _ in range(self.random.randrange(1, 9)):
            data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        return bytes(data)

    def cut(self, whole: bytes) -> bytes:
        """The beginning only, or nothing at all."""
        return whole[: self.random.randrange(len(whole))]

    def lie(self, whole: bytes) -> bytes:
        """A length in the header that is not true."""
        return whole[:2] + struct.pack("!H", self.random.choice((0, 1, 4, 8, 0x7FFC, 0xFFFC, 0xFFFF))) + whole[4:]

    def lie_inside(self, whole: bytes) -> bytes:
        """A length of the first attribute that is not true."""
        return whole[:22] + struct.pack("!H", self.random.choice((0, 3, 5, 9, 0x7FFC, 0xFFFC, 0xFFFF))) + whole[24:]

    def grow(self, whole: bytes) -> bytes:
        """More bytes than belong to it, now and then as many as a datagram can hold."""
        more = 65507 - len(whole) if self.random.random() < 0.01 else self.random.randrange(1, 64)
        return whole + self.random.randbytes(more)

    def noise(self, whole: bytes) -> bytes:
        """Nothing of it, but as long."""
        return self.random.randbytes(len(whole))

    def stranger(self, whole: bytes) -> bytes:
        """Another protocol."""
        return self.random.choice((HTTP, HELLO, b"", b"\0", b"\x40", b"\x80" + whole[1:], b"\xff" * 20))
