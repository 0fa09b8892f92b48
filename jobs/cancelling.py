"""Cancelling and resuming a job, with all that belongs to it: its run, or the trials of its search."""

from fer_core.errors import ArtifactError, JobError
from fer_core.paths import Paths
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.tuning.folder import Search, open_search
from fer_core.tuning.progress import cancel_search, reopen_search
from jobs.attempts import close_run
from jobs.job import Job
from jobs.record import Jobs
from jobs.searching import trial_jobs


def cancel(paths: Paths, name: str) -> Job:
    """Cancels the job of that id, run or search, and returns it. What is carried out ends within ten seconds.

    Raises JobError if there is none, or it has ended.
    """
    jobs = Jobs(paths.models / "jobs")
    search = _search_of(paths, jobs, name)
    if search is not None:
        return _cancel_search(jobs, search)
    job = jobs.find(name)
    if job.task == "trial":
        raise JobError(
            f"Job {job.id} is one trial of search {job.search}.",
            hint=f"`python -m jobs cancel {job.search}` cancels all of it.",
        )
    job = jobs.ask_to_cancel(job.id)
    if job.status == "CANCELLED":
        close_run(_run_of(paths, job), "CANCELLED", "Cancelled.")
    return job


def resume(paths: Paths, name: str) -> Job:
    """Puts the job of that id, run or search back into the queue and returns it: it goes on where it was.

    A run without a job, begun by hand, gets one.

    Raises:
        JobError: there is none, it has succeeded, or it has not ended. BrokerAwayError: it waits for the broker.
    """
    from jobs.sending import send, submit  # imports Celery, which `cancel` does without

    jobs = Jobs(paths.models / "jobs")
    search = _search_of(paths, jobs, name)
    if search is not None:
        for job in _reopened(jobs, search):
            send(jobs, job)
        return _job_of(jobs, search)
    try:
        job = jobs.find(name)
    except JobError:
        if not _is_run(paths, name):
            raise
        return submit(paths, "train", {"run": name})
    send(jobs, jobs.reopen(job.id))
    return jobs.read(job.id)


def _cancel_search(jobs: Jobs, search: Search) -> Job:
    cancel_search(search)
    for job in jobs.open_jobs():
        if job.search == search.id:
            jobs.ask_to_cancel(job.id)
    return _job_of(jobs, search)


def _reopened(jobs: Jobs, search: Search) -> list[Job]:
    """Returns the jobs that let a search go on, one for each of its slots but for those that have one."""
    ending = [job.id for job in jobs.open_jobs() if job.search == search.id and job.cancel_requested]
    if ending:
        raise JobError(f"Search {search.id} is still being cancelled.", hint="Wait for some seconds.")
    queue = _job_of(jobs, search).queue
    job_ids = reopen_search(search)
    new = trial_jobs(jobs, search.id, job_ids, queue=queue)
    others = [jobs.read(job_id) for job_id in job_ids if job_id not in {job.id for job in new}]
    again = [jobs.reopen(job.id) for job in others if job.status in ("FAILED", "CANCELLED", "TIMED_OUT")]
    return new + again


def _search_of(paths: Paths, jobs: Jobs, name: str) -> Search | None:
    """Returns the search that a name means: its own id, or that of the job that began it."""
    if (paths.models / "searches" / name / "spec.json").is_file():
        return open_search(paths, name)
    try:
        job = jobs.find(name)
        return open_search(paths, job.search) if job.task == "tune" and job.search else None
    except (JobError, ArtifactError):
        return None


def _job_of(jobs: Jobs, search: Search) -> Job:
    """Returns the job that began a search; where its record is gone, the newest of its trials."""
    every = [job for job in (*jobs.ended_jobs(None), *jobs.open_jobs()) if job.search == search.id]
    began = next((job for job in every if job.task == "tune"), None)
    return began or jobs.find(search.id)


def _is_run(paths: Paths, name: str) -> bool:
    try:
        return open_run(paths, name) is not None
    except ArtifactError:
        return False


def _run_of(paths: Paths, job: Job) -> Run | None:
    try:
        return open_run(paths, job.run) if job.run else None
    except ArtifactError:
        return None
