"""How much memory this process may use: the machine's, or what its control group or `ulimit -v` leaves of it."""

import contextlib
from pathlib import Path

import psutil

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Of version 2 and version 1, as a process in a container sees its own."""


def memory_limit_bytes() -> int:
    """Returns the smallest of the machine's memory, the control group's limit and the limit of the address space."""
    limits = [psutil.virtual_memory().total]
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # none of this version, or "max"
            limits.append(int(Path(path).read_text(encoding="ascii")))
    with contextlib.suppress(ImportError):  # Windows
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    return min(limits)
