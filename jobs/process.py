"""One process that works on a job: started so that it dies with who watches it, watched, ended, and how it ended.

One that needs too much memory is ended with a sentence, before the system ends something. Counted is what its processes
have for themselves. Address space is not: CUDA, TensorFlow and JAX reserve a multiple of what they use. Nor are files
that are mapped, as the decoded images are: the system takes them back when it is short.
"""

import contextlib
import ctypes
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from fer_core.errors import ConfigError
from fer_core.resources import child_environment, memory_bytes
from fer_core.store.files import full_disk_named

LAST_LINES = 40  # of a crashed process's log, for the job's message
POLL_SECONDS = 0.25

StopReason = Literal["cancelled", "terminated", "timed_out", "handed_on"]  # why a process is ended by us
Kind = Literal["done", "refused", "too_large", "not_finite", "held", "interrupted", "killed", "crashed", StopReason]

GRACE_SECONDS: dict[StopReason, float] = {"cancelled": 6, "terminated": 6, "timed_out": 60, "handed_on": 45}
"""From SIGTERM to SIGKILL. Files survive a kill at any instant; a cancelled job is to be gone within ten seconds."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_SIGNAL_SECONDS = 3.0
_LONGEST_TAIL = 64 * 1024
_POLLS_OF_FAMILY = 8  # so many looks at the processes that are known come before one for new ones
_ENDED_FIRST = "500"
"""Where the system is short of memory all the same, it ends a trainer before the worker or Redis."""
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(%|[KMGT])i?B?", re.IGNORECASE)
_STATUS = re.compile(r"^(RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)
_EXIT_CODES: dict[int, tuple[Kind, str]] = {
    2: ("refused", "It was refused without a reason; its log is empty."),
    3: ("not_finite", "The loss became NaN or infinite."),
    75: ("held", ""),
}

_logger = logging.getLogger(__name__)


class Ended(NamedTuple):
    """How a process ended: by itself, or why it was stopped by us."""

    kind: Kind
    message: str = ""


def watched(command: Sequence[str], log: Path, stop_reason: Callable[[], StopReason | None]) -> Ended:
    """Returns how the command ended; nothing that it has started is left then, whatever is raised meanwhile.

    Args:
        stop_reason: called some times a second: whether somebody wants its end.

    Raises DiskFullError where there is not even room for its log.
    """
    try:
        limit = memory_limit()
    except ConfigError as error:
        return Ended("refused", f"{error}\n{error.hint}")
    polls, family, reason = 0, [], None
    with _running(command, log) as process:
        while reason is None and not _has_ended(process):
            if polls % _POLLS_OF_FAMILY == 0:
                family = _family(process.pid)
            polls += 1
            if used_bytes(family) > limit:  # again it would need as much
                amounts = f"{limit / 1e9:.1f} GB of memory, of the {memory_bytes() / 1e9:.1f} GB that are here"
                hint = "Give it less at once (batch_size, fewer or smaller images), or set $FER_JOB_MEMORY higher."
                return Ended("too_large", f"It needed more than {amounts}.\n{hint}")
            reason = stop_reason()
        if reason is not None:
            reason = _stopped(process, reason, stop_reason)
    ended = _end_of(process.returncode, log)
    was_done = ended.kind == "done" and reason not in ("cancelled", "terminated")
    return ended if reason is None or was_done else Ended(reason)


def die_with_parent(parent: int | None = None, number: signal.Signals = signal.SIGTERM) -> None:
    """Makes the system send a signal to this process when the thread ends that started it. Survives exec.

    Without it, a training outlives a worker that was killed, keeps its GPU, and nobody knows of it.

    Args:
        parent: the process that started this one, which ends if that one is gone already.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)
    if parent not in (None, os.getppid()):
        os._exit(128 + number)


def start(
    command: Sequence[str],
    log: Path,
    environ: Mapping[str, str],
    *,
    at_death: signal.Signals = signal.SIGTERM,
    **options: object,
) -> subprocess.Popen:
    """Returns the process: it leads a session, prints to the end of the log, and gets a signal when this one dies."""
    with full_disk_named(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    with output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid(), at_death),
            **options,
        )


@contextlib.contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen]:
    """Yields the process, which leads a group of its own; whatever is left of the group at the end is killed."""
    # Celery's own variables change how a Python that imports it behaves.
    others = {name: value for name, value in os.environ.items() if not name.startswith(("CELERY_", "FORKED_BY_"))}
    environment = child_environment({"COLUMNS": "120"} | others, PYTHONUNBUFFERED="1")
    # A kill: it might not heed a signal (an exception that one raises inside a library is lost), and hold its run on.
    process = start(command, log, environment, at_death=signal.SIGKILL)
    try:
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/oom_score_adj").write_text(_ENDED_FIRST)
        yield process
    except BaseException:  # Celery's time limits: a training saves its checkpoint
        _stopped(process, "timed_out", lambda: None)
        raise
    finally:
        _send(process, signal.SIGKILL)
        process.wait()


def _stopped(process: subprocess.Popen, reason: StopReason, asked: Callable[[], StopReason | None]) -> StopReason:
    """Ends the process and returns the reason that counts: who cancels does not wait for a hand-over."""
    _logger.info("Ending process %s (%s).", process.pid, reason)
    began = next_signal = time.monotonic()
    while (now := time.monotonic()) - began < GRACE_SECONDS[reason]:
        if now >= next_signal:
            # Once is not enough: an exception that a signal raises while Python calls back from a library is lost.
            _send(process, signal.SIGTERM)
            next_signal = now + _SIGNAL_SECONDS
        if _has_ended(process):
            break
        if reason == "handed_on" and asked() == "cancelled":
            reason, began = "cancelled", now
    return reason


def _has_ended(process: subprocess.Popen) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(POLL_SECONDS)
    return process.returncode is not None


def _send(process: subprocess.Popen, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end_of(code: int, log: Path) -> Ended:
    """Returns what an exit code, or the signal that ended a process (negative), means."""
    if code == 0:
        return Ended("done")
    if code in _EXIT_CODES:
        kind, message = _EXIT_CODES[code]
        return Ended(kind, _error_in(log) or message)
    if code in (130, 143, -signal.SIGINT, -signal.SIGTERM):
        return Ended("interrupted", "A signal from outside ended its process.")
    kind, message = "crashed", f"Its process crashed ({in_words(code)})."
    if code in (137, -signal.SIGKILL):
        kind, message = "killed", "Its process was killed: most likely the machine ran out of memory."
    lines = [re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", line) for line in last_lines(log)]
    return Ended(kind, "\n".join([message, *(["Its last lines:", *lines] if lines else [])]))


def in_words(code: int) -> str:
    """Returns how a process ended: 'exit code 2', 'killed by SIGKILL'."""
    known = {-number: number.name for number in signal.Signals}
    return f"exit code {code}" if code >= 0 else f"killed by {known.get(code, f'signal {-code}')}"


def last_lines(log: Path, count: int = LAST_LINES) -> list[str]:
    """Returns the end of a log; empty where there is none."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LONGEST_TAIL))
        return file.read().decode(errors="replace").splitlines()[-count:]
    return []


def _error_in(log: Path) -> str:
    """Returns what a program says last: its error and the hint; on a disk that is full it may have said nothing."""
    lines = last_lines(log)
    errors = [place for place, line in enumerate(lines) if line.startswith("Error: ")]
    said = lines[errors[-1] : errors[-1] + 2] if errors else lines[-2:]
    return "\n".join(filter(None, said)).removeprefix("Error: ")


def memory_limit(environ: Mapping[str, str] = os.environ) -> int:
    """Returns how many bytes a job's processes may use together. Raises ConfigError.

    $FER_JOB_MEMORY (12GB, or a share as 90%, which is the default) of the machine's memory, or of the container's or
    service's where that has a limit of its own.
    """
    text = environ.get("FER_JOB_MEMORY") or "90%"
    found = _AMOUNT.fullmatch(text.strip())
    number, unit = (float(found[1]), found[2].upper()) if found else (0.0, "")
    if number <= 0 or (unit == "%" and number > 100):
        raise ConfigError(f"$FER_JOB_MEMORY is {text!r}, no amount of memory.", hint="It is, for example, 90% or 12GB.")
    return int(number / 100 * memory_bytes() if unit == "%" else number * _UNITS[unit])


def used_bytes(pids: Sequence[int]) -> int:
    """Returns what these processes have for themselves, in memory or swapped out; those that are gone have nothing."""
    own, shared = 0, 0
    for pid in pids:
        with contextlib.suppress(OSError):
            status = dict(_STATUS.findall(Path(f"/proc/{pid}/status").read_text()))
            own += int(status.get("RssAnon", 0)) + int(status.get("VmSwap", 0))
            shared = max(shared, int(status.get("RssShmem", 0)))  # which they may share
    return 1024 * (own + shared)


def _family(pid: int) -> list[int]:
    with contextlib.suppress(psutil.Error):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return [pid]
