"""A new job: what was asked for is checked and written down, and becomes a run or a search, before anything is sent."""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from fer_core.config import Settings, TrainConfig
from fer_core.errors import JobError
from fer_core.job.arguments import TrainArguments, TuneArguments, queue_of, recipe_of, train_config, validate
from fer_core.job.change import mark, resume_job
from fer_core.job.job import FOLDERS, Job, Order, checked_id, mark_of, open_job
from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.files import full_disk_named, sweep, sync, temporary_beside, write_json
from fer_core.store.runs import create_run, open_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.starting import with_fixed_models
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import create_search

_PATHS = ("data", "init_from", "run", "teacher")
_NOT_PATHS = ("sample", "kaggle", "current")


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
        job_id = _run_to_go_on_with(paths, checked.run)
        if (paths.models / "runs" / job_id / "result.json").is_file():
            return resume_job(paths, job_id)
    job_id = checked_id(job_id or new_id(task, checked, clock))
    folder = paths.models / FOLDERS[task] / job_id
    order = Order(
        task=task,
        arguments=_findable(arguments),
        queue=queue_of(task, checked, environ, named=queue),
        created_utc=utc_text(clock()),
        schedule=schedule,
        message_id=message_id or job_id,
        options=dict(options or {}),
    )
    if not (folder / "job.json").is_file():
        job = Job(job_id, paths, folder, order)
        mark(job)  # first: who is killed in between leaves a mark without a job, which is removed
        _appear(folder, order)
    job = open_job(paths, job_id)
    if job.end is None:
        prepare(job)
    return job


def prepare(job: Job) -> None:
    """Makes the run or the search of a job, if there is none yet. Raises ConfigError, ArtifactError, DiskFullError."""
    arguments = job.arguments
    if isinstance(arguments, TuneArguments) and job.search is None:
        spec = SearchSpec.model_validate(arguments.model_dump(exclude={"queue"}))
        create_search(job.paths, spec, search_id=job.id)
    elif isinstance(arguments, TrainArguments) and job.run is None:
        config = with_fixed_models(train_config(arguments), job.paths)
        config = config.model_copy(update={"data": whole_path(config.data)})
        recipe, promote = recipe_of(arguments), arguments.promote
        known = {"recipe": recipe, "promote": promote, "history_header": HISTORY_HEADER, "run_id": job.id}
        create_run(job.paths, config, **known)


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
    with FileLock(paths.models / ".messages.lock"):
        known = next((paths.models / FOLDERS[task]).glob(f"*-{mark_of(message_id)}/job.json"), None)
        if known is not None:
            return open_job(paths, known.parent.name)
        return create(message_id)


def new_id(task: str, arguments: Settings, clock: Clock = utc_now, ending: str | None = None) -> str:
    """Returns an id that sorts by time and says what it is: 20260131-140212-attention-3f9a."""
    if isinstance(arguments, TuneArguments):
        name = f"{arguments.recipe}-{arguments.oracle}"
    elif isinstance(arguments, TrainArguments):
        name = recipe_of(arguments) or TrainConfig.model_validate(arguments.settings).network
    else:
        name = task
    return f"{clock():%Y%m%d-%H%M%S}-{name}-{ending or secrets.token_hex(2)}"


def whole_path(text: str | None) -> str | None:
    """Returns a path so that it is found from any folder; what is no path here stays as it is."""
    if text is None or text in _NOT_PATHS or not Path(text).expanduser().exists():
        return text
    return str(Path(text).expanduser().resolve())


def _run_to_go_on_with(paths: Paths, run_id: str) -> str:
    run = open_run(paths, run_id)
    if run.state.status == "SUCCEEDED":
        raise JobError(f"Run {run_id} is finished: there is nothing to go on with.", hint="`rerun` trains it anew.")
    return run_id


def _appear(folder: Path, order: Order) -> None:
    """Makes the folder with job.json in one instant; in one that is there (a run begun by hand), the file."""
    if folder.is_dir():
        write_json(folder / "job.json", order.model_dump())
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent)
    temporary = temporary_beside(folder)
    try:
        with full_disk_named(folder):
            temporary.mkdir()
            write_json(temporary / "job.json", order.model_dump())
            temporary.rename(folder)
            sync(folder.parent)
    except OSError:
        if not (folder / "job.json").is_file():  # another process may have made it meanwhile
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _findable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Workers have other working folders."""
    found = {name: _whole(arguments[name]) for name in _PATHS if name in arguments}
    if isinstance(arguments.get("settings"), dict):
        found["settings"] = _findable(arguments["settings"])
    return arguments | found


def _whole(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_whole(part) for part in value]
    return whole_path(value) if isinstance(value, str) else value
