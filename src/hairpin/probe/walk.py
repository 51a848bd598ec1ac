"""The steps, in their order, and what each of them needs: those behind a failure are skipped because of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from hairpin.probe import figures, login, reach, relay
from hairpin.probe.scene import Scene
from hairpin.probe.steps import Finding, Step, Verdict, failed
from hairpin.stun import Transport
from hairpin.turnclient import ArgumentError, Credentials, Target
from hairpin.turnclient.failure import plain

SECONDS = 30.0  # for a step, in which a silent server has been given up several times


@dataclass(frozen=True, slots=True)
class Check:
    """A step that can be taken; it is skipped where one of those that it `needs`, by their keys, could not be."""

    key: str
    title: str
    run: Callable[[Scene], Awaitable[Finding]]
    needs: tuple[str, ...] = ()
    is_for: Callable[[Target], bool] = lambda _: True


def _over_udp(target: Target) -> bool:
    return target.transport == Transport.UDP


def _over_tcp(target: Target) -> bool:
    return target.transport == Transport.TCP


def _of_turn(target: Target) -> bool:
    return target.turn


def _secure(target: Target) -> bool:
    return target.secure


WAY = ("udp", "tcp", "tls")
ALL = (
    Check("dns", "DNS", reach.dns),
    Check("udp", "UDP", reach.udp, ("dns",), _over_udp),
    Check("tcp", "TCP", reach.tcp, ("dns",), _over_tcp),
    Check("tls", "TLS", reach.tls, ("tcp",), _secure),
    Check("binding", "STUN Binding", login.binding, WAY),
    Check("challenge", "401", login.challenge, WAY, _of_turn),
    Check("credentials", "Credentials", login.credentials, ("challenge",), _of_turn),
    Check("allocation", "Allocation", login.allocation, ("credentials",), _of_turn),
    Check("permission", "Permission", relay.permission, ("allocation",), _of_turn),
    Check("data", "Data both ways", relay.data, ("permission",), _of_turn),
    Check("mtu", "MTU", relay.mtu, ("data",), _of_turn),
    Check("rtt", "Round-trip time", figures.rtt, ("binding",)),
    Check("amplification", "Amplification", figures.amplification, ("binding",)),
)
"""What `hairpin probe` does."""

WAY_IN = tuple(check for check in ALL if check.key not in ("dns", "binding", "mtu", "rtt", "amplification"))
"""What shows that a server whose address is known lets a user in and relays."""


async def probe(target: Target, credentials: Credentials | None, tell: Callable[[Step], None]) -> list[Step]:
    """Take all steps that such a target has; each is told when it is done. ArgumentError for what cannot be probed."""
    if target.secure and target.transport == Transport.UDP:
        raise ArgumentError(f"{target}: DTLS is not probed; write turns: with transport=tcp for TLS, or turn: for UDP")
    async with Scene(target, credentials) as scene:
        return await walk(scene, ALL, tell)


async def walk(scene: Scene, checks: Iterable[Check], tell: Callable[[Step], None] = lambda _: None) -> list[Step]:
    """Take those steps that are for the scene's target."""
    taken: dict[str, Step] = {}
    barred: dict[str, str] = {}  # the step because of which each of these may not be built upon
    for check in checks:
        if not check.is_for(scene.target):
            continue
        cause = next((barred[key] for key in check.needs if key in barred), None)
        step, passable = await _take(check, scene, cause)
        if not passable:
            barred[check.key] = cause or check.key
        taken[check.key] = step
        tell(step)
    return list(taken.values())


async def _take(check: Check, scene: Scene, cause: str | None) -> tuple[Step, bool]:
    """The step, and whether others may build upon it."""
    if cause is not None:
        title = next(one.title for one in ALL if one.key == cause)
        return Step(check.key, check.title, Verdict.SKIPPED, f"Needs {title}.", {}, cause), False
    try:
        async with asyncio.timeout(SECONDS):
            found = await check.run(scene)
    except TimeoutError:
        found = failed(f"Not done within {SECONDS:g} s.")
    except OSError as error:
        found = failed(f"This machine cannot do it: {plain(error.strerror or str(error))}.")
    return Step(check.key, check.title, found.verdict, found.says, found.facts), found.passable
