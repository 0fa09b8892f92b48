"""The schedule as a file: what is started when, and which command is told. Read and checked whole, before it is used.

$FER_SCHEDULE names the file; without it, `schedule.toml` beside this module. Imports no Celery.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationError, field_validator

from fer_core.config import Settings
from fer_core.errors import ConfigError, FerError, did_you_mean
from fer_core.job.arguments import ARGUMENTS, validate

OWN_FILE = Path(__file__).with_name("schedule.toml")

_TOP = ("timezone", "entry", "notify")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_COMMENTS = f"The comments in {OWN_FILE} say what each line takes."
_FORMS = {
    "at": 'It is hour and minute in quotes: at = "02:30".',
    "days": 'It is "daily", or a list such as ["sat", "sun"].',
    "name": "It has letters, digits, '-' and '_' only.",
}


class Entry(Settings):
    """One thing that is started again and again."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]
    """Of the entry; its jobs' ids begin with it."""
    task: str
    """The name of a task, as `celery -A jobs call` takes it."""
    at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """Hour and minute in the schedule's zone, such as "02:30"."""
    days: Literal["daily"] | tuple[str, ...] = "daily"
    """All days, or a list such as ["sat", "sun"]."""
    arguments: dict[str, Any] = {}
    """The task's arguments."""
    enabled: bool = True
    """false: the entry is checked, and never started."""

    @field_validator("days")
    @classmethod
    def _are_days(cls, days: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for day in () if days == "daily" else days:
            if day not in DAYS:
                raise ConfigError(f"there is no day {day!r}.", hint=did_you_mean(day, DAYS))
        if not days:
            raise ConfigError("days is empty.", hint=_FORMS["days"])
        return days

    def job_id(self, now: datetime) -> str:
        """Returns the id of what is due now, or was last: the same one, whoever starts it. `now` is of the zone."""
        day = now.date() if f"{now:%H:%M}" >= self.at else now.date() - timedelta(days=1)
        while self.days != "daily" and DAYS[day.weekday()] not in self.days:
            day -= timedelta(days=1)
        return f"{self.name}-{day:%Y%m%d}T{self.at.replace(':', '')}"


class Timetable(Settings):
    """The whole schedule."""

    path: Path
    timezone: str = "UTC"
    """Of all hours in it: a name such as Europe/Berlin."""
    entries: tuple[Entry, ...] = ()
    notify: tuple[str, ...] = ()
    """A command and its arguments, run when a job failed, a model was promoted or a search has ended; () = none."""

    @property
    def zone(self) -> ZoneInfo:
        """The zone of all hours."""
        return ZoneInfo(self.timezone)


def load_timetable(environ: Mapping[str, str]) -> Timetable:
    """Returns the schedule. Raises ConfigError that names the file, the entry and what is wrong with it."""
    path = Path(environ.get("FER_SCHEDULE") or OWN_FILE)
    table = _read(path)
    unknown = next((name for name in table if name not in _TOP), None)
    if unknown is not None:
        raise ConfigError(f"{path}: there is no {unknown!r}.", hint=did_you_mean(unknown, _TOP))
    entries = table.get("entry", [])
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: an entry begins with [[entry]], in two brackets.", hint=_COMMENTS)
    timetable = Timetable(
        path=path,
        timezone=_zone(table.get("timezone", "UTC"), path),
        entries=tuple(_entry(values, number, path) for number, values in enumerate(entries, start=1)),
        notify=_command(table.get("notify", {}), path),
    )
    _check_names(timetable)
    return timetable


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"The schedule {path} cannot be read: {error.strerror}.", hint="$FER_SCHEDULE names another file."
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML: {error}.", hint=_COMMENTS) from None


def _zone(name: Any, path: Path) -> str:
    zones = available_timezones()
    if name not in zones:
        near = did_you_mean(str(name), zones)
        hint = near if near.startswith("Did") else "It is a name such as Europe/Berlin, or UTC."
        raise ConfigError(f"{path}: there is no time zone {name!r}.", hint=hint)
    return name


def _entry(values: Any, number: int, path: Path) -> Entry:
    where = (
        f"{path}, entry {values['name']!r}"
        if isinstance(values, dict) and "name" in values
        else f"{path}, entry {number}"
    )
    try:
        entry = Entry.model_validate(values)
        if entry.task not in ARGUMENTS:
            raise ConfigError(f"there is no task {entry.task!r}.", hint=did_you_mean(entry.task, ARGUMENTS))
        validate(entry.task, entry.arguments)
    except ValidationError as error:
        raise _entry_error(error, where) from None
    except FerError as error:
        raise ConfigError(f"{where}: {error}", hint=error.hint or _COMMENTS) from None
    return entry


def _entry_error(error: ValidationError, where: str) -> ConfigError:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{where}: there is no {name!r}.", hint=did_you_mean(name, Entry.model_fields))
    if first["type"] == "missing":
        return ConfigError(f"{where}: {name} is missing.", hint=_COMMENTS)
    return ConfigError(f"{where}: {name or 'it'} cannot be {first['input']!r}.", hint=_FORMS.get(name, _COMMENTS))


def _command(table: Any, path: Path) -> tuple[str, ...]:
    command = table.get("command", []) if isinstance(table, dict) else None
    is_list = isinstance(command, list) and all(isinstance(part, str) for part in command)
    if not is_list or set(table) - {"command"}:
        raise ConfigError(f"{path}: [notify] has one line, command.", hint='It is like command = ["mail", "me@here"].')
    return tuple(command)


def _check_names(timetable: Timetable) -> None:
    names = [entry.name.lower() for entry in timetable.entries]  # file names, and some disks know no letter case
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{timetable.path}: two entries are called {twice!r}.", hint="Give each a name of its own.")
