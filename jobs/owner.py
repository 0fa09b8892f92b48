"""Who carries a job out: one process on one machine, told apart from a later one that has its number."""

import os
import socket
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Owner(BaseModel):
    """A process, and the worker that it belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    pid: int
    started: float
    """Seconds from the machine's start to the process's: no clock that is set later changes it."""
    place: str = ""
    """The machine's start and the process's namespace: elsewhere, the same number is another process."""
    worker: str = ""


def this_process(worker: str = "") -> Owner:
    """Returns this process as an owner."""
    started = seconds_started(os.getpid())
    return Owner(host=socket.gethostname(), pid=os.getpid(), started=started or 0.0, place=_this_place(), worker=worker)


def is_here(owner: Owner) -> bool:
    """Returns whether the owner's number means that process on this machine, in this container."""
    return owner.host == socket.gethostname() and owner.place == _this_place()


def lives_here(owner: Owner) -> bool:
    """Returns whether that very process is living here."""
    return is_here(owner) and seconds_started(owner.pid) == owner.started


def seconds_started(pid: int) -> float | None:
    """Returns how many seconds after the machine a process was started; None if there is none, or only its remains."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks = fields[0], int(fields[19])  # see proc_pid_stat(5): fields 3 and 22
    return None if state in "ZXx" else ticks / _TICKS_PER_SECOND


def _this_place() -> str:
    parts = []
    with suppress(OSError):
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str((_PROC / "self/ns/pid").readlink()))
    return " ".join(parts)
