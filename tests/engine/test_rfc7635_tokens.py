"""RFC 7635: clients that a third party authorizes, from the 401 to the end of their token."""

import os
import struct

import pytest

import client as codec
from client import build
from driving import ALLOCATE, REALM, SECOND, SERVER_NAME, Caller, World
from hairpin.turn.state import Session
from sealing import seal

KEYS = {"north": bytes(range(32)), "south": bytes(range(16))}


class Holder(Caller):
    """A client with a token, which it shows with Allocate and Refresh, as coturn's does."""

    def __init__(self, world: World, number: int = 1, kid: str = "north", lifetime: int = 3600) -> None:
        super().__init__(world, number, user=kid)
        self.renew(kid, lifetime)

    def renew(self, kid: str = "north", lifetime: int = 3600) -> None:
        """Get a token, and the key in it."""
        self.user, self.key = kid, os.urandom(20)
        self.token = seal(KEYS[kid], SERVER_NAME, self.key, self.world.seconds(), lifetime)

    def show(self, method: int, *more: tuple[int, bytes], token: bytes | None = None) -> codec.Answer:
        """A request with the token: the answer."""
        attributes = [*more, (codec.ACCESS_TOKEN, self.token if token is None else token)]
        return self.exchange(self.sign(method, attributes))

    @property
    def session(self) -> Session:
        """Its session."""
        return self.world.rules.sessions[self.flow]


def lifetime(answer: codec.Answer) -> int:
    """LIFETIME of a success."""
    assert answer.error == 0
    return int.from_bytes(answer.get(codec.LIFETIME) or b"", "big")


def test_rfc7635_6_1_a_401_and_a_438_say_what_tokens_are_made_for() -> None:
    """The server's name in THIRD-PARTY-AUTHORIZATION, where tokens are taken."""
    caller = Caller(World(token_keys=KEYS))
    stale = [(codec.USERNAME, b"x"), (codec.REALM, REALM.encode()), (codec.NONCE, b"stale")]
    for message in (build(codec.ALLOCATE, bytes(12), []), build(codec.ALLOCATE, bytes(12), stale, b"key")):
        assert caller.exchange(message).get(codec.THIRD_PARTY_AUTHORIZATION) == SERVER_NAME.encode()
    caller = Caller(World())
    assert caller.exchange(build(codec.ALLOCATE, bytes(12), [])).get(codec.THIRD_PARTY_AUTHORIZATION) is None


@pytest.mark.parametrize("kid", KEYS)
def test_rfc7635_7_who_holds_a_token_is_let_in(kid: str) -> None:
    """Signed with the key inside, both ways; the packet path verifies what comes without the token."""
    holder = Holder(World(token_keys=KEYS), kid=kid)
    answer = holder.show(codec.ALLOCATE, *ALLOCATE)
    assert (answer.error, answer.signed(holder.key)) == (0, True)
    holder.raw(holder.sign(codec.REFRESH, []))
    (request,) = holder.world.table.drain(10)
    assert request.verified
    assert holder.bind() == 0


def test_the_first_16_bytes_of_the_key_let_in_too() -> None:
    """With these coturn's clients sign; the answer is signed with them."""
    holder = Holder(World(token_keys=KEYS))
    holder.key = holder.key[:16]
    answer = holder.show(codec.ALLOCATE, *ALLOCATE)
    assert (answer.error, answer.signed(holder.key), holder.bind()) == (0, True, 0)


def test_rfc7635_7_whose_token_is_no_good_gets_401() -> None:
    """Another key's name, another server's token, a changed or an old one, another signature, none: nothing begins."""
    world = World(token_keys=KEYS, hooked=False)
    holder = Holder(world)
    foreign = seal(KEYS["north"], "elsewhere", holder.key, world.seconds(), 3600)
    old = seal(KEYS["north"], SERVER_NAME, holder.key, world.seconds() - 66, 60)
    for token in (foreign, old, holder.token[:-1], b""):
        assert holder.show(codec.ALLOCATE, *ALLOCATE, token=token).error == 401
    assert holder.allocate() == 401, "without a token"
    holder.user = "south"
    assert holder.show(codec.ALLOCATE, *ALLOCATE).error == 401
    holder.user, holder.key = "north", os.urandom(20)
    assert holder.show(codec.ALLOCATE, *ALLOCATE).error == 401
    assert world.is_empty()


def test_rfc7635_7_no_lifetime_is_longer_than_the_token() -> None:
    """An allocation ends with the token, unless a new one is shown in time."""
    world = World(token_keys=KEYS)
    holder = Holder(world, lifetime=900)
    hour = (codec.LIFETIME, struct.pack("!I", 3600))
    assert lifetime(holder.show(codec.ALLOCATE, *ALLOCATE, hour)) == 900
    world.table.now += 800 * SECOND
    assert lifetime(holder.exchange(holder.sign(codec.REFRESH, [hour]))) == 100
    holder.renew(lifetime=1200)
    assert lifetime(holder.show(codec.REFRESH, hour)) == 1200
    world.table.now += 1200 * SECOND
    world.engine.expire(world.table.now)
    assert world.is_empty()


def test_rfc7635_a_new_token_goes_on_with_the_session() -> None:
    """Of another key name too: a token says that one may, not who one is. Quotas count the session once."""
    world = World(token_keys=KEYS)
    holder = Holder(world)
    assert holder.show(codec.ALLOCATE, *ALLOCATE).error == 0
    flow, user, old = holder.flow, holder.session.identity.user, holder.key
    holder.renew("south")
    answer = holder.show(codec.REFRESH)
    assert (answer.error, answer.signed(holder.key)) == (0, True)
    assert (holder.flow, holder.session.identity.user, holder.session.identity.key) == (flow, user, holder.key)
    assert holder.bind() == 0, "the packet path has the new key"
    holder.key, new = old, holder.key
    assert holder.bind() == 401
    holder.key = new
    assert holder.refresh(0) == 0
    assert world.is_empty()


def test_rfc8656_5_a_token_is_another_user_than_one_with_a_password() -> None:
    """441, and 437 for Allocate, both ways."""
    world = World(token_keys=KEYS)
    holder, alice = Holder(world), Caller(world)
    assert alice.allocate() == 0
    assert (holder.show(codec.REFRESH).error, holder.show(codec.ALLOCATE, *ALLOCATE).error) == (441, 437)
    assert alice.refresh(0) == 0
    assert holder.show(codec.ALLOCATE, *ALLOCATE).error == 0
    assert (alice.refresh(), alice.allocate()) == (441, 437)


def test_rfc8489_6_3_1_where_tokens_are_not_taken_the_attribute_is_unknown() -> None:
    """420 for a user with a password; a token alone lets nobody in."""
    world = World(hooked=False)
    alice = Caller(world)
    answer = alice.exchange(alice.sign(codec.ALLOCATE, [*ALLOCATE, (codec.ACCESS_TOKEN, b"token")]))
    assert (answer.error, answer.get(codec.UNKNOWN_ATTRIBUTES)) == (420, struct.pack("!H", codec.ACCESS_TOKEN))
    assert Holder(world, 2).show(codec.ALLOCATE, *ALLOCATE).error == 401


def test_a_token_is_a_user_for_quotas() -> None:
    """So many allocations each, however many hold tokens of one key."""
    world = World(token_keys=KEYS, sessions_per_user=1)
    one, copy, other = Holder(world, 1), Holder(world, 2), Holder(world, 3)
    copy.token, copy.key = one.token, one.key
    assert [holder.show(codec.ALLOCATE, *ALLOCATE).error for holder in (one, copy, other)] == [0, 486, 0]
