"""What processes share on a machine: cores, memory and the disk; and the environment of their children.

Cores and memory are fewer than the machine has where a container or cgroup says so.
`os.cpu_count()` counts the machine's cores; `os.process_cpu_count()` needs Python 3.13 and knows no quota.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import filelock

PROJECT = Path(__file__).parents[1]

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_MEMORY_LIMITS = ("memory.max", "memory.limit_in_bytes")
"""Of the second and the first version of cgroups."""


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
    quotas = [_quota(folder) for folder in _folders("cpu", root, own)]
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_bytes(root: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """Returns the smallest of the machine's memory, the limits of the cgroups, and `ulimit -v`."""
    limits = [psutil.virtual_memory().total]
    for path in (folder / name for folder in _folders("memory", root, own) for name in _MEMORY_LIMITS):
        with contextlib.suppress(OSError, ValueError):  # there is none, or "max"
            limits.append(int(path.read_text()))
    with contextlib.suppress(ImportError):  # Windows
        import resource

        address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
        if address_space != resource.RLIM_INFINITY:
            limits.append(address_space)
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


def _folders(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """Yields the process's cgroups that have a controller, each up to the root: a container may see only the last."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        tops = [root / controllers, root / controller] if controllers else [root, root / "unified"]
        below = PurePosixPath(path.lstrip("/"))
        yield from (top / part for top in tops for part in (below, *below.parents))


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


def child_environment(environ: Mapping[str, str] = os.environ, **more: str) -> dict[str, str]:
    """Returns the environment of a process whose Python finds this project, whatever folder it works in."""
    folders = os.pathsep.join(filter(None, (str(PROJECT), environ.get("PYTHONPATH"))))
    return {**environ, "PYTHONPATH": folders, **more}


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders, and writes names through by itself
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_lock(path: Path, *, timeout_seconds: float = -1, poll_seconds: float = 0.05) -> "filelock.BaseFileLock":
    """Returns a lock between processes that ends with its holder, however that ends.

    Args:
        timeout_seconds: to wait for another holder before filelock.Timeout is raised; -1 waits for as long as it takes.

    Raises:
        OSError: when it is acquired, ENOSYS where the file system has no flock. The marker files that could stand in
            for it outlive a killed holder, and would then block everybody.
    """
    import filelock  # takes as long as all else that looks into a model file

    return filelock.FileLock(path, timeout=timeout_seconds, poll_interval=poll_seconds, fallback_to_soft=False)
