"""`Job`: a run, a search, or a task that makes neither, in its folder. There is no other record of it.

models/runs/<id>/       train, retrain      job.json     what was asked for
models/searches/<id>/   tune                result.json  how it ended; a search says so in its own state
models/studies/<id>/    read
models/tasks/<id>/      evaluate, gc        .job.lock    who works on it
                                            .cancel      somebody wants its end
                                            output.txt   what its process printed

models/open/<queue>/<id>   for each job that has not ended, or whose end Celery was not told yet: all that workers
                           look through. Its content is the broker that has a message for it, '' once that arrived.
"""

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fer_core.config import Settings
from fer_core.errors import ArtifactError, JobError, NoSuchJobError, did_you_mean
from fer_core.job.arguments import validate
from fer_core.locks import Notes, is_taken, read_notes
from fer_core.paths import Paths
from fer_core.store.files import in_folder, read_json, utc_now, utc_text, write_json
from fer_core.store.manifest import Timestamp, checked
from fer_core.store.run import Run, Status
from fer_core.study.study import Study, find_study
from fer_core.tuning.state import Search, load_state

TaskName = Literal["tune", "train", "retrain", "evaluate", "read", "gc"]
FOLDERS = {
    "tune": "searches",
    "train": "runs",
    "retrain": "runs",
    "read": "studies",
    "evaluate": "tasks",
    "gc": "tasks",
}
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT")

_KINDS = tuple(dict.fromkeys(FOLDERS.values()))
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class Order(BaseModel):
    """What stands in job.json: what was asked for, when, and by which Celery message."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: TaskName
    arguments: dict[str, Any] = {}
    queue: str
    created_utc: Timestamp
    schedule: str | None = None  # the entry of the schedule that it comes from
    message_id: str  # Celery's id of it: that of an AsyncResult
    options: dict[str, Any] = {}
    """Of that message: links, chord, headers, priority, time limits. Each later message has them too."""


class End(BaseModel):
    """What stands in result.json: how a job ended."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Status
    message: str = ""
    finished_utc: Timestamp | None = None
    result: dict[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """A job on disk. What can change is read anew each time."""

    id: str
    paths: Paths
    folder: Path
    order: Order

    job_json = in_folder("job.json")
    result_json = in_folder("result.json")
    lock = in_folder(".job.lock")
    cancel_file = in_folder(".cancel")
    task = property(lambda job: job.order.task)
    queue = property(lambda job: job.order.queue)

    @property
    def run(self) -> Run | None:
        """The run that it is, once that has a manifest; None for other jobs."""
        is_run = self.folder.parent.name == "runs" and (self.folder / "manifest.json").is_file()
        return Run(self.folder, self.paths.history) if is_run else None

    @property
    def search(self) -> Search | None:
        """The search that it is, once that has a plan; None for other jobs."""
        search = Search(self.folder, self.paths)
        return search if self.folder.parent.name == "searches" and search.exists else None

    @property
    def study(self) -> Study | None:
        """The study that it is, once that was begun; None for other jobs."""
        is_study = self.folder.parent.name == "studies" and (self.folder / "study.json").is_file()
        return find_study(self.folder) if is_study else None

    @property
    def invitation(self) -> tuple[str, dict[str, str]] | None:
        """The task, with its arguments, by which more workers take part; None where one is enough.

        A search is nothing but trials; a study has somebody who sees to it, and helpers.
        """
        if self.end is None and self.search is not None:
            return "trial", {"search": self.id}
        if self.end is None and self.study is not None and is_taken(self.lock):
            return "read_parts", {"study": self.id}
        return None

    @property
    def is_by_hand(self) -> bool:
        """Whether nobody has asked for it as a job: a run or a search that was begun on a command line."""
        return not self.job_json.is_file()

    @property
    def log(self) -> Path:
        """What its process printed."""
        return self.folder / ("log.txt" if self.is_by_hand else "output.txt")

    @property
    def marker(self) -> Path:
        return self.paths.models / "open" / self.queue / self.id

    @cached_property
    def arguments(self) -> Settings:
        """Raises ConfigError for arguments that this version does not understand."""
        return validate(self.task, self.order.arguments)

    @property
    def end(self) -> End | None:
        """How it ended; None while it has not. Raises ArtifactError if its files cannot be read."""
        if self.result_json.is_file():
            content = read_json(self.result_json, "end of a job")
            return checked(End, content, otherwise=f"{self.result_json} is no end of a job")
        search = self.search
        state = load_state(search) if search else None
        if state is None or state.status == "RUNNING":
            return None
        result = {"search": search.id, "winner": state.winner, "trials": len(state.trials)}
        finished = max((entry.told_utc for entry in state.entries if entry.told_utc), default=None)
        finished = finished or utc_text(datetime.fromtimestamp(search.state_json.stat().st_mtime).astimezone())
        return End(status=state.status, message=state.message, finished_utc=finished, result=result)

    @property
    def notes(self) -> Notes:
        """Who works on it, and what has gone wrong so far."""
        return read_notes(self.lock)

    @property
    def status(self) -> Status:
        """QUEUED also where it waits to go on. Raises ArtifactError if its files cannot be read."""
        end, search = self.end, self.search
        if end is not None:
            return end.status
        if self.is_by_hand and self.run is not None:
            return self.run.state.status
        is_at_work = bool(load_state(search).entries) if search else is_taken(self.lock)
        return "RUNNING" if is_at_work else "QUEUED"

    def finish(self, status: Status, message: str = "", *, result: dict[str, Any] | None = None) -> None:
        """Writes down how it ended, also in the state of a run whose process could not. Raises DiskFullError."""
        run = self.run
        if run is not None and status != "SUCCEEDED":
            with contextlib.suppress(ArtifactError):
                said = run.state.status  # of what a process said of itself, only an ending of ours is another one
                is_ours = status in ("CANCELLED", "TIMED_OUT") and said != "SUCCEEDED"
                if is_ours or said not in ENDED:
                    run.update_state(status=status, message=message)
        end = End(status=status, message=message, result=result, finished_utc=utc_text(utc_now()))
        write_json(self.result_json, end.model_dump())

    @property
    def has_message(self) -> bool:
        """Whether a message was sent for it that no worker has received."""
        try:
            return self.marker.stat().st_size > 0
        except OSError:
            return False

    def note_message(self, broker: str) -> None:
        """Notes which broker has a message for it; '' = none. Only of a job that was not told yet."""
        with contextlib.suppress(OSError), self.marker.open("r+") as file:
            os.utime(file.fileno())
            file.truncate()
            file.write(broker)

    def forget_marker(self) -> None:
        """What Celery was told of is not looked at any more."""
        self.marker.unlink(missing_ok=True)


def open_ids(paths: Paths) -> dict[str, str]:
    """Returns the ids of the jobs that are open, each with its queue."""
    return {path.name: path.parent.name for path in sorted((paths.models / "open").glob("[!.]*/[!.]*"))}


def open_job(paths: Paths, job_id: str) -> Job:
    """Returns a job by its id. Raises JobError if there is none, it is no id, or its record is broken."""
    checked_id(job_id)
    for path in (paths.models / kind / job_id / "job.json" for kind in _KINDS):
        try:
            return Job(job_id, paths, path.parent, Order.model_validate_json(path.read_bytes()))
        except FileNotFoundError:
            continue
        except ValidationError as error:
            message = f"The record {path} is not whole ({error.errors()[0]['msg']})."
            raise JobError(message, hint="Delete it, and `resume` the run or search.") from None
    raise NoSuchJobError(f"There is no job {job_id!r} in {paths.models}.", hint=_others(paths, job_id))


def find_job(paths: Paths, name: str, *, by_hand: bool = False) -> Job:
    """Returns the job of that id, of that Celery message, or whose id begins so. Raises JobError if there is none.

    Args:
        by_hand: a run or search that was begun without a job will do.
    """
    name = name.partition("~")[0]
    with contextlib.suppress(NoSuchJobError):
        return open_job(paths, name)
    if by_hand and (job := _begun_by_hand(paths, name)):
        return job
    ids = job_ids(paths)
    found = [job_id for job_id in ids if job_id.endswith(f"-{mark_of(name)}")] or [i for i in ids if i.startswith(name)]
    if len(found) > 1:
        raise JobError(f"{len(found)} jobs begin with {name!r}.", hint=f"For example {', '.join(found[-3:])}.")
    return open_job(paths, found[0] if found else name)


def _begun_by_hand(paths: Paths, name: str) -> Job | None:
    for task in ("train", "tune"):
        order = Order(task=task, queue="gpu", created_utc=utc_text(utc_now()), message_id=name)
        job = Job(name, paths, paths.models / FOLDERS[task] / name, order)
        if job.run is not None or job.search is not None:
            return replace(job, order=order.model_copy(update={"arguments": {"run": name} if job.run else {}}))
    return None


def job_ids(paths: Paths) -> list[str]:
    """Returns the ids of all jobs, the earliest asked for first."""
    return sorted(path.parent.name for kind in _KINDS for path in (paths.models / kind).glob("[!.]*/job.json"))


def mark_of(message_id: str) -> str:
    """Returns how the id of a job ends whose message was sent under an id that says no time: by other programs."""
    return hashlib.sha256(message_id.encode()).hexdigest()[:8]


def checked_id(name: Any) -> str:
    """Returns what is an id. Raises JobError for anything else: an id never becomes a path outside its folder."""
    if not isinstance(name, str) or not _ID.fullmatch(name.partition("~")[0]):
        raise JobError(f"{str(name)[:200]!r} is no job id: it has letters, digits, '-', '_' and '.' only.")
    return name


def _others(paths: Paths, job_id: str) -> str:
    ids = job_ids(paths)
    if not ids:
        return "There are no jobs yet; `python -m jobs submit --help` says how to make one."
    hint = did_you_mean(job_id, ids)
    return hint if hint.startswith("Did") else f"The newest are: {', '.join(ids[:-4:-1])}."
