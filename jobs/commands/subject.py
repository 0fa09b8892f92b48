"""What a name on the command line means: a job, a run, or a search, and how far it is."""

import contextlib
from dataclasses import dataclass
from typing import Any

from fer_core.errors import ArtifactError, JobError
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.tuning.folder import Search, open_search
from fer_core.tuning.state import load_state
from jobs.commands.desk import Desk
from jobs.commands.progress import ALIVE, run_progress, search_progress
from jobs.job import Job


@dataclass(frozen=True)
class Subject:
    """A job with the run or the search that it works on; or one of these alone."""

    job: Job | None = None
    run: Run | None = None
    search: Search | None = None

    @property
    def status(self) -> str:
        """That of the search, where it is one: the job that began it ends as soon as the trials are under way."""
        if self.search is not None:
            return load_state(self.search).status
        return self.job.status if self.job else self.run.state.status

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.status in ALIVE


def find_subject(desk: Desk, name: str) -> Subject:
    """Returns what is meant: the search, the job (or the newest one of that run), or the run of that name.

    Raises JobError, with "did you mean", if there is nothing of that name.
    """
    with contextlib.suppress(ArtifactError):
        search = open_search(desk.paths, name)
        return Subject(_job_that_began(desk, name), search=search)
    try:
        return _of_job(desk, desk.jobs.find(name))
    except JobError:
        with contextlib.suppress(ArtifactError):
            return Subject(run=open_run(desk.paths, name))
        raise


def seen_again(desk: Desk, subject: Subject) -> Subject:
    """Returns the subject as it is now: its job read anew, and a run or search that has been made meanwhile."""
    if subject.job is None:
        return subject
    if subject.search is not None and subject.job.task != "tune":
        return subject
    return _of_job(desk, desk.jobs.read(subject.job.id))


def metadata(desk: Desk, subject: Subject) -> dict[str, Any]:
    """Returns all that is known of it, as plain values."""
    told: dict[str, Any] = {"status": subject.status}
    if subject.job is not None:
        told["job"] = subject.job.model_dump(mode="json") | {"log": str(desk.jobs.log(subject.job.id))}
    if subject.search is not None:
        progress = search_progress(subject.search, now=desk.clock())
        told["search"] = progress.summary._asdict() | {
            "seconds": progress.seconds,
            "seconds_left": progress.seconds_left,
        }
        told["running"] = [trial._asdict() for trial in progress.running]
    elif subject.run is not None:
        progress = run_progress(subject.run)
        best = progress.best and progress.best._asdict()
        told["run"] = {"id": subject.run.id, **progress.state.model_dump(), "last": progress.last, "best": best}
        told["run"]["seconds_left"] = progress.seconds_left
    return told


def _of_job(desk: Desk, job: Job) -> Subject:
    search = _there(open_search, desk, job.search)
    if job.task == "tune":
        return Subject(job, search=search)
    entry = load_state(search).entry_of(job.id) if search else None
    return Subject(job, run=_there(open_run, desk, entry.run if entry else job.run))


def _job_that_began(desk: Desk, search_id: str) -> Job | None:
    jobs = (*desk.jobs.open_jobs(), *desk.jobs.ended_jobs(None))
    return next((job for job in jobs if job.task == "tune" and job.search == search_id), None)


def _there(open_one: Any, desk: Desk, name: str | None) -> Any:
    if name is None:
        return None
    try:
        return open_one(desk.paths, name)
    except ArtifactError:  # it is being made, or has been removed
        return None
