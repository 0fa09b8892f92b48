"""The scheduler of `celery -A jobs beat`: Celery's own, with the entries of the schedule's file as crontabs.

Celery remembers when each entry was last run, and makes up for moments that were missed, once. What is due is a job
whose id is made of its entry and its day: of two beats, or of one that was killed in between, the first makes it and
the others find it. An entry whose last job is still open is left out.
"""

import logging
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import crontab

from fer_core.errors import FerError
from fer_core.job.broker_address import BrokerAwayError
from fer_core.job.create import create_job
from fer_core.job.job import open_ids, open_job
from jobs.celery import broker, paths
from jobs.timetable import Entry, Timetable, load_timetable

log = logging.getLogger(__name__)


class Scheduler(PersistentScheduler):
    """Celery's own loop; `app.conf.beat_scheduler` names it."""

    producer = None
    """Celery would wait for the broker before it starts anything; jobs are written down without one."""

    def setup_schedule(self) -> None:
        """Reads the schedule; ends the process with two lines and exit code 2 where it is wrong."""
        self.timetable = timetable_or_exit()
        self.entries = {entry.name: entry for entry in self.timetable.entries if entry.enabled}
        self.app.conf.update(timezone=self.timetable.timezone, beat_schedule=crontabs(self.timetable))
        vars(self.app).pop("timezone", None)  # which Celery keeps once it was asked for
        Path(self.schedule_filename).parent.mkdir(parents=True, exist_ok=True)
        super().setup_schedule()

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> None:
        """Starts what is due, which is noted as run: `tick` has reserved it."""
        try:
            start(self.entries[entry.name], datetime.now(self.timetable.zone))
        except (FerError, OSError) as error:
            log.error("%s cannot be started: %s %s", entry.name, error, getattr(error, "hint", ""))
        self._do_sync()

    @property
    def info(self) -> str:
        """What beat prints when it starts: the file, and when each entry is due."""
        timetable = timetable_or_exit()
        lines = [f"    . schedule -> {timetable.path} ({timetable.timezone})"]
        for entry in timetable.entries:
            days = entry.days if isinstance(entry.days, str) else " ".join(entry.days)
            lines.append(f"    . {entry.name} -> {f'{days} {entry.at}' if entry.enabled else 'off'}")
        return "\n".join(lines)


def crontabs(timetable: Timetable) -> dict[str, dict[str, Any]]:
    """Returns the schedule as Celery has it."""
    found = {}
    for entry in timetable.entries:
        hour, minute = entry.at.split(":")
        days = "*" if entry.days == "daily" else ",".join(entry.days)
        if entry.enabled:
            when = crontab(hour=str(int(hour)), minute=str(int(minute)), day_of_week=days)
            found[entry.name] = {"task": entry.task, "schedule": when, "kwargs": entry.arguments}
    return found


def start(entry: Entry, now: datetime) -> None:
    """Makes the job that is due, unless it was made before, and sends it. Raises FerError."""
    job_id = entry.job_id(now)
    jobs = (open_job(paths, name) for name in open_ids(paths))
    still_open = next((job for job in jobs if job.order.schedule == entry.name and job.end is None), None)
    if still_open is not None:
        if still_open.id != job_id:
            log.warning("%s is left out: its last job, %s, has not ended.", job_id, still_open.id)
        return
    job = create_job(paths, entry.task, entry.arguments, job_id=job_id, schedule=entry.name)
    if job.end is not None or job.notes.attempt or job.has_message:
        log.info("%s was started before.", job_id)
        return
    try:
        broker.send(job)
        log.info("%s is sent.", job_id)
    except BrokerAwayError as error:
        log.warning("%s is written down and waits for the broker: %s", job_id, error)


def timetable_or_exit() -> Timetable:
    """Returns the schedule, or ends the process as a command line does."""
    try:
        return load_timetable(os.environ)
    except FerError as error:
        print(f"Error: {error}\n{error.hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
