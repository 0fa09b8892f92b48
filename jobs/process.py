"""One process that works on a job: started so that it dies with who watches it, watched, ended, and how it ended."""

import contextlib
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from fer_core.store.files import full_disk_named
from jobs.memory import MemoryWatch, memory_limit
from jobs.trainer import in_words, told_of_death

PROJECT = Path(__file__).parents[1]
LAST_LINES = 40
"""Of a crashed process's log, for the job's message."""

Wish = Literal["cancelled", "terminated", "timed_out", "handed_on"]
"""Why a process is ended by us."""
Kind = Literal["done", "refused", "too_large", "not_finite", "held", "interrupted", "killed", "crashed"]

POLL_SECONDS = 0.5
GRACE_SECONDS: dict[Wish, float] = {"cancelled": 6, "terminated": 6, "timed_out": 60, "handed_on": 45}
"""From SIGTERM to SIGKILL. Files survive a kill at any instant; a cancelled job is to be gone within ten seconds."""

_SIGNAL_SECONDS = 3.0
_LONGEST_TAIL = 64 * 1024
_OWNER = "FER_JOB_OWNER"
_INTERRUPTED = {130, 143, -signal.SIGINT, -signal.SIGTERM}
_KILLED = {137, -signal.SIGKILL}

_logger = logging.getLogger(__name__)


class Ended(NamedTuple):
    """How a process ended: by itself, or because of a wish."""

    kind: Kind
    message: str = ""
    wish: Wish | None = None


def watched(command: Sequence[str], log: Path, wish: Callable[[], Wish | None]) -> Ended:
    """Returns how the command ended; nothing that it has started is left then, whatever is raised meanwhile.

    Args:
        wish: is asked twice a second whether somebody wants its end.

    Raises DiskFullError where there is not even room for its log, ConfigError for a limit of memory that is none.
    """
    limit = memory_limit()
    with _running(command, log) as process, MemoryWatch(process.pid, limit) as memory:
        found = None
        while found is None and not _has_ended(process, POLL_SECONDS):
            found = wish()
        if found is not None:
            found = _stopped(process, found, wish)
    if memory.message:  # again it would need as much
        return Ended("too_large", memory.message)
    return Ended(*_end_of(process.returncode, log), found)


@contextlib.contextmanager
def _running(command: Sequence[str], log: Path, environ: Mapping[str, str] = os.environ) -> Iterator[subprocess.Popen]:
    """Yields the process, which leads a group of its own; whatever is left of the group at the end is killed."""
    with full_disk_named(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    with output:
        process = subprocess.Popen(
            told_of_death(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(environ),
            start_new_session=True,
        )
    try:
        yield process
    except BaseException:  # Celery's time limits: a training saves its checkpoint
        _stopped(process, "timed_out", lambda: None)
        raise
    finally:
        _send(process, signal.SIGKILL)
        process.wait()


def _stopped(process: subprocess.Popen, wish: Wish, asked: Callable[[], Wish | None]) -> Wish:
    """Ends the process and returns the wish that counts: who cancels does not wait for a hand-over."""
    _logger.info("Ending process %s (%s).", process.pid, wish)
    began = next_signal = time.monotonic()
    while (now := time.monotonic()) - began < GRACE_SECONDS[wish]:
        if now >= next_signal:
            # Once is not enough: an exception that a signal raises while Python calls back from a library is lost.
            _send(process, signal.SIGTERM)
            next_signal = now + _SIGNAL_SECONDS
        if _has_ended(process, POLL_SECONDS):
            break
        if wish == "handed_on" and asked() == "cancelled":
            wish, began = "cancelled", now
    return wish


def _has_ended(process: subprocess.Popen, seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _send(process: subprocess.Popen, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end_of(code: int, log: Path) -> tuple[Kind, str]:
    """Returns what an exit code, or the signal that ended a process (negative), means."""
    if code == 0:
        return "done", ""
    if code == 3:
        return "not_finite", _two_lines(log) or "The loss became NaN or infinite."
    if code == 75:
        return "held", _two_lines(log)
    if code == 2:
        return "refused", _two_lines(log) or "It was refused without a reason; its log is empty."
    if code in _INTERRUPTED:
        return "interrupted", "A signal from outside ended its process."
    if code in _KILLED:
        return "killed", _with_log("Its process was killed: most likely the machine ran out of memory.", log)
    return "crashed", _with_log(f"Its process crashed ({in_words(code)}).", log)


def last_lines(log: Path, count: int = LAST_LINES) -> list[str]:
    """Returns the end of a log; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LONGEST_TAIL))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def kill_orphan(pid: int) -> bool:
    """Kills the process of a job whose watcher is dead, and returns whether it was one: it has not heard the signal."""
    try:
        process = psutil.Process(pid)
        owner = process.environ().get(_OWNER)
        if not owner or process.ppid() == int(owner):
            return False
    except psutil.Error:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return True


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    paths = [str(PROJECT), *filter(None, [environ.get("PYTHONPATH")])]
    marked = {_OWNER: str(os.getpid()), "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    # Celery's own variables change how a Python that imports it behaves.
    others = {name: value for name, value in environ.items() if not name.startswith(("CELERY_", "FORKED_BY_"))}
    return {"COLUMNS": "120"} | others | marked


def _two_lines(log: Path) -> str:
    """Returns what a program says last: its error and the hint; on a disk that is full it may have said nothing."""
    lines = last_lines(log)
    place = next((place for place in reversed(range(len(lines))) if lines[place].startswith("Error: ")), None)
    if place is None:
        return "\n".join(filter(None, lines[-2:]))
    return "\n".join([lines[place].removeprefix("Error: "), *lines[place + 1 : place + 2]])


def _with_log(sentence: str, log: Path) -> str:
    lines = [re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", line) for line in last_lines(log)]
    return "\n".join([sentence, *(["Its last lines:", *lines] if lines else [])])
