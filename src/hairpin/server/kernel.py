"""What the kernel threw away because a socket's buffer was full: the last column of /proc/self/net/udp and udp6."""

import asyncio
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from hairpin.api import KernelDrops
from hairpin.stun import Address

TABLES = (Path("/proc/self/net/udp"), Path("/proc/self/net/udp6"))


@dataclass(frozen=True, slots=True)
class Loss:
    """A socket that has lost datagrams: where it is bound, its inode, and how many."""

    bound: Address
    inode: int
    drops: int


class Kernel:
    """Adds up what was lost. A relay's socket takes its figure along when it closes: the last one seen is kept."""

    def __init__(self, tables: Iterable[Path] = TABLES) -> None:
        """Nothing was looked at yet."""
        self._tables = tuple(tables)
        self._relays: dict[int, int] = {}  # by inode: the sockets that lost something and are still there
        self._closed = 0

    async def drops(self, listeners: Iterable[Address], is_relay: Callable[[Address], bool]) -> KernelDrops | None:
        """What was lost; the tables are read aside, for they have a line for each socket of this machine."""
        try:
            losses = await asyncio.to_thread(self._losses)
        except OSError:
            return None  # /proc is not there, or does not show this
        by_listener = dict.fromkeys(listeners, 0)
        relays = {}
        for loss in losses:
            if loss.bound in by_listener:
                by_listener[loss.bound] += loss.drops
            elif is_relay(loss.bound):
                relays[loss.inode] = loss.drops
        self._closed += sum(drops for inode, drops in self._relays.items() if relays.get(inode, 0) < drops)
        self._relays = relays
        return KernelDrops(by_listener, self._closed + sum(relays.values()))

    def _losses(self) -> list[Loss]:
        lines = (line for table in self._tables for line in table.read_bytes().splitlines()[1:])
        return [loss(line) for line in lines if not line.rstrip().endswith(b" 0")]


def loss(line: bytes) -> Loss:
    """What a line says: sl local remote st queues timer retransmits uid timeout inode references pointer drops."""
    columns = line.split()
    address, port = columns[1].decode().split(":")
    return Loss(Address(_ip(address), int(port, 16)), int(columns[-4]), int(columns[-1]))


def _ip(digits: str) -> str:
    """Words of 32 bits, each as this machine reads a number."""
    words = (int(digits[at : at + 8], 16) for at in range(0, len(digits), 8))
    return str(ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words)))
