"""TCP allocations (RFC 6062)."""

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from conformance.clauses import MAY, MUST, Clause, NotOfferedError, add, check, expect
from conformance.client import TCP, Client, Credentials, Value, expect_error, peer, readable, shown
from conformance.links import PATIENCE, StreamLink, family_of
from conformance.scene import Scene
from conformance.stun import Code, Endpoint, Kind, Message, Method, message_type

BROADCAST = ("255.255.255.255", 9)


class Listener:
    """A TCP peer that waits for connections."""

    def __init__(self, scene: Scene, backlog: int = 5) -> None:
        self._scene = scene
        self.socket = scene.keep(socket.socket(family_of(scene.peer_host), socket.SOCK_STREAM))
        self.socket.bind((scene.peer_host, 0))
        self.socket.listen(backlog)
        self.socket.settimeout(PATIENCE)

    @property
    def address(self) -> Endpoint:
        """Where it is."""
        host, port = self.socket.getsockname()[:2]
        return host, port

    def accept(self) -> tuple[socket.socket, Endpoint]:
        """The next connection, and whence."""
        connection, source = self.socket.accept()
        connection.settimeout(PATIENCE)
        return self._scene.keep(connection), source[:2]


def controlling(scene: Scene) -> Client:
    """A client over TCP with a TCP allocation."""
    client = scene.client("tcp")
    answer = client.request(Method.ALLOCATE, [TCP])
    if answer.error == 442:
        raise NotOfferedError("442: no TCP allocations")
    expect(answer.is_success, shown(answer))
    client.relays = answer.addresses(Code.XOR_RELAYED_ADDRESS)
    return client


def connected(scene: Scene) -> tuple[Client, bytes, socket.socket]:
    """A client whose Connect succeeded: the CONNECTION-ID, and the peer's end."""
    client, listener = controlling(scene), Listener(scene)
    client.permit(listener.address)
    answer = client.request(Method.CONNECT, [peer(listener.address)])
    expect(answer.is_success, f"Connect got {shown(answer)}")
    return client, connection_id(answer), listener.accept()[0]


def connection_id(message: Message) -> bytes:
    """CONNECTION-ID, which is four bytes."""
    value = message.get(Code.CONNECTION_ID)
    expect(value is not None and len(value) == 4, "no CONNECTION-ID of four bytes")
    assert value is not None
    return value


def data_connection(
    scene: Scene, control: Client, identity: bytes | None, credentials: Credentials | None = None
) -> tuple[Client, Message]:
    """A fresh connection with its ConnectionBind's answer; it begins with the nonce of the control connection."""
    client = scene.client("tcp", credentials=credentials)
    client.realm, client.nonce = control.realm, control.nonce
    values = [] if identity is None else [(Code.CONNECTION_ID, identity)]
    return client, client.request(Method.CONNECTION_BIND, values)


def opened(scene: Scene) -> tuple[Client, StreamLink, socket.socket]:
    """The control connection, the client's data connection after ConnectionBind, and the peer's end."""
    control, identity, far = connected(scene)
    client, answer = data_connection(scene, control, identity)
    expect(answer.is_success, f"ConnectionBind got {shown(answer)}")
    assert isinstance(client.link, StreamLink)
    return control, client.link, far


def raw(link: StreamLink, size: int) -> bytes:
    """So many bytes of a data connection, those that came with the answer to its ConnectionBind first."""
    found, link.unread = link.unread, b""
    end = time.monotonic() + PATIENCE
    with suppress(EOFError, TimeoutError):
        while len(found) < size:
            found += link.read(end - time.monotonic())
    return found


def ended(connection: socket.socket, timeout: float = PATIENCE) -> bool:
    """Whether the connection ends in time, by FIN or RST."""
    connection.settimeout(timeout)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


# Allocate


@check(6062, "5.1", MUST, "a TCP allocation over a TCP control connection succeeds", line=57)
def tcp_allocation_works(scene: Scene) -> None:
    """Section 5.1: as RFC 5766 has it, with REQUESTED-TRANSPORT TCP; 442 where a server has none."""
    expect(controlling(scene).relays, "no relayed transport address")


@check(6062, "5.1", MUST, "a TCP allocation over UDP gets 400", line=57)
def tcp_allocation_over_udp_is_400(scene: Scene) -> None:
    """Section 5.1: the client connection must be TCP or TLS for a TCP allocation, else 400."""
    controlling(scene)
    expect_error(scene.client().request(Method.ALLOCATE, [TCP]), 400)


NOT_WITH_TCP: dict[str, Value] = {
    "even_port": (Code.EVEN_PORT, b"\0"),
    "reservation_token": (Code.RESERVATION_TOKEN, b"nobody's"),
    "dont_fragment": (Code.DONT_FRAGMENT, b""),
}


def not_with_tcp(value: Value, scene: Scene) -> None:
    """Section 5.1: DONT-FRAGMENT, EVEN-PORT and RESERVATION-TOKEN have no place in a TCP allocation: 400."""
    controlling(scene)
    expect_error(scene.client("tcp").request(Method.ALLOCATE, [TCP, value]), 400)


for _name, _value in NOT_WITH_TCP.items():
    _clause = Clause(6062, "5.1", MUST, f"a TCP allocation with {_name.upper().replace('_', '-')} gets 400", 57)
    add(f"tcp_allocation_with_{_name}_is_400", _clause, partial(not_with_tcp, _value))


# Connect


@check(6062, "5.2", MUST, "Connect opens a connection from the relayed transport address, and names it", line=58)
def connect_uses_the_relayed_address(scene: Scene) -> None:
    """Section 5.2: the connection's source is the relayed transport address; success has CONNECTION-ID."""
    client, listener = controlling(scene), Listener(scene)
    client.permit(listener.address)
    answer = client.request(Method.CONNECT, [peer(listener.address)])
    expect(answer.is_success, shown(answer))
    connection_id(answer)
    expect(listener.accept()[1] == client.relay, "it came from another address")


BAD_CONNECT: dict[str, tuple[str, Sequence[Value]]] = {
    "without_peer": ("without XOR-PEER-ADDRESS", []),
    "with_invalid_peer": ("with an invalid XOR-PEER-ADDRESS", [(Code.XOR_PEER_ADDRESS, b"\0\1\0\0")]),
}


def bad_connect(values: Sequence[Value], scene: Scene) -> None:
    """Section 5.2: XOR-PEER-ADDRESS missing or invalid: 400."""
    expect_error(controlling(scene).request(Method.CONNECT, values), 400)


for _name, (_what, _values) in BAD_CONNECT.items():
    add(
        f"connect_{_name}_is_400",
        Clause(6062, "5.2", MUST, f"Connect {_what} gets 400", 58),
        partial(bad_connect, _values),
    )


@check(6062, "5.2", MAY, "Connect to a peer that is not allowed gets 403", line=58)
def forbidden_connect_is_403(scene: Scene) -> None:
    """Section 5.2: the server may restrict peers, and answers 403 then."""
    expect_error(controlling(scene).request(Method.CONNECT, [peer(BROADCAST)]), 403)


@check(6062, "5.2", MUST, "a second Connect to the same peer gets 446", line=58)
def second_connect_is_446(scene: Scene) -> None:
    """Section 5.2: a connection to that peer is pending or active already: 446."""
    client, listener = controlling(scene), Listener(scene)
    client.permit(listener.address)
    expect(client.request(Method.CONNECT, [peer(listener.address)]).is_success, "the first one failed")
    expect_error(client.request(Method.CONNECT, [peer(listener.address)]), 446)


@check(6062, "5.2", MUST, "Connect to a peer that refuses gets 447", line=58)
def refused_connect_is_447(scene: Scene) -> None:
    """Section 5.2: an attempt that fails or times out is answered with 447 (Connection Timeout or Failure)."""
    client, listener = controlling(scene), Listener(scene)
    closed = listener.address
    client.permit(closed)
    listener.socket.close()
    expect_error(client.request(Method.CONNECT, [peer(closed)]), 447)


@check(6062, "5.2", MUST, "a connection attempt is given 30 s at least", line=58, lasts=31)
def connect_is_given_time(scene: Scene) -> None:
    """Section 5.2: the timeout is 30 seconds at least; a full backlog answers no SYN here."""
    client, listener = controlling(scene), Listener(scene, backlog=0)
    client.permit(listener.address)
    for _ in range(4):
        filler = scene.keep(socket.socket(family_of(listener.address[0]), socket.SOCK_STREAM))
        filler.setblocking(False)
        with suppress(BlockingIOError):
            filler.connect(listener.address)
    answer = client.attempt(client.signed(Method.CONNECT, [peer(listener.address)]), 29)
    expect(answer is None or answer.is_success, f"{shown(answer)} before 30 s were over")
    client.relays = []  # its control connection ends, and with it the attempt


@check(6062, "5.2", MUST, "Connect without an allocation gets 437", line=58)
def connect_without_allocation_is_437(scene: Scene) -> None:
    """Section 5.2: there is no allocation on the connection: 437 (Allocation Mismatch)."""
    controlling(scene)
    expect_error(scene.client("tcp").request(Method.CONNECT, [peer((scene.peer_host, 9))]), 437)


@check(6062, "5.2", MUST, "Connect on an allocation that relays UDP is refused", line=58)
def connect_on_udp_allocation_is_refused(scene: Scene) -> None:
    """Section 4.3 speaks of TCP allocations only; 437, no such allocation, and 400 both say so."""
    controlling(scene)
    expect_error(scene.allocated(transport="tcp").request(Method.CONNECT, [peer((scene.peer_host, 9))]), 437, 400)


# ConnectionBind


@check(6062, "5.4", MUST, "ConnectionBind over UDP gets 400", line=59)
def connection_bind_over_udp_is_400(scene: Scene) -> None:
    """Section 5.4: a client connection that is not TCP or TLS: 400."""
    _, identity, _ = connected(scene)
    expect_error(scene.client().request(Method.CONNECTION_BIND, [(Code.CONNECTION_ID, identity)]), 400)


@check(6062, "5.4", MUST, "ConnectionBind with an unknown CONNECTION-ID gets 400", line=59)
def unknown_connection_is_400(scene: Scene) -> None:
    """Section 5.4: it refers to no pending connection: 400."""
    expect_error(data_connection(scene, controlling(scene), b"\xff\xff\xff\xfe")[1], 400)


@check(6062, "5.4", MUST, "ConnectionBind without CONNECTION-ID gets 400", line=59)
def no_connection_id_is_400(scene: Scene) -> None:
    """Section 5.4: without the attribute the request is a bad one: 400."""
    expect_error(data_connection(scene, controlling(scene), None)[1], 400)


@check(6062, "5.4", MUST, "a CONNECTION-ID that was bound gets 400", line=59)
def used_connection_is_400(scene: Scene) -> None:
    """Section 5.4: a bound connection is not pending any more: 400."""
    control, identity, _ = connected(scene)
    expect(data_connection(scene, control, identity)[1].is_success, "the first ConnectionBind failed")
    expect_error(data_connection(scene, control, identity)[1], 400)


@check(6062, "5.4", MUST, "another user cannot bind a connection", line=59)
def foreign_connection_is_refused(scene: Scene) -> None:
    """RFC 8656, section 5, asks for one user in all of an allocation's requests: 441, or 400 as if unknown."""
    control, identity, _ = connected(scene)
    expect_error(data_connection(scene, control, identity, scene.other())[1], 441, 401, 400)
    expect(data_connection(scene, control, identity)[1].is_success, "the owner cannot bind it any more")


@check(6062, "5.2", MUST, "a connection that is not bound within 30 s is closed", line=59, lasts=40)
def unbound_connection_is_closed(scene: Scene) -> None:
    """Section 5.2: without ConnectionBind the peer data connection is closed after 30 seconds."""
    _, _, far = connected(scene)
    start = time.monotonic()
    expect(ended(far, 39), "it is still open after 39 s")
    expect(time.monotonic() - start > 28, f"it was closed after {time.monotonic() - start:.0f} s")


# Connections of peers


def called(scene: Scene) -> tuple[Client, socket.socket, Message]:
    """A client, a permitted peer that has connected to the relay, and the ConnectionAttempt."""
    client = controlling(scene)
    client.permit((scene.peer_host, 9))
    far = scene.keep(socket.create_connection(client.relay, PATIENCE, (scene.peer_host, 0)))
    far.settimeout(PATIENCE)
    message = readable(client.link.receive(PATIENCE))
    return client, far, message


@check(6062, "5.3", MUST, "the connection of a permitted peer is told in a ConnectionAttempt", line=60)
def connection_attempt_is_told(scene: Scene) -> None:
    """Section 5.3: the indication has XOR-PEER-ADDRESS with the peer's address, and CONNECTION-ID."""
    _, far, message = called(scene)
    wanted = message_type(Method.CONNECTION_ATTEMPT, Kind.INDICATION)
    expect(message.raw[:2] == wanted.to_bytes(2, "big"), f"a message of type {message.raw[:2].hex()} came")
    connection_id(message)
    expect(message.address(Code.XOR_PEER_ADDRESS) == far.getsockname()[:2], "it names another peer")


@check(6062, "5.3", MUST, "the connection of a peer without permission is closed at once", line=60)
def unpermitted_connection_is_closed(scene: Scene) -> None:
    """Section 5.3: the server accepts it, finds no permission, and closes it immediately."""
    client = controlling(scene)
    with suppress(ConnectionResetError):  # which is one way of closing it
        expect(ended(scene.keep(socket.create_connection(client.relay, PATIENCE))), "it is open after 5 s")
    client.quiet()


@check(6062, "5.4", MUST, "what a peer sent before ConnectionBind is not lost", line=60)
def early_data_is_kept(scene: Scene) -> None:
    """Section 5.4: what came after Connect and before ConnectionBind is relayed as well."""
    control, far, message = called(scene)
    far.sendall(b"early" * 1000)
    client, answer = data_connection(scene, control, connection_id(message))
    expect(answer.is_success, shown(answer))
    assert isinstance(client.link, StreamLink)
    far.sendall(b"late")
    expect(raw(client.link, 5004) == b"early" * 1000 + b"late", "bytes are missing or in another order")


@check(6062, "5.4", MUST, "after ConnectionBind bytes go both ways as they are", line=60)
def data_connection_is_raw(scene: Scene) -> None:
    """Section 5.4: data is sent as it is, even where it looks like STUN or ChannelData."""
    _, link, far = opened(scene)
    data = scene.client().unsigned(Method.BINDING) + b"\x40\0\0\4abcd" + bytes(range(256))
    link.send(data)
    got = b""
    while len(got) < len(data) and (more := far.recv(65536)):
        got += more
    expect(got == data, "other bytes came to the peer")
    far.sendall(data)
    expect(raw(link, len(data)) == data, "other bytes came to the client")


@check(6062, "5.5", MUST, "when the client's data connection ends, so does the peer's", line=60)
def client_end_is_passed_on(scene: Scene) -> None:
    """Section 5.5: the server closes the peer data connection then."""
    _, link, far = opened(scene)
    link.send(b"last words")
    link.close()
    expect(far.recv(100) == b"last words", "the last bytes are lost")
    expect(ended(far), "the peer's connection is open after 5 s")


@check(6062, "5.5", MUST, "when the peer's data connection ends, so does the client's", line=60)
def peer_end_is_passed_on(scene: Scene) -> None:
    """Section 5.5: the server closes the client data connection then."""
    _, link, far = opened(scene)
    far.sendall(b"last words")
    far.close()
    expect(raw(link, 10) == b"last words", "the last bytes are lost")
    expect(ended(link.socket), "the client's connection is open after 5 s")


@check(6062, "5.5", MAY, "a half-close is passed on, and the other half goes on", line=60)
def half_close_is_passed_on(scene: Scene) -> None:
    """Section 5.5 speaks of closing; a TCP user expects that each half ends by itself."""
    _, link, far = opened(scene)
    link.send(b"the question")
    link.socket.shutdown(socket.SHUT_WR)
    got = b""
    with suppress(OSError):
        while more := far.recv(100):
            got += more
    expect(got == b"the question", f"the peer got {got!r}")
    try:
        far.sendall(b"the answer")
    except OSError:
        raise NotOfferedError("the first half-close ends both halves") from None
    if raw(link, 10) != b"the answer":
        raise NotOfferedError("the first half-close ends both halves")


@check(6062, "5.5", MUST, "the end of an allocation closes its data connections", line=60)
def allocation_end_closes_data_connections(scene: Scene) -> None:
    """Section 5.5: when the allocation expires, its data connections are closed."""
    control, link, far = opened(scene)
    control.refresh((Code.LIFETIME, bytes(4)))
    expect(ended(far), "the peer's connection is open after 5 s")
    expect(ended(link.socket), "the client's connection is open after 5 s")
