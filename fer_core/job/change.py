"""What may happen to a job from outside: it is cancelled, or goes on again."""

import contextlib
from pathlib import Path

from fer_core.errors import JobError, NoSuchJobError
from fer_core.job.job import ENDED, End, Job, Order, TaskName, checked_id, find_job, open_job
from fer_core.job.lock import taken
from fer_core.paths import Paths
from fer_core.store.clock import utc_now, utc_text
from fer_core.store.files import full_disk_named, write_json
from fer_core.tuning.state import load_state
from fer_core.tuning.trials import cancel_search, reopen_search


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
    job = _found_or_made(paths, name)
    status = job.status
    if status == "SUCCEEDED":
        found = f"`python -m jobs best {job.id}` shows what it found."
        hint = found if job.task == "tune" else "`python -m jobs rerun` trains it anew."
        raise JobError(f"Job {job.id} is finished: there is nothing to resume.", hint=hint)
    if status not in ENDED:
        raise JobError(f"Job {job.id} is {status}: there is nothing to resume.", hint="It goes on by itself.")
    with taken(job.lock) as held:
        if held is None:
            raise JobError(f"Job {job.id} is still being cancelled.", hint="Wait for some seconds.")
        held.note(crashes=0, losses=0, deadline_utc=None, refused_by={})
        return _opened_again(job)


def _found_or_made(paths: Paths, name: str) -> Job:
    try:
        return find_job(paths, name)
    except NoSuchJobError:
        for task, kind in (("tune", "searches"), ("train", "runs")):
            if (paths.models / kind / checked_id(name)).is_dir():
                return _adopted(paths, task, paths.models / kind / name)
        raise


def _adopted(paths: Paths, task: TaskName, folder: Path) -> Job:
    """Makes a job of a run or search that was begun without one."""
    order = Order(
        task=task,
        arguments={"run": folder.name} if task == "train" else {},
        queue="gpu",
        created_utc=utc_text(utc_now()),
        message_id=folder.name,
    )
    job = Job(folder.name, paths, folder, order)
    run, search = job.run, job.search
    if run is not None and run.state.status == "SUCCEEDED":
        raise JobError(f"Run {job.id} is finished: there is nothing to resume.", hint="Use it, or `rerun` it.")
    if run is not None and run.is_held():
        raise JobError(f"Run {job.id} is being trained.", hint="It goes on by itself.")
    if search is not None and load_state(search).status == "SUCCEEDED":
        hint = f"`python -m jobs best {job.id}` shows what it found."
        raise JobError(f"Search {job.id} is finished.", hint=hint)
    write_json(folder / "job.json", order.model_dump())
    write_json(folder / "result.json", End(status="CANCELLED").model_dump())
    return job


def _opened_again(job: Job) -> Job:
    """Under another id of Celery's, since that forgets neither a result nor that a message was revoked."""
    base, _, number = job.order.message_id.partition("~")
    order = job.order.model_copy(update={"message_id": f"{base}~{int(number or 0) + 1}"})
    job.cancel_file.unlink(missing_ok=True)
    write_json(job.folder / "job.json", order.model_dump())
    search = job.search
    if search is not None:
        reopen_search(search)
    run = job.run
    if run is not None and run.state.status in ("FAILED", "CANCELLED", "TIMED_OUT"):
        run.update_state(status="INTERRUPTED", message="")
    mark(job)
    (job.folder / "result.json").unlink(missing_ok=True)
    return open_job(job.paths, job.id)


def mark(job: Job) -> None:
    """Notes that a job is open."""
    with full_disk_named(job.marker):
        job.marker.parent.mkdir(parents=True, exist_ok=True)
        job.marker.write_text("")
