"""The schedule: its file, the scheduler of `celery -A jobs beat` that follows it, and the command that it notifies.

$FER_SCHEDULE names the file; without it, `schedule.toml` beside this module. It is read and checked whole.

The scheduler is Celery's own, with the entries as crontabs. Celery remembers when each was last run, and makes up for
times that were missed, once. What is due is a job whose id is made of its entry and its day: of two beats, or of one
that was killed in between, the first makes it and the others find it. One whose last job is still open is left out.
"""

import json
import logging
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import crontab
from pydantic import Field, ValidationError

from fer_core.config import Settings
from fer_core.errors import ConfigError, FerError, did_you_mean
from fer_core.job.arguments import validate
from fer_core.job.broker import Broker, BrokerAwayError
from fer_core.job.job import End, Job
from fer_core.job.lifecycle import create_job
from fer_core.job.progress import open_jobs
from fer_core.paths import Paths

OWN_FILE = Path(__file__).with_name("schedule.toml")

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_COMMENTS = f"The comments in {OWN_FILE} say what each line takes."
_NOTIFY_SECONDS = 60

_logger = logging.getLogger(__name__)


class Scheduled(Settings):
    """One thing that is started again and again."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]
    """It has letters, digits, '-' and '_' only; the ids of the entry's jobs begin with it."""
    task: str
    """The name of a task, as `celery -A jobs call` takes it."""
    at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """It is, in the schedule's zone, hour and minute in quotes: at = "02:30"."""
    days: Literal["daily"] | Annotated[tuple[Literal[_DAYS], ...], Field(min_length=1)] = "daily"
    """It is "daily", or a list of days in quotes: mon, tue, wed, thu, fri, sat, sun."""
    arguments: dict[str, Any] = {}
    """The task's arguments."""
    enabled: bool = True
    """false: the entry is checked, and never started."""

    def job_id(self, now: datetime) -> str:
        """Returns the id of what is due now, or was last: the same one, whoever starts it. `now` is of the zone."""
        day = now.date() if f"{now:%H:%M}" >= self.at else now.date() - timedelta(days=1)
        while self.days != "daily" and _DAYS[day.weekday()] not in self.days:
            day -= timedelta(days=1)
        return f"{self.name}-{day:%Y%m%d}T{self.at.replace(':', '')}"

    def celery_schedule(self) -> crontab:
        """Returns when it is due, as Celery has it."""
        hour, minute = map(int, self.at.split(":"))
        return crontab(hour=hour, minute=minute, day_of_week="*" if self.days == "daily" else ",".join(self.days))


class Notify(Settings):
    """Who is told."""

    command: tuple[str, ...] = ()
    """Run when a job failed, a model was promoted or a search has ended: command = ["mail", "me@here"]; [] = none."""


class Timetable(Settings):
    """The whole schedule, as it stands in the file."""

    timezone: str = "UTC"
    """Of all hours in it. It is a name such as Europe/Berlin, or UTC."""
    entry: tuple[Scheduled, ...] = ()
    """An entry begins with [[entry]], in two brackets."""
    notify: Notify = Notify()
    """It has one line, such as command = ["mail", "me@here"]."""

    zone = property(lambda timetable: ZoneInfo(timetable.timezone))


def schedule_path(environ: Mapping[str, str]) -> Path:
    """Returns which file the schedule is."""
    return Path(environ.get("FER_SCHEDULE") or OWN_FILE)


def load_timetable(environ: Mapping[str, str]) -> Timetable:
    """Returns the schedule. Raises ConfigError that names the file, the entry and what is wrong with it."""
    path = schedule_path(environ)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        timetable = Timetable.model_validate(table)
    except OSError as error:
        hint = "$FER_SCHEDULE names another file."
        raise ConfigError(f"The schedule {path} cannot be read: {error.strerror}.", hint=hint) from None
    except ValidationError as error:
        raise _refusal(error, table, path) from None
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML: {error}.", hint=_COMMENTS) from None
    if timetable.timezone not in (zones := available_timezones()):
        near = did_you_mean(timetable.timezone, zones)
        hint = near if near.startswith("Did") else Timetable.model_fields["timezone"].description
        raise ConfigError(f"{path}: there is no time zone {timetable.timezone!r}.", hint=hint)
    _check_entries(timetable, path)
    return timetable


def _refusal(error: ValidationError, table: dict[str, Any], path: Path) -> ConfigError:
    """Returns pydantic's first finding with its place in the file, and what is meant."""
    first = error.errors()[0]
    place, model, where = first["loc"], Timetable, str(path)
    if place[0] == "entry" and len(place) > 1:
        entry, place, model = table["entry"][place[1]], place[2:], Scheduled
        named = entry["name"] if isinstance(entry, dict) and "name" in entry else first["loc"][1] + 1
        where = f"{path}, entry {named!r}"
    elif place[0] == "notify" and len(place) > 1:
        place, model = place[1:], Notify
    name = str(place[0]) if place else "it"
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{where}: there is no {name!r}.", hint=did_you_mean(name, model.model_fields))
    if first["type"] == "missing":
        return ConfigError(f"{where}: {name} is missing.", hint=_COMMENTS)
    field = model.model_fields.get(name)
    hint = (field and field.description) or _COMMENTS
    return ConfigError(f"{where}: {name} cannot be {first['input']!r}.", hint=hint)


def _check_entries(timetable: Timetable, path: Path) -> None:
    names = [entry.name.lower() for entry in timetable.entry]  # file names, and some disks know no letter case
    for entry in timetable.entry:
        if names.count(entry.name.lower()) > 1:
            message = f"{path}: two entries are called {entry.name!r}."
            raise ConfigError(message, hint="Give each a name of its own.")
        try:
            validate(entry.task, entry.arguments)
        except FerError as error:
            raise ConfigError(f"{path}, entry {entry.name!r}: {error}", hint=error.hint or _COMMENTS) from None


def _timetable_or_exit() -> Timetable:
    """Returns the schedule, or ends the process as a command line does."""
    try:
        return load_timetable(os.environ)
    except FerError as error:
        print(f"Error: {error}\n{error.hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


class Scheduler(PersistentScheduler):
    """Celery's own loop; `app.conf.beat_scheduler` names it."""

    producer = None
    """Celery would wait for the broker before it starts anything; jobs are written down without one."""

    def setup_schedule(self) -> None:
        """Reads the schedule; ends the process with two lines and exit code 2 where it is wrong."""
        self.timetable = _timetable_or_exit()
        self.entries = {entry.name: entry for entry in self.timetable.entry if entry.enabled}
        entries = {
            entry.name: {"task": entry.task, "schedule": entry.celery_schedule(), "kwargs": entry.arguments}
            for entry in self.entries.values()
        }
        self.app.conf.update(timezone=self.timetable.timezone, beat_schedule=entries)
        vars(self.app).pop("timezone", None)  # which Celery keeps once it was asked for
        Path(self.schedule_filename).parent.mkdir(parents=True, exist_ok=True)
        super().setup_schedule()

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> None:
        """Starts what is due, which is noted as run: `tick` has reserved it."""
        from jobs.celery import broker, paths

        try:
            start(self.entries[entry.name], datetime.now(self.timetable.zone), paths=paths, broker=broker)
        except (FerError, OSError) as error:
            _logger.error("%s cannot be started: %s %s", entry.name, error, getattr(error, "hint", ""))
        self.sync()

    @property
    def info(self) -> str:
        """What beat prints when it starts: the file, and when each entry is due."""
        timetable = _timetable_or_exit()
        lines = [f"    . schedule -> {schedule_path(os.environ)} ({timetable.timezone})"]
        for entry in timetable.entry:
            days = entry.days if isinstance(entry.days, str) else " ".join(entry.days)
            lines.append(f"    . {entry.name} -> {f'{days} {entry.at}' if entry.enabled else 'off'}")
        return "\n".join(lines)


def start(entry: Scheduled, now: datetime, *, paths: Paths, broker: Broker) -> None:
    """Makes the job that is due, unless it was made before, and sends it. Raises FerError."""
    job_id = entry.job_id(now)
    still_open = next((job for job in open_jobs(paths) if job.order.schedule == entry.name), None)
    if still_open is not None:
        if still_open.id != job_id:
            _logger.warning("%s is left out: its last job, %s, has not ended.", job_id, still_open.id)
        return
    job = create_job(paths, entry.task, entry.arguments, job_id=job_id, schedule=entry.name)
    if job.end is not None or job.notes.attempt or job.has_message:
        _logger.info("%s was started before.", job_id)
        return
    try:
        broker.send(job)
        _logger.info("%s is sent.", job_id)
    except BrokerAwayError as error:
        _logger.warning("%s is written down and waits for the broker: %s", job_id, error)


def event_of(job: Job, end: End) -> str | None:
    """Returns what is worth telling of a job: 'failed', 'promoted', 'found' (a search has its winner), or nothing."""
    if end.status in ("FAILED", "TIMED_OUT"):
        return "failed"
    if end.status == "SUCCEEDED" and job.task == "tune":
        return "found"
    return "promoted" if (end.result or {}).get("promoted") else None


def notify(job: Job, end: End, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Returns whether somebody was told of a job that has ended; a command that fails is logged, and nothing more.

    The command gets the job as JSON on its standard input, and $FER_EVENT (failed, promoted, found), $FER_JOB and
    $FER_MESSAGE.
    """
    event = event_of(job, end)
    if event is None:
        return False
    about = {"id": job.id} | job.order.model_dump(mode="json") | end.model_dump(mode="json")
    named = {"FER_EVENT": event, "FER_JOB": job.id, "FER_MESSAGE": end.message or f"{job.task}: {event}"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        command = load_timetable(environ).notify.command
        if command:
            options = {"input": json.dumps(about).encode(), "timeout": _NOTIFY_SECONDS, "check": True}
            subprocess.run(command, env={**environ, **named}, **options, **quiet)
        return bool(command)
    except (FerError, OSError, ValueError, subprocess.SubprocessError) as error:
        _logger.warning("Nobody is told of job %s: %s", job.id, error)
        return False
