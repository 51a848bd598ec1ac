"""Where a public address is looked for: the machine's own, then a STUN server if one is named, else the cloud."""

import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from hairpin._core import host_addresses
from hairpin.whereabouts.metadata import METADATA, ask_clouds
from hairpin.whereabouts.stun_server import StunServer

ELSEWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}  # no datagram goes there: the kernel says from where it would


@dataclass(frozen=True, slots=True)
class Found:
    """An address, and in words where it was found."""

    ip: str
    how: str


class Unfound(Exception):  # noqa: N818 - no error where somebody asks again with more
    """No public address; in words, where it was looked for."""


async def find(
    bind: str, stun: StunServer | None, metadata: str = METADATA, own: Callable[[], Iterable[str]] = host_addresses
) -> Found:
    """The public address of sockets that are bound to this IP. Unfound says where it was looked for."""
    version = ip_address(bind).version
    mine = [bind] if not ip_address(bind).is_unspecified else [*_usual(version), *own()]
    for ip in mine:
        if ip_address(ip).version == version and ip_address(ip).is_global:
            return Found(ip, "an address of this machine")
    if stun is not None:
        return await _by_stun(bind, stun)
    if version == 4 and (answer := await ask_clouds(metadata)):
        return Found(answer[0], f"the metadata of {answer[1]}")
    clouds = ", and no metadata service of a cloud knows one" if version == 4 else ""
    has = "this machine has no public" if ip_address(bind).is_unspecified else f"{bind} is no public"
    raise Unfound(f"{has} IPv{version} address{clouds}")


async def _by_stun(bind: str, stun: StunServer) -> Found:
    try:
        ip = await stun.ask(bind, secrets.token_bytes)
    except OSError as error:
        raise Unfound(f"{stun} cannot be asked: {error.strerror or error}") from None
    if ip is None:
        raise Unfound(f"{stun} does not answer")
    return Found(ip, str(stun))


def _usual(version: int) -> list[str]:
    """The address that this machine sends from to far away, where it has a way there."""
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ELSEWHERE[version], 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]
