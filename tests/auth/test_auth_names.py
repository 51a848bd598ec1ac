"""Who decides about a user name, and what static users and shared secrets make of it."""

from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile

from hairpin.auth import (
    Asker,
    Authenticator,
    Credentials,
    Entrance,
    PasswordHook,
    Reason,
    Refusal,
    SharedSecrets,
    StaticUsers,
    ice_servers,
    long_term_key,
    mint,
    opaque_string,
)
from hairpin.auth.authenticator import UNKNOWN
from hairpin.auth.secret import OTHER_FORM, SWAPPED
from hairpin.stun import Address, Attribute, Kind, Message, Method, Transport

ASKED = Refusal(Reason.HOOK_FAILED, "asked")
NOW = 1_500_000_000
ASKER = Asker(Address("192.0.2.7", 5000), Address("192.0.2.1", 3478), Transport.UDP)


class Hook(PasswordHook):
    """A hook that only says it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, username: str, asker: Asker) -> Refusal:
        """Note the name."""
        self.asked.append(username)
        return ASKED


class Signed:
    """A message that was signed with a key."""

    def __init__(self, key: bytes, algorithm: int | None = None, realm: str = "realm") -> None:
        self._key, self.password_algorithm, self.realm = key, algorithm, realm

    def verify(self, key: bytes) -> bool:
        """Whether it is that key."""
        return key == self._key


def asked(name: str, method: Method) -> Message:
    """A request in that name."""
    return Message.build(method, Kind.REQUEST, bytes(12), [(Attribute.USERNAME, name)])


def authenticator(hook: PasswordHook | None = None, *, secrets: tuple[str, ...] = ("north",)) -> Authenticator:
    """Two static users, the secrets, perhaps a hook."""
    static = StaticUsers({"alice": "pass", f"{NOW}:static": "pass"}, "realm")
    return Authenticator(static, SharedSecrets(secrets, "realm", lambda: NOW), hook)


def test_the_key_is_that_of_the_rfc() -> None:
    """MD5 of user:realm:pass is the example of RFC 8489, section 9.2.2."""
    assert long_term_key("user", "realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"


def test_a_password_is_an_opaque_string() -> None:
    """Other spaces become spaces and the text is composed (RFC 8265, section 4.2)."""
    assert opaque_string("a\u00a0u\u0308\u3000z") == "a \u00fc z"


@pytest.mark.parametrize("password", ["", "a\nb", "a\x00", "\x7f", "a\tb"])
def test_what_may_be_no_password_is_refused_without_being_quoted(password: str) -> None:
    """Empty ones and control characters."""
    with pytest.raises(ValueError, match="is no password") as caught:
        opaque_string(password)
    assert not password or password not in str(caught.value)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_printable_ascii_is_a_password_as_it_is(password: str) -> None:
    """The short way round the profile says the same as the profile."""
    assert opaque_string(password) == password == get_profile("OpaqueString").enforce(password)


def test_a_static_user_is_found_for_any_method() -> None:
    """At once, with the password for the API and the name for quotas."""
    found = authenticator().find(asked("alice", Method.REFRESH), ASKER)
    assert isinstance(found, Credentials)
    (identity,) = found.candidates
    assert (identity.username, identity.user, identity.password) == ("alice", "alice", "pass")
    assert identity.key == md5(b"alice:realm:pass").digest()


def test_a_static_name_that_looks_like_a_secret_one_is_static() -> None:
    """The table comes first."""
    found = authenticator().find(asked(f"{NOW}:static", Method.ALLOCATE), ASKER)
    assert isinstance(found, Credentials)
    assert found.candidates[0].password == "pass"


def test_mint_makes_the_password_that_others_make() -> None:
    """As `openssl dgst -sha1 -hmac north -binary | base64` does."""
    assert mint("north", "alice", 0, NOW + 0.9) == ("1500000000:alice", "ikGPTf74g9xA5TF6FoZuK33i3nw=")


@pytest.mark.parametrize(("user", "counted"), [("bob", "bob"), ("a:b", "a:b"), ("", None)])
def test_minted_credentials_are_accepted(user: str, counted: str | None) -> None:
    """The quota counts what stands after the first colon, else the whole name."""
    username, password = mint("north", user, 60, NOW)
    found = authenticator().find(asked(username, Method.ALLOCATE), ASKER)
    assert isinstance(found, Credentials)
    (identity,) = found.candidates
    assert identity.password == password
    assert identity.user == (counted or username)


@given(st.text(max_size=100), st.integers(1, 2**31))
def test_any_minted_name_belongs_to_the_secret(user: str, ttl: int) -> None:
    """No name that `mint` makes is asked of a hook."""
    hook = Hook()
    username, _ = mint("north", user, ttl, NOW)
    assert isinstance(authenticator(hook).find(asked(username, Method.ALLOCATE), ASKER), Credentials)
    assert not hook.asked


def test_an_expired_credential_cannot_allocate_but_keeps_what_it_has() -> None:
    """Expiry counts for Allocate only."""
    expired = f"{NOW - 312}:bob"
    assert authenticator().find(asked(expired, Method.ALLOCATE), ASKER) == Refusal(Reason.EXPIRED, "expired 312 s ago")
    assert isinstance(authenticator().find(asked(expired, Method.REFRESH), ASKER), Credentials)
    assert isinstance(authenticator().find(asked(f"{NOW}:bob", Method.ALLOCATE), ASKER), Credentials)


def test_each_secret_of_a_rotation_is_accepted() -> None:
    """The message decides which one it was; a third one proves nobody."""
    found = authenticator(secrets=("new", "old")).find(asked(f"{NOW}:bob", Method.ALLOCATE), ASKER)
    assert isinstance(found, Credentials)
    for secret in ("new", "old"):
        _, password = mint(secret, "bob", 0, NOW)
        proved = found.prove(Signed(long_term_key(f"{NOW}:bob", "realm", password)))
        assert proved is not None
        assert proved.password == password
    assert found.prove(Signed(b"other")) is None


@pytest.mark.parametrize("name", ["bob", "12x:bob", ":bob", "", "-1:bob", " 1:bob", "١٢:bob", "1\n:bob"])
def test_other_names_are_asked_of_the_hook(name: str) -> None:
    """A name of the secret's form is ASCII digits, then a colon or nothing."""
    hook = Hook()
    assert authenticator(hook).find(asked(name, Method.ALLOCATE), ASKER) == ASKED
    assert hook.asked == [name]


def test_the_first_that_knows_the_name_decides() -> None:
    """An expired credential does not fall through to the hook, nor does a static user."""
    hook = Hook()
    authenticator(hook).find(asked("1:bob", Method.ALLOCATE), ASKER)
    authenticator(hook).find(asked("alice", Method.ALLOCATE), ASKER)
    assert hook.asked == []


def test_without_a_secret_digits_are_asked_of_the_hook() -> None:
    """The form of a name means something only when a secret is set."""
    hook = Hook()
    authenticator(hook, secrets=()).find(asked(f"{NOW}:bob", Method.ALLOCATE), ASKER)
    assert hook.asked == [f"{NOW}:bob"]


def test_the_hook_is_asked_for_allocate_only() -> None:
    """Other methods of an unknown name are refused at once."""
    hook = Hook()
    assert isinstance(authenticator(hook).find(asked("bob", Method.CREATE_PERMISSION), ASKER), Refusal)
    assert hook.asked == []


def test_an_unknown_name_without_a_hook_is_refused() -> None:
    """Nobody falls into an open door."""
    assert authenticator(secrets=()).find(asked("bob", Method.ALLOCATE), ASKER) == UNKNOWN
    assert authenticator().find(asked("bob", Method.ALLOCATE), ASKER) == OTHER_FORM


@pytest.mark.parametrize(("name", "swapped"), [(f"bob:{NOW}", True), (f"a:b:{NOW}", True), ("bob:17", False)])
def test_name_and_expiry_that_are_swapped_are_recognized(name: str, swapped: bool) -> None:
    """A number after the last colon that can be Unix seconds; a hook may know such a name, and is asked."""
    assert authenticator().find(asked(name, Method.ALLOCATE), ASKER) == (SWAPPED if swapped else OTHER_FORM)
    assert authenticator(Hook()).find(asked(name, Method.ALLOCATE), ASKER) == ASKED
    assert authenticator(secrets=()).find(asked(name, Method.ALLOCATE), ASKER) == UNKNOWN


@pytest.mark.parametrize("name", ["alice", f"{NOW}:bob"])
def test_who_knows_the_name_says_which_password_it_is_not(name: str) -> None:
    """The one of the settings, or the one that is made with a secret."""
    found = authenticator().find(asked(name, Method.ALLOCATE), ASKER)
    assert isinstance(found, Credentials)
    assert found.mismatch.reason is Reason.WRONG_PASSWORD
    assert ("auth.static_credentials" if name == "alice" else "auth.static_auth_secret") in found.mismatch.detail


def test_ice_servers_are_what_a_browser_takes() -> None:
    """One entry, a URL for each way in, each once; `turns` where TLS runs (RFC 7065)."""
    entrances = [
        Entrance(Transport.UDP, "192.0.2.1:3478", secure=False),
        Entrance(Transport.TCP, "[2001:db8::1]:3478", secure=False),
        Entrance(Transport.UDP, "192.0.2.1:3478", secure=False),
        Entrance(Transport.TCP, "turn.example.org:5349", secure=True),
    ]
    assert ice_servers(entrances, "u", "p") == {
        "iceServers": [
            {
                "urls": [
                    "turn:192.0.2.1:3478?transport=udp",
                    "turn:[2001:db8::1]:3478?transport=tcp",
                    "turns:turn.example.org:5349?transport=tcp",
                ],
                "username": "u",
                "credential": "p",
            }
        ]
    }


def test_sources_are_addresses_or_networks_of_64() -> None:
    """What one customer of a provider has counts as one source."""
    six = Asker(Address("2001:db8:0:1:2:3:4:5", 1), ASKER.interface, Transport.UDP)
    assert six.source == "2001:db8:0:1::/64"
    assert ASKER.source == "192.0.2.7"
