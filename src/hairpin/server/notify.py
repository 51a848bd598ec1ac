"""Tells systemd how the service does (sd_notify(3)): a datagram each time, to the socket that NOTIFY_SOCKET names."""

import asyncio
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Says nothing where nobody asked for it; what systemd does not take is lost, and the service goes on."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; this process is `pid`."""
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        timeout = environ.get("WATCHDOG_USEC", "")
        watched = path and timeout.isdecimal() and environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.beat_seconds = int(timeout) / 2e6 if watched else 0.0  # sd_watchdog_enabled(3): half of the time is good

    def ready(self) -> None:
        """It serves, or goes on to after a reload."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """It reads its settings again; `ready` ends that."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It drains or ends."""
        self._tell("STOPPING=1")

    def keep_alive(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say so again and again, as long as the loop turns."""
        if self.beat_seconds:
            self._tell("WATCHDOG=1")
            loop.call_later(self.beat_seconds, self.keep_alive, loop)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.setblocking(False)
            teller.sendto("\n".join(lines).encode(), self._address)
