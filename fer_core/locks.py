"""Locks in the folders of jobs: who works on one holds a `flock` on a file in its folder.

The kernel frees it when that process ends in any way, so no heartbeats, process numbers or clocks have to be trusted.
The file itself notes who holds it and what has gone wrong so far; what it says is for people and for the next holder.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError


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
