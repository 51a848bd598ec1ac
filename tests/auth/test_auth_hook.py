"""The password hook: what counts as a password, and how much may wait for it. Time and answers are the test's."""

import asyncio
from collections.abc import Mapping

import pytest

from hairpin.auth import Answer, Asker, Credentials, PasswordHook, Reason, Refusal
from hairpin.auth.hook import (
    ABSENT,
    ABSENT_NAMES,
    ABSENT_SECONDS,
    BUSY,
    IN_FLIGHT,
    IN_FLIGHT_PER_SOURCE,
    NO_PASSWORD,
    STILL_ABSENT,
    WAITING,
    WAITING_PER_SOURCE,
)
from hairpin.stun import Address, Transport

INTERFACE = Address("192.0.2.1", 3478)


class World:
    """A hook's other side: requests that wait for the test's answer, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.answers: list[asyncio.Future[tuple[int, bytes]]] = []
        self.hook = PasswordHook(self._fetch, "realm", lambda: self.now)

    async def _fetch(self, path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        self.requests.append((path, params))
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer

    def ask(self, name: str, source: str = "198.51.100.1") -> "asyncio.Future[Answer]":
        """Ask for a name; the look-up is on its way or waits."""
        found = self.hook.find(name, Asker(Address(source, 4000), INTERFACE, Transport.TCP))
        assert isinstance(found, asyncio.Future)
        return found

    def refused(self, name: str, source: str = "198.51.100.1") -> Refusal:
        """Ask for a name that is refused at once."""
        found = self.hook.find(name, Asker(Address(source, 4000), INTERFACE, Transport.TCP))
        assert isinstance(found, Refusal)
        return found


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def one(status: int, body: bytes) -> Answer:
    """What the hook makes of an answer."""
    world = World()
    waiting = world.ask("bob")
    await settle()
    world.answers[0].set_result((status, body))
    return await waiting


def source(number: int) -> str:
    """One of many sources."""
    return f"10.0.{number // 256}.{number % 256}"


@pytest.mark.parametrize(
    ("body", "password"),
    [(b"pass", "pass"), (b"pass\n", "pass"), (b"pass\r\n", "pass"), (b" p ", " p "), ("pä".encode(), "pä")],
)
async def test_a_200_with_a_body_is_a_password(body: bytes, password: str) -> None:
    """One newline at its end is no part of it."""
    found = await one(200, body)
    assert isinstance(found, Credentials)
    assert found.candidates[0].password == password
    assert found.candidates[0].user == "bob"


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n", b"p\n\n", b"\xff", b"a\x00b"])
async def test_a_200_without_a_password_lets_nobody_in(body: bytes) -> None:
    """Empty bodies above all: the empty password would be known to everybody."""
    assert await one(200, body) == NO_PASSWORD


@pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 401, 403, 500, 503])
async def test_any_other_status_lets_nobody_in(status: int) -> None:
    """Also with a body that looks like a password."""
    assert await one(status, b"pass") == Refusal(Reason.HOOK_STATUS, f"the hook answered {status}")


async def test_what_the_hook_is_told() -> None:
    """The client, the interface, the transport in letters, and the name as it came."""
    world = World()
    world.ask("a&b=c#d ü")
    await settle()
    query = {"address": "198.51.100.1:4000", "interface": "192.0.2.1:3478", "transport": "tcp", "username": "a&b=c#d ü"}
    assert world.requests == [("/password", query)]
    await world.hook.close()


async def test_no_answer_is_a_refusal_that_says_why() -> None:
    """A failure is not remembered: the next client asks again."""
    world = World()
    waiting = world.ask("bob")
    await settle()
    world.answers[0].set_exception(TimeoutError("no answer in 5 s"))
    assert await waiting == Refusal(Reason.HOOK_TIMEOUT, "the hook failed: no answer in 5 s")
    again = world.ask("bob")
    await settle()
    world.answers[1].set_result((200, b"pass"))
    assert isinstance(await again, Credentials)


async def test_whatever_goes_wrong_is_a_refusal() -> None:
    """Also an error that nobody thought of; the next look-up is served."""
    world = World()
    waiting = world.ask("bob")
    await settle()
    world.answers[0].set_exception(RuntimeError("out of luck"))
    assert await waiting == Refusal(Reason.HOOK_FAILED, "the hook failed: RuntimeError: out of luck")
    again = world.ask("bob")
    await settle()
    world.answers[1].set_result((200, b"pass"))
    assert isinstance(await again, Credentials)


async def test_a_404_is_remembered_for_a_while() -> None:
    """Five seconds; then the hook is asked again."""
    world = World()
    waiting = world.ask("bob")
    await settle()
    world.answers[0].set_result((404, b""))
    assert await waiting == ABSENT
    world.now = ABSENT_SECONDS - 0.001
    assert world.refused("bob") == STILL_ABSENT
    assert not STILL_ABSENT.silent
    world.now = ABSENT_SECONDS
    world.ask("bob")
    await settle()
    assert len(world.requests) == 2
    await world.hook.close()


async def test_remembered_names_are_bounded() -> None:
    """The one remembered first is forgotten first."""
    world = World()
    for number in range(ABSENT_NAMES + 1):
        waiting = world.ask(str(number))
        await settle()
        world.answers[-1].set_result((404, b""))
        await waiting
    world.refused("1")
    world.ask("0")
    await world.hook.close()


async def test_clients_of_one_user_share_a_request() -> None:
    """All of them get its answer, also when the first one went away."""
    world = World()
    first, *others = (world.ask("bob", source(number)) for number in range(20))
    await settle()
    first.cancel()
    assert len(world.requests) == 1
    world.answers[0].set_result((200, b"pass"))
    assert all(isinstance(found, Credentials) for found in await asyncio.gather(*others))


async def test_a_slow_look_up_holds_up_nobody_else() -> None:
    """Another user's answer comes through meanwhile."""
    world = World()
    slow, quick = world.ask("slow"), world.ask("quick")
    await settle()
    world.answers[1].set_result((200, b"pass"))
    assert isinstance(await quick, Credentials)
    assert not slow.done()
    await world.hook.close()


async def test_so_many_requests_are_in_flight_and_no_more() -> None:
    """An answer makes place for the next in line."""
    world = World()
    for number in range(IN_FLIGHT + 2):
        world.ask(f"user{number}", source(number))
    await settle()
    assert len(world.requests) == IN_FLIGHT
    world.answers[0].set_result((200, b"pass"))
    await settle()
    assert [params["username"] for _, params in world.requests[IN_FLIGHT:]] == [f"user{IN_FLIGHT}"]
    await world.hook.close()


async def test_one_source_with_many_names_leaves_room_for_others() -> None:
    """It has a few places in flight; another source's look-up goes off at once, past those that wait."""
    world = World()
    for number in range(WAITING_PER_SOURCE):
        world.ask(f"random{number}")
    assert world.refused("one more").silent
    world.ask("honest", "203.0.113.9")
    await settle()
    assert len(world.requests) == IN_FLIGHT_PER_SOURCE + 1
    assert world.requests[-1][1]["username"] == "honest"
    assert world.hook.dropped == 1
    await world.hook.close()


async def test_above_all_waiting_clients_are_dropped_and_counted() -> None:
    """Dropped is no answer: the client tries again. Those that leave make place."""
    world = World()
    waiting = [world.ask(f"user{number % 100}", source(number)) for number in range(WAITING)]
    assert world.refused("late", "203.0.113.9") == BUSY
    assert BUSY.silent
    assert world.hook.dropped == 1
    waiting[0].cancel()
    await settle()
    world.ask("late", "203.0.113.9")
    await world.hook.close()


async def test_close_refuses_all_that_wait() -> None:
    """In flight or in line, nobody waits for ever; and nothing is sent afterwards."""
    world = World()
    waiting = [world.ask(f"user{number}", source(number)) for number in range(IN_FLIGHT + 5)]
    await settle()
    await world.hook.close()
    answers = await asyncio.gather(*waiting)
    assert all(isinstance(answer, Refusal) and answer.silent for answer in answers)
    assert len(world.requests) == IN_FLIGHT
