"""The scheduler of `celery -A jobs beat`: starts what the schedule says, each moment once, whoever asks and how often.

What is due is a job on disk with an id made of its entry and its moment: of two beats, or of one that was killed in
between, the first makes it and the others find it. Of several moments that were missed only the latest counts, an entry
whose job is still open is left out, and nothing is done for moments before an entry was first seen.
"""

import logging
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from celery import beat
from pydantic import BaseModel, ConfigDict, ValidationError

from fer_core.errors import ArtifactError, FerError
from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.files import read_json, write_json
from jobs.moments import latest_due, next_due
from jobs.record import Jobs
from jobs.sending import BrokerAwayError, submit
from jobs.timetable import Entry, Timetable, job_id, load_timetable

CHECK_SECONDS = 20.0
"""The longest sleep: a clock that is set, or a laptop that wakes up, is noticed after this time."""

_AHEAD = timedelta(days=1)
"""A note from further in the future was written by a clock that was wrong."""

log = logging.getLogger(__name__)


class Seen(BaseModel):
    """What is noted of an entry: since when it is known, and the last moment that was dealt with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours: str
    """Other hours than these make it a new entry."""
    until_utc: datetime


class Starter:
    """Starts what is due. Keeps nothing in memory but what it has complained about: several may work side by side."""

    def __init__(self, timetable: Timetable, paths: Paths, *, clock: Clock = utc_now):
        self.timetable, self._paths, self._clock = timetable, paths, clock
        self._complaints: dict[str, str] = {}

    def start_what_is_due(self) -> float:
        """Starts the jobs that are due, and returns the seconds until the next look. Logs what goes wrong."""
        for entry in self.timetable.entries:
            try:
                self._look_at(entry)
                self._complaints.pop(entry.name, None)
            except (FerError, OSError) as error:
                self._complain(entry, error)
        return self._seconds_to_sleep()

    def _look_at(self, entry: Entry) -> None:
        note = self._paths.models / "jobs" / "schedule" / f"{entry.name}.json"
        if not entry.enabled:
            note.unlink(missing_ok=True)
            return
        now = self._clock()
        seen = _read(note, hours=self._hours(entry), now=now)
        due = latest_due(entry.hours(self.timetable.zone), now)
        if seen is None:
            self._write(note, entry, now)
        elif due > seen.until_utc:
            self._start(entry, due)
            self._write(note, entry, due)

    def _start(self, entry: Entry, due: datetime) -> None:
        new = job_id(entry, due)
        jobs = Jobs(self._paths.models / "jobs")
        open_job = next((job for job in jobs.open_jobs() if job.schedule == entry.name), None)
        if open_job is not None:
            if open_job.id != new:
                log.warning("%s is left out: its last job, %s, is %s.", new, open_job.id, open_job.status)
            return
        try:
            submit(self._paths, entry.task, entry.arguments, job_id=new, schedule=entry.name)
            log.info("%s is sent.", new)
        except BrokerAwayError as error:
            log.warning("%s is written down and waits for the broker: %s", new, error)

    def _write(self, note: Path, entry: Entry, until: datetime) -> None:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {"hours": self._hours(entry), "until_utc": utc_text(until)})

    def _hours(self, entry: Entry) -> str:
        days = entry.days if isinstance(entry.days, str) else " ".join(entry.days)
        return f"{entry.at} {days} {self.timetable.timezone}"

    def _complain(self, entry: Entry, error: FerError | OSError) -> None:
        """Says each thing once, not at every look."""
        reason = f"{error} {error.hint}" if isinstance(error, FerError) else f"{error.strerror}: {error.filename2}"
        if self._complaints.get(entry.name) != reason:
            self._complaints[entry.name] = reason
            log.error("%s cannot be started: %s", entry.name, reason)

    def _seconds_to_sleep(self) -> float:
        now = self._clock()
        coming = [next_due(entry.hours(self.timetable.zone), now) for entry in self.timetable.entries if entry.enabled]
        seconds = ((moment - now).total_seconds() for moment in coming)
        return max(0.1, min([CHECK_SECONDS, *seconds]))


class Scheduler(beat.Scheduler):
    """Celery's own loop around `Starter`; `app.conf.beat_scheduler` names it."""

    max_interval = CHECK_SECONDS

    def __init__(self, *args: Any, **options: Any):
        self._starter: Starter | None = None
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        """Reads the schedule; ends the process with two lines and exit code 2 where it is wrong."""
        self._starter = Starter(_timetable_or_exit(), Paths.from_environment())

    def tick(self, *args: Any, **options: Any) -> float:
        """Starts what is due and returns the seconds until the next look."""
        return min(self.max_interval, self._starter.start_what_is_due())

    @property
    def info(self) -> str:
        """What beat prints when it starts: the file, and when each entry comes next."""
        timetable = _timetable_or_exit()
        lines = [f"    . schedule -> {timetable.path} ({timetable.timezone})"]
        for entry in timetable.entries:
            coming = next_due(entry.hours(timetable.zone), utc_now()).astimezone(timetable.zone)
            lines.append(f"    . {entry.name} -> {f'{coming:%a %Y-%m-%d %H:%M}' if entry.enabled else 'off'}")
        return "\n".join(lines)


def _timetable_or_exit() -> Timetable:
    try:
        return load_timetable(os.environ)
    except FerError as error:
        print(f"Error: {error}\n{error.hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def _read(note: Path, *, hours: str, now: datetime) -> Seen | None:
    """Returns the note; None where there is none, or it is torn, of other hours, or of a clock that was wrong."""
    if not note.exists():
        return None
    try:
        seen = Seen.model_validate(read_json(note, "note of the schedule"))
    except (ArtifactError, ValidationError):
        return None
    return seen if seen.hours == hours and seen.until_utc <= now + _AHEAD else None
