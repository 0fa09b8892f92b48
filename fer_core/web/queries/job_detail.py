"""What is shown of jobs: the queue, how far each is, what it printed. Files alone; the broker is asked elsewhere."""

from contextlib import suppress
from typing import Any

from fer_core.errors import FerError
from fer_core.store.runs import open_run
from fer_core.tuning.folder import open_search
from fer_core.tuning.progress import parse_job_id
from fer_core.tuning.state import summary
from fer_core.web.queries.run_detail import log_tail
from jobs.commands.desk import Desk
from jobs.commands.listing import subject
from jobs.commands.progress import ALIVE, Look, run_progress, search_progress
from jobs.commands.subject import find_subject
from jobs.job import ENDED, Job

ENDED_SHOWN = 50
_ENDED_READ = 500
"""Most may be trials, which are not listed: a search's page shows them with their scores."""


def job_lines(desk: Desk) -> list[dict[str, Any]]:
    """Returns the jobs that are open, oldest first, and then those that ended last, newest first; without trials."""
    look = Look(desk.paths)
    open_jobs, ended_jobs = desk.jobs.open_jobs(), reversed(desk.jobs.ended_jobs(_ENDED_READ))
    wanted = [job for job in open_jobs if parse_job_id(job.id) is None]
    wanted += [job for job in ended_jobs if parse_job_id(job.id) is None][:ENDED_SHOWN]
    lines = [_line(desk, job, look) for job in wanted]
    return sorted(lines, key=lambda line: not line["is_open"])


def job_detail(desk: Desk, name: str) -> dict[str, Any]:
    """Returns what is shown of a job, or of that of a run or search. Raises JobError if there is none."""
    job = find_subject(desk, name).job or desk.jobs.find(name)
    return _line(desk, job, Look(desk.paths)) | {
        "arguments": job.arguments,
        "result": job.result,
        "crashes": job.crashes,
        "worker": job.owner.worker if job.owner else None,
        "log": log_tail(desk.jobs.log(job.id)),
    }


def _line(desk: Desk, job: Job, look: Look) -> dict[str, Any]:
    status = look.status(job)
    waits_for_broker = status == "QUEUED" and job.sent_utc is None
    waits = "stored, waits for the broker" if waits_for_broker else f"waits in the queue {job.queue}"
    can_resume = status in ("FAILED", "CANCELLED", "TIMED_OUT", "INTERRUPTED") and job.task != "trial"
    return {
        "id": job.id,
        "task": job.task,
        "about": subject(job),
        "status": status,
        "is_open": status in ALIVE,
        "queue": job.queue,
        "run": job.run,
        "search": job.search,
        "attempt": job.attempt,
        "doing": look.doing(job) or (waits if status == "QUEUED" else ""),
        "share": _share(desk, job),
        "seconds_left": _seconds_left(desk, job),
        "created_utc": job.created_utc,
        "started_utc": job.started_utc,
        "finished_utc": job.finished_utc if status in ENDED else None,
        "message": job.message or _reason(desk, job, status),
        "waits_for_broker": waits_for_broker,
        "cancel_requested": job.cancel_requested,
        "can_cancel": status in ALIVE and job.task != "trial" and not job.cancel_requested,
        "can_resume": can_resume,
    }


def _reason(desk: Desk, job: Job, status: str) -> str:
    """Returns why what a job began has failed: a search fails long after the job that began it has ended well."""
    if status != "FAILED":
        return ""
    with suppress(FerError):
        if job.search:
            return summary(open_search(desk.paths, job.search)).message
        if job.run:
            return open_run(desk.paths, job.run).state.message
    return ""


def _share(desk: Desk, job: Job) -> float | None:
    """Returns how much of the job is done, 0..1; None where nobody can say."""
    with suppress(FerError):
        if job.task == "tune" and job.search:
            found = summary(open_search(desk.paths, job.search))
            return min(1.0, (found.completed + found.failed) / found.max_trials)
        if job.run:
            state = open_run(desk.paths, job.run).state
            return min(1.0, state.epoch / state.epochs) if state.epochs else None
    return None


def _seconds_left(desk: Desk, job: Job) -> float | None:
    """Returns the seconds to the end at the pace so far; None where nobody can say."""
    with suppress(FerError):
        if job.task == "tune" and job.search:
            return search_progress(open_search(desk.paths, job.search), now=desk.clock()).seconds_left
        return run_progress(open_run(desk.paths, job.run)).seconds_left if job.run else None
    return None
