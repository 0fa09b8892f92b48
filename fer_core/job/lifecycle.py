"""What becomes of a job: it is checked, written down and becomes a run or a search; is cancelled; goes on again."""

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from fer_core.config import Settings, TrainConfig
from fer_core.errors import JobError, NoSuchJobError
from fer_core.job.arguments import TrainArguments, TuneArguments, queue_of, recipe_of, train_config, validate
from fer_core.job.job import ENDED, FOLDERS, End, Job, Order, checked_id, find_job, mark_of, open_job
from fer_core.job.lock import taken
from fer_core.paths import Paths, expanded
from fer_core.resources import file_lock
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.files import create_atomically, full_disk_named, write_json
from fer_core.store.runs import create_run, open_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.starting import with_fixed_models
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import create_search, load_state
from fer_core.tuning.trials import cancel_search, reopen_search

_PATHS = ("data", "init_from", "run", "teacher", "votes", "label_map")
_NOT_PATHS = ("sample", "kaggle", "current", "none", "ferplus")


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
        if open_run(paths, job_id).state.status == "SUCCEEDED":
            raise _finished("train", job_id)
        if (paths.models / "runs" / job_id / "result.json").is_file():
            return resume_job(paths, job_id)
    job_id = checked_id(job_id or new_id(task, checked, clock))
    order = Order(
        task=task,
        arguments=_with_whole_paths(arguments),
        queue=queue_of(task, checked, environ, named=queue),
        created_utc=utc_text(clock()),
        schedule=schedule,
        message_id=message_id or job_id,
        options=dict(options or {}),
    )
    _write(Job(job_id, paths, paths.models / FOLDERS[task] / job_id, order))
    job = open_job(paths, job_id)
    if job.end is None:
        prepare(job)
    return job


def _write(job: Job) -> None:
    if not (job.folder / "job.json").is_file():
        _mark(job)  # first: who is killed in between leaves a mark, which is removed
        with full_disk_named(job.folder):
            job.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process has made it meanwhile
            create_atomically(job.folder / "job.json", job.order.model_dump_json(indent=2) + "\n")


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


def job_of_message(paths: Paths, message_id: str, task: str, create: Callable[[str], Job]) -> Job:
    """Returns the job that belongs to Celery's message; of several messages of one id, the first makes it.

    Args:
        create: makes the job of an id, where there is none.
    """
    job_id = checked_id(message_id).partition("~")[0]
    if (paths.models / FOLDERS[task] / job_id / "job.json").is_file():
        return open_job(paths, job_id)
    if re.fullmatch(r"\d{8}-\d{6}-.+", job_id) or "-" not in job_id:
        return create(job_id)
    paths.models.mkdir(parents=True, exist_ok=True)
    with file_lock(paths.models / ".messages.lock"):
        known = next((paths.models / FOLDERS[task]).glob(f"*-{mark_of(message_id)}/job.json"), None)
        return create(message_id) if known is None else open_job(paths, known.parent.name)


def new_id(task: str, arguments: Settings, clock: Clock = utc_now, ending: str | None = None) -> str:
    """Returns an id that sorts by time and says what it is: 20260131-140212-attention-3f9a."""
    name = task
    if isinstance(arguments, TuneArguments):
        name = f"{arguments.recipe}-{arguments.oracle}"
    elif isinstance(arguments, TrainArguments):
        name = recipe_of(arguments) or TrainConfig.model_validate(arguments.settings).network
    return f"{clock():%Y%m%d-%H%M%S}-{name}-{ending or secrets.token_hex(2)}"


def _with_whole_paths(value: Any, name: str = "") -> Any:
    """Returns arguments in which what is a path here is one that is found from any folder: workers have others."""
    if isinstance(value, dict):
        return {key: _with_whole_paths(one, key) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_whole_paths(one, name) for one in value]
    if name in _PATHS and isinstance(value, str) and value not in _NOT_PATHS and expanded(value).exists():
        return str(expanded(value).resolve())
    return value


def _mark(job: Job) -> None:
    """Notes that a job is open."""
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
    search = job.search
    if search is not None:
        with contextlib.suppress(JobError):  # it has ended meanwhile
            cancel_search(search, message)
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
    try:
        job = find_job(paths, name)
    except NoSuchJobError:
        job = _adopted(paths, checked_id(name))
        if job is None:
            raise
    status = job.status
    if status == "SUCCEEDED":
        raise _finished(job.task, job.id)
    if status not in ENDED:
        raise JobError(f"Job {job.id} is {status}: there is nothing to resume.", hint="It goes on by itself.")
    with taken(job.lock) as held:
        if held is None:
            raise JobError(f"Job {job.id} is still being cancelled.", hint="Wait for some seconds.")
        held.note(crashes=0, losses=0, deadline_utc=None, refused_by={})
        return _opened_again(job)


def _finished(task: str, name: str) -> JobError:
    best = f"`python -m jobs best {name}` shows what it found."
    hint = best if task == "tune" else "`python -m jobs rerun` trains it anew."
    return JobError(f"{name} is finished: there is nothing to resume.", hint=hint)


def _adopted(paths: Paths, name: str) -> Job | None:
    """Makes a job of a run or search that was begun without one; None where there is neither."""
    kinds = (("tune", paths.models / "searches" / name), ("train", paths.models / "runs" / name))
    found = next(((task, folder) for task, folder in kinds if folder.is_dir()), None)
    if found is None:
        return None
    task, folder = found
    arguments = {"run": name} if task == "train" else {}
    order = Order(task=task, arguments=arguments, queue="gpu", created_utc=utc_text(utc_now()), message_id=name)
    job = Job(name, paths, folder, order)
    run, search = job.run, job.search
    if "SUCCEEDED" in (run and run.state.status, search and load_state(search).status):
        raise _finished(task, name)
    if run is not None and run.is_held():
        raise JobError(f"Run {name} is being trained.", hint="It goes on by itself.")
    write_json(folder / "job.json", order.model_dump())
    write_json(folder / "result.json", End(status="CANCELLED").model_dump())
    return job


def _opened_again(job: Job) -> Job:
    """Under another id of Celery's, since that forgets neither a result nor that a message was revoked."""
    base, _, number = job.order.message_id.partition("~")
    order = job.order.model_copy(update={"message_id": f"{base}~{int(number or 0) + 1}"})
    job.cancel_file.unlink(missing_ok=True)
    write_json(job.folder / "job.json", order.model_dump())
    search, run = job.search, job.run
    if search is not None:
        reopen_search(search)
    if run is not None and run.state.status in ("FAILED", "CANCELLED", "TIMED_OUT"):
        run.update_state(status="INTERRUPTED", message="")
    _mark(job)
    (job.folder / "result.json").unlink(missing_ok=True)
    return open_job(job.paths, job.id)
