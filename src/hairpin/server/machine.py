"""What this machine lets a process have: processors and descriptors."""

import math
import os
import resource
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def usable_processors(cpu_max: Path = CPU_MAX) -> int:
    """As many as the affinity mask and the cgroup's share allow, at least one."""
    affinity = len(os.sched_getaffinity(0))
    try:
        quota, period = cpu_max.read_text().split()
        return max(1, min(affinity, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or "max"
        return affinity


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
