"""The server tries its own front door: it enters each listener as two clients would that call each other.

They are a user that is made up at each start and marked `internal`, so that no limit, list, event or figure of usage
knows of them.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from hairpin.api import Probe
from hairpin.auth.keys import identity
from hairpin.config import Config
from hairpin.logging import Logger
from hairpin.probe import WAY_IN, Scene, Step, Verdict, walk
from hairpin.server.assembly import Listening
from hairpin.stun import Address, Transport
from hairpin.turn.grant import Identity
from hairpin.turnclient import Credentials, Target

LONGEST = 30.0  # seconds for a listener
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
UNKNOWN_CLIENT = b"PROXY UNKNOWN\r\n"  # the PROXY protocol's word for a connection that the proxy made for itself


def own_identity(realm: str) -> Identity:
    """The server as a user of itself, whom nobody else can know."""
    return replace(identity(secrets.token_urlsafe(16), secrets.token_urlsafe(24), realm), internal=True)


@dataclass(frozen=True, slots=True)
class Door:
    """A listener, and how this machine enters it: by the address that is bound, for an external one may be a NAT's."""

    interface: Address
    transport: str
    target: Target
    preface: bytes


def doors(config: Config, listening: Iterable[Listening]) -> list[Door]:
    """All but those of DTLS, which the probe does not speak."""
    interfaces = zip(config.turn.interfaces, listening, strict=True)
    return [
        _door(interface.transport, interface.proxy_from, listener)
        for interface, listener in interfaces
        if interface.transport != "dtls"
    ]


def _door(transport: str, proxies: Sequence[str], listener: Listening) -> Door:
    bound = listener.bound
    ip = LOOPBACK[bound.version] if ip_address(bound.ip).is_unspecified else bound.ip
    behind_proxy = any(ip_address(ip) in ip_network(network) for network in proxies)  # we come from where we go to
    target = Target(ip, bound.port, Transport(listener.transport), listener.secure)
    return Door(listener.external, transport, target, UNKNOWN_CLIENT if behind_proxy else b"")


@dataclass
class SelfProbe:
    """Tries `doors` as the user `own`; what was found at the last time is kept for the API, changes are logged.

    `end_all` ends the sessions of that user that are left. While it is `paused` what is met is the way to a stop.
    `wall` is the time in Unix seconds.
    """

    doors: Sequence[Door]
    own: Identity
    end_all: Callable[[], Awaitable[None]]
    paused: Callable[[], bool]
    wall: Callable[[], float]
    log: Logger
    found: list[Probe] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """Look now and every so many seconds."""
        while True:
            if not self.paused():
                await self.look()
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Try every listener once."""
        found = [await self._try(door) for door in self.doors]
        if not self.paused():
            self._tell(found)
            self.found = found

    async def _try(self, door: Door) -> Probe:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(LONGEST):
                problem = _problem(await self._walk(door))
        except TimeoutError:
            problem = f"not done within {LONGEST:g} s"
        except Exception as error:  # this try has not shown that it works; the next one may
            self.log.exception("the own probe broke", error=repr(error))
            problem = f"the probe itself broke: {type(error).__name__}"
        finally:
            await self.end_all()
        return Probe(door.interface, door.transport, problem, loop.time() - began, self.wall())

    async def _walk(self, door: Door) -> list[Step]:
        target, user = door.target, Credentials(self.own.username, self.own.password)
        places = [(target.host, target.port)]
        async with Scene(target, user, trusted=True, preface=door.preface, addresses=places) as scene:
            return await walk(scene, WAY_IN)

    def _tell(self, found: list[Probe]) -> None:
        """Log what has changed since the last time."""
        failing = {(one.interface, one.transport) for one in self.found if one.problem}
        for one in found:
            failed_before, where = (one.interface, one.transport) in failing, f"{one.transport} {one.interface}"
            if one.problem and not failed_before:
                self.log.error("the server fails its own probe", listener=where, problem=one.problem)
            elif failed_before and not one.problem:
                self.log.info("the server passes its own probe again", listener=where)


def _problem(steps: Iterable[Step]) -> str | None:
    """The first step that failed, and what it says."""
    return next((f"{step.title}: {step.says}" for step in steps if step.verdict is Verdict.FAILED), None)
