"""One process of a job: started so that it dies with who watches it, its output in the job's log, and how it ended.

Knows nothing of records.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from fer_core.store.files import full_disk_named
from jobs.children import in_words, told_of_death
from jobs.owner import Owner, lives_here

PROJECT = Path(__file__).parents[1]

LAST_LINES = 40
"""Of a crashed process's log, for the job's message."""

_LONGEST_TAIL = 64 * 1024
_FULL_BELOW = 2**20
_MAKE_ROOM = "Make room on that disk, then resume the job."
_OWNER = "FER_JOB_OWNER"
_INTERRUPTED = {130, 143, -signal.SIGINT, -signal.SIGTERM}
_KILLED = {137, -signal.SIGKILL}

EndKind = Literal["done", "refused", "not_finite", "held", "interrupted", "crashed"]


class End(NamedTuple):
    """How a process ended by itself, with what is to be told of it."""

    kind: EndKind
    message: str = ""


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, *, owner: Owner, environ: Mapping[str, str] = os.environ
) -> Iterator[subprocess.Popen]:
    """Yields the started process, which leads a group of its own; whatever is left of the group at the end is killed.

    Raises DiskFullError where there is not even room for its log.
    """
    with full_disk_named(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    with output:
        process = subprocess.Popen(
            told_of_death(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(environ, owner),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        send(process, signal.SIGKILL)
        process.wait()


def send(process: subprocess.Popen, number: signal.Signals) -> None:
    """Signals the process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def end_of(code: int, log: Path) -> End:
    """Returns what an exit code, or the signal that ended a process (negative), means."""
    if code == 0:
        return End("done")
    if code == 3:
        return End("not_finite", _two_lines(log) or "The loss became NaN or infinite.")
    if code == 75:
        return End("held", _two_lines(log))
    full = _full_disk(log.parent)
    if code == 2:
        return End("refused", _two_lines(log) or full or "It was refused without a reason; its log is empty.")
    if code in _INTERRUPTED:
        return End("interrupted", "A signal from outside ended its process.")
    if full:
        return End("refused", full)
    if code in _KILLED:
        return End("crashed", _with_log("Its process was killed: most likely the machine ran out of memory.", log))
    return End("crashed", _with_log(f"Its process crashed ({in_words(code)}).", log))


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
        mark = psutil.Process(pid).environ().get(_OWNER)
    except psutil.Error:
        return False
    if not mark or lives_here(Owner.model_validate_json(mark)):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return True


def _environment(environ: Mapping[str, str], owner: Owner) -> dict[str, str]:
    paths = [str(PROJECT), *filter(None, [environ.get("PYTHONPATH")])]
    marked = {_OWNER: owner.model_dump_json(), "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    # Celery's own variables change how a Python that imports it behaves.
    others = {name: value for name, value in environ.items() if not name.startswith(("CELERY_", "FORKED_BY_"))}
    return {"COLUMNS": "120"} | others | marked


def _full_disk(folder: Path) -> str:
    """A process that finds no room may not even find room to say so."""
    free = shutil.disk_usage(folder).free
    if free >= _FULL_BELOW:
        return ""
    return f"No room in {folder}: {free / 2**20:,.1f} MB are free there. What was saved before is kept.\n{_MAKE_ROOM}"


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
