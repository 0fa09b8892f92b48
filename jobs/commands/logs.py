"""`logs`: what the processes of a job or of a search have printed, once or until it ends."""

import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from fer_core.errors import ConfigError
from fer_core.tuning.slots import parse_job_id
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
    """Print what a job has printed; of a search, what each of its trials has.

    Args:
        name: A job's id or the beginning of it, or a run or search.
        follow: Go on until the job or the search ends.
        lines: Only the last so many lines, of each trial.
    """
    if lines is not None and lines < 0:
        raise ConfigError(f"--lines is at least 0, not {lines}.", hint="Leave it out for all lines.")
    subject = find_subject(desk, name)
    printer = _Printer(lines)
    printer.print_new(_logs(desk, subject))
    while follow and subject.is_alive:
        time.sleep(_FOLLOW_SECONDS)
        subject = seen_again(desk, subject)
        printer.print_new(_logs(desk, subject))
    if not printer.has_printed:
        desk.say(_nothing(subject))


def _logs(desk: Desk, subject: Subject) -> list[Path]:
    """Returns the files, those of a search in the order in which its jobs were made; some may not be there yet."""
    if subject.search is not None:
        names = sorted(filter(None, map(parse_job_id, desk.jobs.ids())), key=lambda name: (name.n, name.slot))
        return [desk.jobs.log(name.id) for name in names if name.search == subject.search.id]
    return [desk.jobs.log(subject.job.id) if subject.job is not None else subject.run.log_txt]


def _nothing(subject: Subject) -> str:
    why = subject.job.message if subject.job is not None else ""
    return why or f"It has printed nothing yet; it is {subject.status.lower()}."


class _Printer:
    """Prints files as they grow; where there are several, their names between them, as `tail -f` does."""

    def __init__(self, lines: int | None):
        self._lines = lines
        self._positions: dict[Path, int] = {}
        self._last: Path | None = None

    @property
    def has_printed(self) -> bool:
        return self._last is not None

    def print_new(self, paths: Sequence[Path]) -> None:
        """Prints what was written since it was called last; at first, of each file no more than its last lines."""
        for path in paths:
            if path.is_file() and (new := self._new_of(path)):
                if len(paths) > 1 and path != self._last:
                    gap = "\n" if self.has_printed else ""
                    _write(f"{gap}==> {path.stem} <==\n".encode())
                self._last = path
                _write(new)

    def _new_of(self, path: Path) -> bytes:
        with path.open("rb") as file:
            if path in self._positions or self._lines is None:
                file.seek(self._positions.get(path, 0))
                new = file.read()
            else:
                new = b"".join(deque(file, maxlen=self._lines))
            self._positions[path] = file.tell()
        return new


def _write(data: bytes) -> None:
    """As it is: a character may be written by halves."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
