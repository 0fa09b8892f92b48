"""How much memory there is for this process, and a limit to what it may take."""

import contextlib
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_LIMIT_FILES = ("memory.max", "memory.limit_in_bytes", "memory/memory.limit_in_bytes")


def memory_bytes() -> int:
    """Returns the machine's memory, or what the process's container may have of it."""
    limits = [psutil.virtual_memory().total]
    for folder in _own_cgroups():
        for name in _LIMIT_FILES:
            with contextlib.suppress(OSError, ValueError):  # "max" is no number
                limits.append(int((folder / name).read_text()))
    return min(limits)


def limit_memory(most_bytes: int) -> None:
    """Has the process fail where it takes more: a few kilobytes can describe a network that asks for all there is.

    Counts what it can write to, not the addresses that TensorFlow reserves generously. A lower limit stays.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    present, hard = resource.getrlimit(resource.RLIMIT_DATA)
    lowest = min(limit for limit in (present, hard, most_bytes) if limit != resource.RLIM_INFINITY)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses such limits
        resource.setrlimit(resource.RLIMIT_DATA, (lowest, hard))


def _own_cgroups() -> list[Path]:
    """Returns the folder of the process's control group, and those above it."""
    try:
        path = Path("/proc/self/cgroup").read_text().splitlines()[-1].split(":", 2)[2].lstrip("/")
    except (OSError, IndexError):
        path = ""
    folder = _CGROUPS / path
    return [one for one in (folder, *folder.parents) if one.is_relative_to(_CGROUPS)]
