"""`logs`: what a job's processes have printed, once or until it ends."""

import sys
import time
from collections import deque
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from fer_core.errors import ConfigError
from jobs.commands.desk import Desk
from jobs.commands.subject import Subject, find_subject, seen_again

_FOLLOW_SECONDS = 0.3


def logs(
    desk: Desk,
    name: str,
    *,
    follow: Annotated[bool, arg(aliases=["-f"])] = False,
    lines: Annotated[int | None, arg(aliases=["-n"], metavar="N")] = None,
) -> None:
    """Print what a job has printed.

    Args:
        name: A job's id or the beginning of it, or a run.
        follow: Go on until the job ends.
        lines: Only the last so many lines.
    """
    if lines is not None and lines < 0:
        raise ConfigError(f"--lines is at least 0, not {lines}.", hint="Leave it out for all lines.")
    subject = find_subject(desk, name)
    path = _log(desk, subject)
    if not path.is_file() and not follow:
        desk.say(f"Nothing yet: {path} is not there.")
        return
    position = _print_end(path, lines)
    while follow:
        was_alive = subject.is_alive
        position = _print_from(path, position)
        if not was_alive:
            return
        time.sleep(_FOLLOW_SECONDS)
        subject = seen_again(desk, subject)


def _log(desk: Desk, subject: Subject) -> Path:
    if subject.job is not None and subject.job.task != "tune":
        return desk.jobs.log(subject.job.id)
    if subject.run is not None:
        return subject.run.log_txt
    raise ConfigError(
        "A search prints nothing itself: each of its trials has a log.",
        hint="`python -m jobs list --trials` lists their jobs.",
    )


def _print_end(path: Path, lines: int | None) -> int:
    """Prints the last lines, and returns how many bytes of the file have been read."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        _write(b"".join(file if lines is None else deque(file, maxlen=lines)))
        return file.tell()


def _print_from(path: Path, position: int) -> int:
    if not path.is_file():
        return position
    with path.open("rb") as file:
        file.seek(position)
        _write(file.read())
        return file.tell()


def _write(data: bytes) -> None:
    """As it is: a character may be written by halves."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
