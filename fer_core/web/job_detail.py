"""What is shown of jobs and searches, from their files; and what is asked of the broker: to take a job, who listens.

The broker may be away, which is said and breaks nothing else. Celery is imported when it is first asked.
"""

import threading
from contextlib import suppress
from typing import Any

from fer_core.errors import ArtifactError, FerError
from fer_core.job.broker import Broker
from fer_core.job.broker_address import BrokerAwayError
from fer_core.job.change import resume_job
from fer_core.job.create import create_job
from fer_core.job.job import ENDED, Job, find_job
from fer_core.job.progress import Look, about, run_progress, search_progress, wanted_workers
from fer_core.paths import Paths
from fer_core.store.clock import Clock
from fer_core.tuning.entries import Entry
from fer_core.tuning.folder import Search, list_searches
from fer_core.tuning.ranking import is_finished, objective_value
from fer_core.tuning.state import Summary, load_state, summary
from fer_core.web.run_detail import log_tail
from fer_core.web.service import service

ENDED_SHOWN = 50
HOW_TO_START = "`python -m jobs up` starts broker and workers on this machine; $FER_BROKER_URL names another broker."
_LINE = ("id", "task", "status", "queue", "run", "search", "attempt", "created_utc", "started_utc")
_LINE += ("finished_utc", "message", "cancel_requested")
_DETAIL = ("arguments", "result", "crashes")
_IMPORTING = threading.Lock()


def submitted(task: str, arguments: dict[str, Any]) -> Job:
    """Returns a new job, sent. Where only the broker is away, it waits on the disk. Raises FerError."""
    held = service()
    return _sent(create_job(held.paths, task, arguments, environ=held.environ, clock=held.clock))


def resumed(name: str) -> Job:
    """Returns the job that goes on with a job, a run or a search, sent. Raises FerError as `submitted` does."""
    return _sent(resume_job(service().paths, name))


def broker_state() -> dict[str, Any]:
    """Returns whether the broker answers, and who takes jobs from which queue; takes up to two seconds."""
    state = {"reachable": True, "problem": "", "hint": "", "waiting": None, "queues": {}, "workers": []}
    state["wanted"] = wanted_workers(service().paths)
    try:
        broker = _broker()
        waiting = sum(broker.waiting().values())
        workers = broker.workers(seconds=0.5)
    except (FerError, OSError) as error:
        hint = getattr(error, "hint", "") or HOW_TO_START
        return state | {"reachable": False, "problem": str(error), "hint": hint}
    queues: dict[str, list[str]] = {}
    for name, own in sorted(workers.items()):
        for queue in own["queues"]:
            queues.setdefault(queue, []).append(name)
    hint = "" if workers else "No worker listens: `python -m jobs up` starts one."
    return state | {"hint": hint, "waiting": waiting, "queues": queues, "workers": sorted(workers)}


def job_lines(paths: Paths, clock: Clock) -> list[dict[str, Any]]:
    """Returns the jobs that are open, oldest first, and then those that ended last, newest first."""
    look = Look(paths)
    lines = [_line(job, look.metadata(job), clock) for job in look.recent(ENDED_SHOWN)]
    ended = [line for line in lines if not line["is_open"]]
    return [*(line for line in lines if line["is_open"]), *reversed(ended)]


def job_detail(paths: Paths, name: str, clock: Clock) -> dict[str, Any]:
    """Returns what is shown of a job. Raises JobError if there is none."""
    job = find_job(paths, name)
    metadata = Look(paths).metadata(job)
    owner = metadata["owner"]
    # Of a search, the log of the training that was begun last.
    logs = sorted((job.folder / "output").glob("s*.txt"), key=lambda path: path.stat().st_mtime)
    more = {"worker": owner["worker"] if owner else None, "log": log_tail(logs[-1] if logs else job.log)}
    return _line(job, metadata, clock) | {name: metadata[name] for name in _DETAIL} | more


def search_lines(paths: Paths) -> list[Summary]:
    """Returns all searches that can be read, the newest first."""
    lines = []
    for search in reversed(list_searches(paths)):
        with suppress(FerError):
            lines.append(summary(search))
    return lines


def search_detail(search: Search, clock: Clock) -> dict[str, Any]:
    """Returns all that is shown of a search, as plain values. Raises ArtifactError if it cannot be read."""
    progress, state = search_progress(search, now=clock()), load_state(search)
    best_toml = None
    with suppress(OSError, UnicodeDecodeError, ArtifactError):
        best_toml = search.best_toml.read_text(encoding="utf-8")
    trials = [entry.model_dump(mode="json", exclude={"values", "job"}) for entry in state.entries]
    return {
        "search": progress.summary._asdict(),
        "seconds": progress.seconds,
        "seconds_left": progress.seconds_left,
        "running": [trial._asdict() for trial in progress.running],
        "parameters": [parameter.model_dump(mode="json") for parameter in search.parameters],
        "trials": [row | {"settings": entry.settings} for row, entry in zip(trials, state.entries, strict=True)],
        "best_over_time": _best_over_time(state.entries, search.spec.objective),
        "best_toml": best_toml,
    }


def _best_over_time(entries: list[Entry], objective: str) -> list[dict[str, Any]]:
    """Returns a point for each trial that came to a score, in the order of their ends, with the best so far."""
    finished = [entry for entry in entries if entry.kind == "trial" and is_finished(entry)]
    points: list[dict[str, Any]] = []
    for entry in sorted(finished, key=lambda entry: (entry.told_utc or "", entry.number)):
        best = points[-1]["best"] if points else entry.score
        best = max(best, entry.score, key=lambda score: objective_value(objective, score))
        points.append({"trial": entry.number, "time": entry.told_utc, "score": entry.score, "best": best})
    return points


def _broker() -> Broker:
    broker = Broker(service().paths, service().environ)
    with _IMPORTING:
        broker.app.finalize()
    return broker


def _sent(job: Job) -> Job:
    with suppress(BrokerAwayError):
        _broker().send(job)
    return job


def _line(job: Job, metadata: dict[str, Any], clock: Clock) -> dict[str, Any]:
    status = metadata["status"]
    is_open = status not in ENDED
    waits_for_broker = status == "QUEUED" and not job.has_message
    waits = "stored, waits for the broker" if waits_for_broker else f"waits in the queue {job.queue}"
    share, seconds_left = _progress(job, clock)
    return {name: metadata[name] for name in _LINE} | {
        "about": about(job),
        "doing": waits if status == "QUEUED" else metadata["doing"],
        "waits_for_broker": waits_for_broker,
        "is_open": is_open,
        "share": share,
        "seconds_left": seconds_left,
        "can_cancel": is_open and not metadata["cancel_requested"],
        "can_resume": status in ("FAILED", "CANCELLED", "TIMED_OUT"),
    }


def _progress(job: Job, clock: Clock) -> tuple[float | None, float | None]:
    """Returns how much of the job is done, 0..1, and the seconds that are left; None where nobody can say."""
    with suppress(FerError):
        if job.search is not None:
            progress = search_progress(job.search, now=clock())
            found = progress.summary
            wanted = found.max_trials if not found.confirming else found.asked + found.confirming
            done = (found.completed + found.failed + found.confirmations) / wanted
            return min(1.0, done), progress.seconds_left
        if job.run is not None:
            progress = run_progress(job.run)
            epoch, epochs = progress.state.epoch, progress.state.epochs
            return min(1.0, epoch / epochs) if epochs else None, progress.seconds_left
    return None, None
