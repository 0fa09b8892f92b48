"""What processes share on a machine: cores, memory, the disk, and locks; and the environment of their children.

Cores and memory are fewer than the machine has where a container or cgroup says so.
`os.cpu_count()` counts the machine's cores; `os.process_cpu_count()` needs Python 3.13 and knows no quota.

Who works on a job holds a `flock` on a file in its folder. The kernel frees it when that process ends in any way, so no
heartbeats, process numbers or clocks have to be trusted. The file itself notes who holds it and what has gone wrong so
far; what it says is for people and for the next holder.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import filelock
import psutil
from pydantic import BaseModel, ValidationError

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


def file_lock(path: Path, *, timeout_seconds: float = -1, poll_seconds: float = 0.05) -> filelock.BaseFileLock:
    """Returns a lock between processes that ends with its holder, however that ends.

    Args:
        timeout_seconds: to wait for another holder before filelock.Timeout is raised; -1 waits for as long as it takes.

    Raises:
        OSError: when it is acquired, ENOSYS where the file system has no flock. The marker files that could stand in
            for it outlive a killed holder, and would then block everybody.
    """
    return filelock.FileLock(path, timeout=timeout_seconds, poll_interval=poll_seconds, fallback_to_soft=False)


class Notes(BaseModel):
    """What stands in a lock file."""

    worker: str = ""  # who holds it. If nobody does, that worker has died over it.
    host: str = ""
    pid: int = 0
    message_id: str = ""  # the Celery message that it is done for
    attempt: int = 0
    started_utc: str | None = None
    deadline_utc: str | None = None
    epoch: int = 0
    """The last finished one that has been seen; a later one forgives the crashes and losses before it."""
    crashes: int = 0  # how often in a row the process crashed without finishing an epoch
    losses: int = 0  # how often in a row the worker died without an epoch having been finished
    at: str = ""  # the file that is being read
    deaths: dict[str, int] = {}  # how often a process died over which file
    refused_by: dict[str, str] = {}  # the workers whose machine could not begin it, each with its reason


class Held:
    """A lock that this process holds."""

    def __init__(self, descriptor: int, notes: Notes):
        self._descriptor, self.notes = descriptor, notes

    def note(self, **fields: object) -> None:
        """Changes the notes. On a full disk they are kept in memory only."""
        self.notes = self.notes.model_copy(update=fields)
        data = self.notes.model_dump_json(exclude_defaults=True).encode()
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, data, 0)
            os.ftruncate(self._descriptor, len(data))


@contextlib.contextmanager
def taken(path: Path, *, patience_seconds: float = 0.5) -> Iterator[Held | None]:
    """Yields the lock, or None if another process has it: longer than the instant of looking whether it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + patience_seconds
        while not (is_ours := _flock(descriptor)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield Held(descriptor, read_notes(path)) if is_ours else None
    finally:
        os.close(descriptor)


def is_taken(path: Path) -> bool:
    """Returns whether a living process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _flock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def read_notes(path: Path) -> Notes:
    """Returns what stands in a lock file; nothing where there is none, or it is torn."""
    try:
        return Notes.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Notes()


def _flock(descriptor: int, *, shared: bool = False) -> bool:
    import fcntl  # which Windows lacks; the web page runs there too, and finds no locks

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
