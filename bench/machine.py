"""Where this is measured."""

import os
import platform
from pathlib import Path


def machine() -> dict[str, str]:
    """Processor, cores, memory, kernel and distribution, in words."""
    cpu = _field(Path("/proc/cpuinfo"), "model name") or platform.machine()
    guest = ", a virtual machine" if "hypervisor" in _field(Path("/proc/cpuinfo"), "flags").split() else ""
    memory = int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) / 2**20
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return {
        "cpu": f"{len(os.sched_getaffinity(0))} cores of {cpu}{guest}, {memory:.0f} GiB",
        "system": f"Linux {platform.release()}, {release}",
    }


def _field(file: Path, name: str) -> str:
    """The first `name : value` of a file in /proc."""
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
