"""Another user on a five-tuple, and redirection (RFC 8656, section 5; RFC 8489, sections 10 and 14.8)."""

from collections.abc import Callable
from functools import partial

from conformance.clauses import MUST, Clause, SkippedError, add, check, expect
from conformance.client import UDP, Client, Value, expect_error, lifetime
from conformance.scene import Scene
from conformance.stun import Code, Message, Method

# Another user on a five-tuple


def intruder(client: Client, scene: Scene) -> Client:
    """The same five-tuple in the hands of another user, whose credentials are right."""
    other = Client(client.link, scene.other())
    other.learn(client.ask(Method.REFRESH))
    return other


WRONG_USER: dict[str, tuple[Method, Callable[[Scene], list[Value]]]] = {
    "refresh": (Method.REFRESH, lambda _: [lifetime(0)]),
    "create_permission": (Method.CREATE_PERMISSION, lambda scene: [(Code.XOR_PEER_ADDRESS, (scene.peer_host, 9))]),
    "channel_bind": (
        Method.CHANNEL_BIND,
        lambda scene: [(Code.CHANNEL_NUMBER, b"\x40\0\0\0"), (Code.XOR_PEER_ADDRESS, (scene.peer_host, 9))],
    ),
}


def wrong_user_is_441(method: Method, values: Callable[[Scene], list[Value]], scene: Scene) -> None:
    """RFC 8656, section 5: "then the request MUST be rejected with a 441 (Wrong Credentials) error"."""
    client = scene.allocated()
    expect_error(intruder(client, scene).request(method, values(scene)), 441)
    expect(client.request(Method.REFRESH).is_success, "the owner's allocation is gone")


for _name, (_method, _wanted) in WRONG_USER.items():
    _clause = Clause(8656, "5", MUST, f"{_name.replace('_', ' ')} by another user on the five-tuple gets 441", 27)
    add(f"{_name}_by_another_user_is_441", _clause, partial(wrong_user_is_441, _method, _wanted))


@check(8656, "7.2", MUST, "Allocate by another user on a five-tuple in use gets 437", line=27)
def allocate_by_another_user_is_437(scene: Scene) -> None:
    """Section 5 excepts Allocate from 441; section 7.2, check 2: the 5-tuple is in use, so 437."""
    client = scene.allocated()
    expect_error(intruder(client, scene).request(Method.ALLOCATE, [UDP]), 437)
    expect(client.request(Method.REFRESH).is_success, "the owner's allocation is gone")


@check(8656, "5", MUST, "indications are never authenticated", line=28)
def indications_need_no_credentials(scene: Scene) -> None:
    """Section 5: "indications in TURN are never authenticated"; a Send without integrity is relayed."""
    client, far = scene.allocated(), scene.peer()
    client.permit(far.address)
    client.send_data(far.address, b"unsigned")
    far.receive(b"unsigned")


# Redirection


def redirected(scene: Scene) -> tuple[Client, Message]:
    """The answer to an Allocate of a server that redirects."""
    if scene.target.redirecting is None:
        raise SkippedError("no server that redirects was named")
    client = scene.client(server=scene.target.redirecting)
    first = client.ask(Method.ALLOCATE, [UDP])
    if first.error != 401:
        return client, first
    client.learn(first)
    return client, client.request(Method.ALLOCATE, [UDP])


@check(8489, "10", MUST, "300 names an alternate server of the client's address family", line=37)
def redirection_names_a_server(scene: Scene) -> None:
    """Section 10: an ALTERNATE-SERVER "of the same address family as the source IP address of the request"."""
    _, answer = redirected(scene)
    value = expect_error(answer, 300).get(Code.ALTERNATE_SERVER)
    expect(value is not None and len(value) == 8 and value[1] == 1, "no ALTERNATE-SERVER with an IPv4 address")


@check(8489, "14.8", MUST, "300 is signed", line=37)
def redirection_is_signed(scene: Scene) -> None:
    """Section 14.8: it "MUST be protected with the MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 attribute"."""
    client, answer = redirected(scene)
    expect(expect_error(answer, 300).signed(client.key), "no MESSAGE-INTEGRITY that holds")


@check(8489, "14.8", MUST, "300 is never sent to who has not proved a user name", line=37)
def strangers_are_not_redirected(scene: Scene) -> None:
    """Section 14.8: only if the request had "a valid MESSAGE-INTEGRITY"; "otherwise, it MUST NOT be sent"."""
    if scene.target.redirecting is None:
        raise SkippedError("no server that redirects was named")
    scene.client(server=scene.target.redirecting).challenge()
