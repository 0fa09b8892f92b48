"""What becomes of a job: it is checked, written down and becomes a run or a search; is cancelled; goes on again."""

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from typing import Any

from fer_core.config import Settings
from fer_core.errors import ArtifactError, ConfigError, JobError
from fer_core.job.arguments import TrainArguments, TuneArguments, queue_of, recipe_of, train_config, validate
from fer_core.job.job import ENDED, FOLDERS, Job, Order, checked_id, find_job, mark_of, open_job
from fer_core.locks import taken
from fer_core.paths import Paths, expanded
from fer_core.resources import file_lock
from fer_core.store.files import Clock, create_atomically, full_disk_named, utc_now, utc_text, write_json
from fer_core.store.runs import create_run, open_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.starting import with_fixed_models
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import create_search
from fer_core.tuning.trials import cancel_search, reopen_search

_PATHS = (
    *("data", "more_images", "votes", "label_map", "exclude", "source", "markers", "coding", "labels"),
    *("init_from", "run", "teacher", "model", "detector_model", "recognizer_model"),
)
_NOT_PATHS = ("sample", "kaggle", "current", "none", "ferplus")
_OURS = re.compile(r"\d{8}-\d{6}-.+")


def create_job(
    paths: Paths,
    task: str,
    arguments: dict[str, Any],
    *,
    job_id: str | None = None,
    message_id: str | None = None,
    schedule: str | None = None,
    queue: str | None = None,
    options: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = utc_now,
) -> Job:
    """Returns a new job, or the one of that id. A training has its run then, and `tune` its search.

    Args:
        arguments: as `celery call --kwargs` takes them; relative paths are of this process's folder.
        message_id: Celery's id of it, if that is another one. options: of its message.
        schedule: the entry of the schedule that it comes from.
        queue: the one that its message came from.

    Raises:
        ConfigError: an argument is wrong. JobError: there is no such task, queue or run, or the run is finished.
        DiskFullError.
    """
    checked = validate(task, arguments)
    if isinstance(checked, TrainArguments) and checked.run is not None:
        job_id = checked.run
        run = open_run(paths, job_id)
        if run.state.status == "SUCCEEDED":
            raise _finished("train", job_id)
        if (run.folder / "result.json").is_file():
            return resume_job(paths, job_id)
    job_id = checked_id(job_id) if job_id else _free_id(paths, task, checked, clock)
    order = Order(
        task=task,
        arguments=_with_whole_paths(arguments),
        queue=queue_of(task, checked, environ, named=queue),
        created_utc=utc_text(clock()),
        schedule=schedule,
        message_id=message_id or job_id,
        options=dict(options or {}),
    )
    job = Job(job_id, paths, paths.models / FOLDERS[task] / job_id, order)
    is_new = not job.job_json.is_file()
    if is_new:
        _mark(job)  # first: who is killed in between leaves a mark, which is removed
        with full_disk_named(job.folder):
            job.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process has made it meanwhile
            create_atomically(job.job_json, order.model_dump_json(indent=2) + "\n")
    job = open_job(paths, job_id)
    try:
        if job.end is None:
            prepare(job)
    except (ArtifactError, ConfigError):
        if is_new and schedule is None:  # who asks for it hears why; of what the schedule begins, a worker tells
            job.job_json.unlink(missing_ok=True)
            job.forget_marker()
            with contextlib.suppress(OSError):
                job.folder.rmdir()
        raise
    return job


def prepare(job: Job) -> None:
    """Makes the run or the search of a job, if there is none yet. Raises ConfigError, ArtifactError, DiskFullError."""
    arguments = job.arguments
    if isinstance(arguments, TuneArguments) and job.search is None:
        spec = SearchSpec.model_validate(arguments.model_dump(exclude={"queue"}))
        create_search(job.paths, spec, search_id=job.id)
    elif isinstance(arguments, TrainArguments) and job.run is None:
        config = with_fixed_models(train_config(arguments), job.paths)
        named = {"recipe": recipe_of(arguments), "promote": arguments.promote, "run_id": job.id}
        create_run(job.paths, config, history_header=HISTORY_HEADER, **named)


def job_of_message(paths: Paths, message_id: str, task: str, arguments: dict[str, Any], **known: Any) -> Job:
    """Returns the job that belongs to Celery's message; of several messages of one id, the first makes it.

    Args:
        arguments: what the message has. known: what `create_job` takes besides.
    """
    job_id, folder = checked_id(message_id).partition("~")[0], paths.models / FOLDERS[task]
    if (folder / job_id / "job.json").is_file():
        return open_job(paths, job_id)
    known["message_id"] = message_id
    if _OURS.match(job_id):
        return create_job(paths, task, arguments, job_id=job_id, **known)
    paths.models.mkdir(parents=True, exist_ok=True)
    mark = mark_of(job_id)
    with file_lock(paths.models / ".messages.lock"):
        made = next(folder.glob(f"*-{mark}/job.json"), None)
        if made is not None:
            return open_job(paths, made.parent.name)
        job_id = new_id(task, validate(task, arguments), ending=mark)
        return create_job(paths, task, arguments, job_id=job_id, **known)


def new_id(task: str, arguments: Settings, clock: Clock = utc_now, ending: str | None = None) -> str:
    """Returns an id that sorts by time and says what it is: 20260131-140212-attention-3f9a."""
    name = task
    if isinstance(arguments, TuneArguments):
        name = f"{arguments.recipe}-{arguments.oracle}"
    elif isinstance(arguments, TrainArguments):
        name = recipe_of(arguments) or arguments.settings["network"]
    return f"{clock():%Y%m%d-%H%M%S}-{name}-{ending or secrets.token_hex(2)}"


def _free_id(paths: Paths, task: str, arguments: Settings, clock: Clock) -> str:
    """Of hundreds of jobs in a second, two come to the same four digits."""
    while (paths.models / FOLDERS[task] / (job_id := new_id(task, arguments, clock))).exists():
        pass
    return job_id


def _with_whole_paths(value: Any, name: str = "") -> Any:
    """Returns arguments in which what is a path here is one that is found from any folder: workers have others."""
    if isinstance(value, dict):
        return {key: _with_whole_paths(one, key) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_whole_paths(one, name) for one in value]
    if name in _PATHS and isinstance(value, str) and value not in _NOT_PATHS:
        is_here = os.path.exists(expanded(value))  # noqa: PTH110 (the method of Path raises for what is too long)
        return str(expanded(value).resolve()) if is_here else value
    return value


def _mark(job: Job) -> None:
    with full_disk_named(job.marker):
        job.marker.parent.mkdir(parents=True, exist_ok=True)
        job.marker.write_text("")


def cancel_job(job: Job, message: str = "Cancelled.") -> None:
    """Asks for the end of a job; at once where nobody works on it. Raises JobError if it has ended."""
    end = job.end
    if end is not None:
        hint = "" if end.status == "SUCCEEDED" else f"`python -m jobs resume {job.id}` would go on with it."
        raise JobError(f"Job {job.id} has ended: it is {end.status}.", hint=hint)
    job.cancel_file.touch()
    if job.search is not None:
        cancel_search(job.search, message)
    end_cancelled(job, message)


def end_cancelled(job: Job, message: str = "Cancelled.") -> None:
    """Ends a job that was cancelled while nobody worked on it, or whose worker has died since."""
    if job.search is None and job.cancel_file.exists():
        with taken(job.lock, patience_seconds=0.0) as held:
            if held is not None and job.end is None:
                job.finish("CANCELLED", message)


def resume_job(paths: Paths, name: str) -> Job:
    """Opens a job that failed, was cancelled or ran out of time again, and returns it; a run or search without one too.

    Raises JobError if there is none, it has succeeded, or it has not ended.
    """
    job = find_job(paths, name, by_hand=True)
    status = job.status
    if status == "SUCCEEDED":
        raise _finished(job.task, job.id)
    if job.is_by_hand and job.run is not None and job.run.is_held():
        raise JobError(f"Run {job.id} is being trained.", hint="It goes on by itself.")
    if status not in ENDED and not job.is_by_hand:
        raise JobError(f"Job {job.id} is {status}: there is nothing to resume.", hint="It goes on by itself.")
    with taken(job.lock) as held:
        if held is None:
            raise JobError(f"Job {job.id} is still being cancelled.", hint="Wait for some seconds.")
        held.note(crashes=0, losses=0, deadline_utc=None, refused_by={})
        return _opened_again(job)


def _opened_again(job: Job) -> Job:
    """Under another id of Celery's, since that forgets neither a result nor that a message was revoked."""
    base, _, number = job.order.message_id.partition("~")
    order = job.order.model_copy(update={"message_id": f"{base}~{int(number or 0) + 1}"})
    job.cancel_file.unlink(missing_ok=True)
    if job.search is not None:
        reopen_search(job.search)
    if job.run is not None and job.run.state.status in ("FAILED", "CANCELLED", "TIMED_OUT"):
        job.run.update_state(status="INTERRUPTED", message="")
    _mark(job)
    write_json(job.job_json, order.model_dump())
    job.result_json.unlink(missing_ok=True)
    return open_job(job.paths, job.id)


def _finished(task: str, name: str) -> JobError:
    hints = {"tune": f"`python -m jobs best {name}` shows what it found."}
    hints |= dict.fromkeys(("train", "retrain"), f"`python -m jobs rerun {name}` trains it anew.")
    hint = hints.get(task, f"`python -m jobs submit {task}` makes a new one.")
    return JobError(f"{name} is finished: there is nothing to resume.", hint=hint)
