"""How many cores this process may use: fewer than the machine has, where it is bound to some or has a cgroup's quota.

`os.cpu_count()` counts the machine's; `os.process_cpu_count()` needs Python 3.13 and knows no quota.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def available_cores() -> int:
    """Returns how many cores this process may use, at least 1; part of a core counts as one."""
    quota = cgroup_quota()
    cores = len(core_numbers())
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def core_numbers() -> list[int]:
    """Returns the numbers of the cores that this process may run on; macOS and Windows tell only how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cgroup_quota(root: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> float | None:
    """Returns how many cores' time the process's cgroup and those above it allow (v1 and v2); None for no limit."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # no Linux
        return None
    quotas = [_quota(folder) for line in lines for folder in _folders(root, line)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _folders(root: Path, line: str) -> Iterator[Path]:
    """Yields the folders of a line of /proc/self/cgroup, up to the root: a container may see only the last ones."""
    _, controllers, path = line.split(":", 2)
    if controllers and "cpu" not in controllers.split(","):
        return
    tops = [root / controllers, root / "cpu"] if controllers else [root, root / "unified"]
    below = PurePosixPath(path.lstrip("/"))
    for top in tops:
        yield from (top / part for part in (below, *below.parents))


def _quota(folder: Path) -> float | None:
    """Returns the quota in a cgroup's files; None where it has none, or is not seen from here."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except (OSError, ValueError):  # "max" is no limit
        return None
