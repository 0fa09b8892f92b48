"""The jobs of a search: which ones follow when it begins, when a trial has ended, when it is resumed.

What follows from what is decided in `fer_core.tuning.progress`; here it becomes records.
"""

from collections.abc import Iterable
from typing import Literal

from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.tuning.folder import create_search, new_search_id, open_search
from fer_core.tuning.progress import first_jobs, next_jobs, trial_failed
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import load_state
from jobs.job import Job
from jobs.record import Jobs
from jobs.wishes import TuneWish


def begin_search(paths: Paths, jobs: Jobs, job: Job, wish: TuneWish) -> list[Job]:
    """Makes the search of a job `tune`, and returns the jobs of its first trials. Done again, it makes nothing twice.

    Raises ConfigError, ArtifactError, DiskFullError.
    """
    spec = SearchSpec.model_validate(wish.model_dump(exclude={"queue"}))
    search_id = job.search or new_search_id(spec)
    # Noted first: who is killed between the two steps finds the same search again.
    jobs.change(job.id, as_owner=job.owner, search=search_id)
    search = create_search(paths, spec, search_id=search_id)
    return trial_jobs(jobs, search.id, first_jobs(search), queue=job.queue)


def after_trial(paths: Paths, jobs: Jobs, job: Job) -> list[Job]:
    """Returns the jobs that come after a trial which has ended well."""
    search = open_search(paths, job.arguments["search"])
    return trial_jobs(jobs, search.id, next_jobs(search, job.id).send, queue=job.queue)


def after_failed_trial(paths: Paths, jobs: Jobs, job: Job, message: str) -> list[Job]:
    """Returns the jobs that come after a trial which failed for good; the search notes that."""
    search = open_search(paths, job.search or "")
    return trial_jobs(jobs, search.id, trial_failed(search, job.id, message).send, queue=job.queue)


def too_late(paths: Paths, search_id: str) -> Literal["SUCCEEDED", "CANCELLED"] | None:
    """Returns how a trial's job ends whose search has ended before it; None while the search goes on.

    The job of a search that can be resumed must not have succeeded: it is the one that goes on then.
    """
    status = load_state(open_search(paths, search_id)).status
    if status == "RUNNING":
        return None
    return "SUCCEEDED" if status == "SUCCEEDED" else "CANCELLED"


def trial_jobs(jobs: Jobs, search: str, job_ids: Iterable[str], *, queue: str, clock: Clock = utc_now) -> list[Job]:
    """Makes the records of trials' jobs and returns those that were not there yet: they are to be sent."""
    moment = utc_text(clock())
    made = [
        Job(id=job_id, task="trial", arguments={"search": search}, search=search, queue=queue, created_utc=moment)
        for job_id in job_ids
    ]
    return [job for job in made if jobs.create(job)]
