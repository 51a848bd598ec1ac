"""A little server in this process that answers Bindings and challenges rightly, or wrongly as it is told."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conformance.client import Credentials
from conformance.scene import Target
from conformance.stun import (
    HEADER,
    Code,
    Endpoint,
    Kind,
    MalformedError,
    Message,
    Method,
    build,
    fingerprint,
    mask,
    parse,
)

Answer = Callable[[bytes, Endpoint], bytes | None]
ERRORS = {401: b"\0\0\4\1Unauthenticated", 420: b"\0\0\4\x14Unknown Attribute"}
KNOWN = frozenset(int(code) for code in Code)


def honest(data: bytes, source: Endpoint) -> bytes | None:
    """What RFC 8489 asks for: a Binding's answer, 420, or 401 for whatever else is a TURN request."""
    try:
        request = parse(data)
    except MalformedError:
        return None
    if request.kind != Kind.REQUEST or request.method not in (*TURN, Method.BINDING) or request.faults:
        return None
    answer = binding(request, source) if request.method == Method.BINDING else challenge(request)
    return fingerprint(answer) if request.has(Code.FINGERPRINT) else answer


TURN = (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND)


def binding(request: Message, source: Endpoint) -> bytes:
    """Success, or 420."""
    unknown = [code for code, _ in request.attributes if code < 0x8000 and code not in KNOWN]
    if unknown:
        listed = b"".join(code.to_bytes(2, "big") for code in unknown)
        return error(request, 420, (Code.UNKNOWN_ATTRIBUTES, listed))
    mapped = (Code.XOR_MAPPED_ADDRESS, mask(source, request.transaction))
    return build(request.method, Kind.SUCCESS, request.transaction, [mapped, (Code.SOFTWARE, b"crooked")])


def challenge(request: Message, nonce: bytes | None = None) -> bytes:
    """401 with a nonce of its own."""
    fresh = nonce or b"obMatJos2AAAA" + os.urandom(8).hex().encode()
    return error(request, 401, (Code.REALM, b"crooked.example"), (Code.NONCE, fresh))


def error(request: Message, number: int, *more: tuple[int, bytes]) -> bytes:
    """An error response."""
    return build(request.method, Kind.ERROR, request.transaction, [(Code.ERROR_CODE, ERRORS[number]), *more])


def altered(change: Callable[[bytes, bytes, Endpoint], bytes | None]) -> Answer:
    """The honest server, with its answers changed: `change(request, answer, source)`."""

    def answer(data: bytes, source: Endpoint) -> bytes | None:
        said = honest(data, source)
        return None if said is None else change(data, said, source)

    return answer


def without(code: int, answer: bytes) -> bytes:
    """The answer without that attribute."""
    message = parse(answer)
    kept = [one for one in message.attributes if one[0] != code]
    return build(message.method, message.kind, message.transaction, kept)


def dirty_padding(answer: bytes) -> bytes:
    """The answer with rubbish in the padding of its attributes."""
    spoiled, at = bytearray(answer), HEADER
    for _, value in parse(answer).attributes:
        end = at + 4 + len(value)
        for offset in range(end, end + -len(value) % 4):
            spoiled[offset] = 0xFF
        at = end + -len(value) % 4
    return bytes(spoiled)


@contextmanager
def crooked(answer: Answer) -> Iterator[Target]:
    """A server that answers so, until the end."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        host, port = listening.getsockname()
        thread = threading.Thread(target=_serve, args=(listening, answer))
        thread.start()
        try:
            yield Target("crooked", (host, port), Credentials("user", "secret"))
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"stop", (host, port))
            thread.join(10)


def _serve(listening: socket.socket, answer: Answer) -> None:
    while True:
        data, source = listening.recvfrom(65536)
        if data == b"stop":
            return
        if (said := answer(data, source)) is not None:
            listening.sendto(said, source)
