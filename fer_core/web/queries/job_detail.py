"""What is shown of jobs: the queue, how far each is, what it printed. Files alone; the broker is asked elsewhere."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from fer_core.errors import FerError
from fer_core.job.job import ENDED, Job, find_job
from fer_core.job.progress import Look, about, run_progress, search_progress
from fer_core.paths import Paths
from fer_core.store.clock import Clock
from fer_core.tuning.state import summary
from fer_core.web.queries.run_detail import log_tail

ENDED_SHOWN = 50
_LINE = ("id", "task", "status", "queue", "run", "search", "attempt", "created_utc", "started_utc")
_LINE += ("finished_utc", "message", "cancel_requested")
_DETAIL = ("arguments", "result", "crashes")


def job_lines(paths: Paths, clock: Clock) -> list[dict[str, Any]]:
    """Returns the jobs that are open, oldest first, and then those that ended last, newest first."""
    look = Look(paths)
    lines = [_line(job, look.metadata(job), clock) for job in look.recent(ENDED_SHOWN)]
    ended = [line for line in lines if not line["is_open"]]
    return [*(line for line in lines if line["is_open"]), *reversed(ended)]


def job_detail(paths: Paths, name: str, clock: Clock) -> dict[str, Any]:
    """Returns what is shown of a job. Raises JobError if there is none."""
    job = find_job(paths, name)
    facts = Look(paths).metadata(job)
    owner = facts["owner"]
    more = {"worker": owner["worker"] if owner else None, "log": log_tail(_log(job))}
    return _line(job, facts, clock) | {name: facts[name] for name in _DETAIL} | more


def _line(job: Job, facts: dict[str, Any], clock: Clock) -> dict[str, Any]:
    is_open = facts["status"] not in ENDED
    waits_for_broker = facts["status"] == "QUEUED" and not job.has_message
    waits = "stored, waits for the broker" if waits_for_broker else f"waits in the queue {job.queue}"
    return {name: facts[name] for name in _LINE} | {
        "about": about(job),
        "doing": waits if facts["status"] == "QUEUED" else facts["doing"],
        "waits_for_broker": waits_for_broker,
        "is_open": is_open,
        "share": _share(job),
        "seconds_left": _seconds_left(job, clock),
        "can_cancel": is_open and not facts["cancel_requested"],
        "can_resume": facts["status"] in ("FAILED", "CANCELLED", "TIMED_OUT"),
    }


def _log(job: Job) -> Path:
    """Of a search, that of the training that was begun last."""
    logs = sorted((job.folder / "output").glob("s*.txt"), key=lambda path: path.stat().st_mtime)
    return logs[-1] if logs else job.log


def _share(job: Job) -> float | None:
    """Returns how much of the job is done, 0..1; None where nobody can say."""
    with suppress(FerError):
        if job.search is not None:
            found = summary(job.search)
            wanted = found.max_trials if not found.confirming else found.asked + found.confirming
            return min(1.0, (found.completed + found.failed + found.confirmations) / wanted)
        if job.run is not None:
            state = job.run.state
            return min(1.0, state.epoch / state.epochs) if state.epochs else None
    return None


def _seconds_left(job: Job, clock: Clock) -> float | None:
    """Returns the seconds to the end at the pace so far; None where nobody can say."""
    with suppress(FerError):
        if job.search is not None:
            return search_progress(job.search, now=clock()).seconds_left
        return run_progress(job.run).seconds_left if job.run else None
    return None
