"""TLS, DTLS, ALPN and third-party authorization (RFC 8489, section 6.2.3; RFC 7350, 7443, 7635)."""

import os
import ssl
import struct
from functools import partial

from conformance.checks.permissions import DATA
from conformance.clauses import MAY, MUST, SHOULD, Clause, NotOfferedError, add, check, expect
from conformance.client import UDP, Client, expect_error, shown
from conformance.links import PATIENCE, StreamLink
from conformance.scene import Scene, known, trusting
from conformance.stun import Code, Endpoint, Method, sign

COMPATIBLE = "ECDHE-RSA-AES128-GCM-SHA256"


def tls(scene: Scene) -> Endpoint:
    """Where the server speaks TLS."""
    return known(scene.target.tls, "no TLS listener was named")


def handshake(scene: Scene, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A TLS connection, closed with the scene."""
    made = StreamLink(tls(scene), context)
    scene.keep(made.socket)
    assert isinstance(made.socket, ssl.SSLSocket)
    return made.socket


VERSIONS = {"1.2": (SHOULD, ssl.TLSVersion.TLSv1_2), "1.3": (MAY, ssl.TLSVersion.TLSv1_3)}


def version_works(version: ssl.TLSVersion, scene: Scene) -> None:
    """A Binding over that version of TLS (section 6.2.3)."""
    context = trusting()
    context.minimum_version = context.maximum_version = version
    server = tls(scene)
    try:
        link = StreamLink(server, context)
    except ssl.SSLError:
        raise NotOfferedError("the handshake fails") from None
    binding(Client(link, scene.target.user))


def binding(client: Client) -> None:
    """A Binding's success."""
    try:
        answer = client.ask(Method.BINDING)
        expect(answer.is_success, shown(answer))
    finally:
        client.link.close()


for _name, (_level, _version) in VERSIONS.items():
    _clause = Clause(8489, "6.2.3", _level, f"a Binding over TLS {_name} is answered", 12)
    add(f"binding_over_tls_{_name.replace('.', '_')}", _clause, partial(version_works, _version))


@check(8489, "6.2.3", MUST, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is there for older clients")
def compatible_cipher_suite_works(scene: Scene) -> None:
    """Section 6.2.3: these ciphersuites "MUST be implemented (for compatibility with older versions"."""
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(COMPATIBLE)
    used = handshake(scene, context).cipher()
    expect(used is not None and used[0] == COMPATIBLE, f"the cipher suite is {used}")


@check(8489, "6.2.3", MUST, "cipher suites with forward secrecy come first")
def forward_secrecy_is_preferred(scene: Scene) -> None:
    """Section 6.2.3: PFS ciphersuites "MUST be preferred over non-PFS ciphersuites"."""
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"AES128-GCM-SHA256:{COMPATIBLE}")
    used = handshake(scene, context).cipher()
    expect(used is not None and used[0].startswith("ECDHE"), f"the cipher suite is {used}")


@check(8489, "6.2.3", MUST, "TLS does not compress")
def tls_does_not_compress(scene: Scene) -> None:
    """Section 6.2.3: "Implementations MUST disable TLS-level compression"."""
    expect(handshake(scene, trusting()).compression() is None, "it does")


@check(8656, "5", SHOULD, "the server takes clients over TLS")
def allocate_over_tls(scene: Scene) -> None:
    """Section 5: it "SHOULD support the use of TCP, TLS-over-TCP, and DTLS-over-UDP transports"."""
    tls(scene)
    relays_both_ways(scene, "tls")


@check(8656, "12.5", MUST, "over TLS ChannelData is padded to four bytes", line=55)
def channel_data_over_tls_is_padded(scene: Scene) -> None:
    """Section 12.5: "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded"."""
    tls(scene)
    client, far = scene.allocated(transport="tls"), scene.peer()
    client.bind(0x4000, far.address)
    for size in range(1, 6):
        client.send_channel(0x4000, b"x" * size)
        far.receive(b"x" * size)
        far.send(b"y" * size, client.relay)
        expect(client.arrival().data == b"y" * size, "other data came back")


def relays_both_ways(scene: Scene, transport: str) -> None:
    """Data to the peer and back."""
    client, far = scene.allocated(transport=transport), scene.peer()
    client.permit(far.address)
    client.send_data(far.address, DATA)
    far.receive(DATA)
    far.send(b"back", client.relay)
    expect(client.arrival().data == b"back", "other data came back")


# ALPN

PROTOCOLS = {"stun_turn": "stun.turn", "nat_discovery": "stun.nat-discovery"}


def agreed(protocol: str, scene: Scene) -> None:
    """RFC 7443, section 2, on RFC 7301: the server that takes an offered protocol says so."""
    found = handshake(scene, trusting(protocol)).selected_alpn_protocol()
    if found is None:
        raise NotOfferedError("the server answers without ALPN")
    expect(found == protocol, f"it chose {found}")


for _name, _protocol in PROTOCOLS.items():
    add(
        f"alpn_{_name}",
        Clause(7443, "2", MUST, f"ALPN offers {_protocol}, and the server takes it"),
        partial(agreed, _protocol),
    )


@check(7443, "2", SHOULD, "a client without ALPN is served as well")
def alpn_is_not_required(scene: Scene) -> None:
    """RFC 7301, section 3.2: ALPN is the client's offer; most TURN clients make none."""
    expect(handshake(scene, trusting()).selected_alpn_protocol() is None, "a protocol was chosen that nobody offered")


# DTLS


@check(7350, "3", SHOULD, "a Binding over DTLS is answered")
def binding_over_dtls(scene: Scene) -> None:
    """Section 3: DTLS as a transport for STUN."""
    binding(scene.client("dtls"))


@check(8656, "5", SHOULD, "the server takes clients over DTLS")
def allocate_over_dtls(scene: Scene) -> None:
    """Section 5: it "SHOULD support the use of TCP, TLS-over-TCP, and DTLS-over-UDP transports"."""
    relays_both_ways(scene, "dtls")


@check(8489, "11", MUST, "a request without the magic cookie over DTLS gets 500", line=3)
def classic_binding_over_dtls_is_500(scene: Scene) -> None:
    """Section 11: "all requests MUST generate a 500 (Server Error) error response"."""
    client = scene.client("dtls")
    message = client.unsigned(Method.BINDING)
    client.link.send(message[:4] + b"\1\2\3\4" + message[8:])
    try:
        raw = client.link.receive(PATIENCE)
    except TimeoutError:
        expect(False, "it is not answered")
        return
    expect(raw[:2] == b"\x01\x11", f"a message of type {raw[:2].hex()} came")
    expect(b"\0\0\5\0" in raw, "it is no error 500")


# Third-party authorization


@check(7635, "7", MUST, "where tokens are taken, a 401 has THIRD-PARTY-AUTHORIZATION with the server's name")
def third_party_is_named(scene: Scene) -> None:
    """Section 7: the 401 tells the client that tokens are supported, and the name to get one for."""
    third_party(scene)


@check(7635, "7", MUST, "a token that cannot be opened gets 401")
def wrong_token_is_401(scene: Scene) -> None:
    """Section 7: a token whose authenticated decryption fails is a 401 (Unauthenticated)."""
    client = third_party(scene)
    token = struct.pack("!H", 12) + os.urandom(12) + os.urandom(64)
    message = client.unsigned(Method.ALLOCATE, [UDP, *client.known(), (Code.ACCESS_TOKEN, token)])
    expect_error(client.exchange(sign(message, os.urandom(20))), 401)


def third_party(scene: Scene) -> Client:
    """A client of a server that takes tokens."""
    client = scene.client(server=scene.target.tokens)
    name = client.challenge().get(Code.THIRD_PARTY_AUTHORIZATION)
    if name is None:
        raise NotOfferedError("no THIRD-PARTY-AUTHORIZATION in its 401")
    expect(name, "it names no server")
    return client
