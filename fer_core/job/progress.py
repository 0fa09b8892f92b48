"""How far a job, a run or a search is, read from its files: epoch of epochs, scores, time left, trials."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from fer_core.errors import ArtifactError, FerError
from fer_core.job.job import End, Job, job_ids, open_ids, open_job
from fer_core.locks import is_taken
from fer_core.paths import Paths
from fer_core.store.files import utc_now
from fer_core.store.run import Run, State, notes_of, read_metrics
from fer_core.store.runs import open_run
from fer_core.tuning.entries import Entry
from fer_core.tuning.stage import parse_trial_name, slot_count, slot_lock, work_left
from fer_core.tuning.state import Search, Summary, load_state, summary

_RECENT_EPOCHS = 3


class BestEpoch(NamedTuple):
    """The epoch that is kept so far, by what the run monitors."""

    epoch: int
    name: str
    value: float


class RunProgress(NamedTuple):
    """How far a run is."""

    state: State
    monitor: str
    last: dict[str, Any] | None  # the row of the last finished epoch
    best: BestEpoch | None
    seconds_left: float | None
    """At the pace of the last epochs, if it does not stop early; None where it is not trained, or nothing is known."""


class TrialProgress(NamedTuple):
    """A trial that is being trained."""

    number: int
    run: str
    epoch: int
    epochs: int | None
    settings: dict[str, Any]


class SearchProgress(NamedTuple):
    """How far a search is."""

    summary: Summary
    running: tuple[TrialProgress, ...]
    seconds: float | None  # since it began, until now or until its end
    seconds_left: float | None  # as reckoned last; None where it does not run, or no epoch was measured


def run_progress(run: Run) -> RunProgress:
    """Returns how far a run is. Raises ArtifactError if its files cannot be read."""
    state, monitor = run.state, run.manifest.config.monitor
    entries = read_metrics(run.metrics_jsonl)
    rows = list({entry["epoch"]: entry for entry in entries if entry.get("kind") == "epoch"}.values())
    left = _seconds_left(state, rows, entries) if state.status == "RUNNING" else None
    scored = [row for row in rows if row.get(monitor) is not None]
    sign = 1 if monitor == "val_loss" else -1
    best = min(scored, key=lambda row: (sign * row[monitor], row["epoch"]), default=None)
    best = best and BestEpoch(best["epoch"], monitor, best[monitor])
    return RunProgress(state, monitor, rows[-1] if rows else None, best, left)


def _seconds_left(state: State, rows: list[dict], entries: list[dict]) -> float | None:
    each = [row["seconds"] for row in rows[-_RECENT_EPOCHS:] if row.get("seconds")]
    if not each:  # what it has reckoned itself, from its first steps
        each = [entry["epoch_seconds"] for entry in entries if entry.get("epoch_seconds")][-1:]
    if not each or not state.epochs:
        return None
    step = next((entry for entry in reversed(entries) if entry.get("steps")), {})
    done = state.epoch + (step["step"] / step["steps"] if step.get("epoch") == state.epoch + 1 else 0.0)
    return max(0.0, (state.epochs - done) * sum(each) / len(each))


def search_progress(search: Search, *, now: datetime) -> SearchProgress:
    """Returns how far a search is. Raises ArtifactError if its files cannot be read."""
    state, found = load_state(search), summary(search)
    running = [_trial(search.paths, entry) for entry in state.entries if entry.status == "RUNNING"]
    left = found.ends_utc and max(0.0, (datetime.fromisoformat(found.ends_utc) - now).total_seconds())
    seconds = None
    if found.started_utc is not None:
        last = max((entry.told_utc for entry in state.entries if entry.told_utc), default=None)
        end = now if found.status == "RUNNING" or last is None else datetime.fromisoformat(last)
        seconds = (end - datetime.fromisoformat(found.started_utc)).total_seconds()
    return SearchProgress(found, tuple(running), seconds, left)


def _trial(paths: Paths, entry: Entry) -> TrialProgress:
    state = State()
    with suppress(ArtifactError):  # it is being made
        state = open_run(paths, entry.run).state
    return TrialProgress(entry.number, entry.run, state.epoch, state.epochs, entry.settings)


def open_jobs(paths: Paths) -> list[Job]:
    """Returns the jobs that have not ended, the earliest first; those that cannot be read are left out."""
    return [job for job in _readable(paths, sorted(open_ids(paths))) if job.end is None]


def recent_jobs(paths: Paths, ended: int | None) -> list[Job]:
    """Returns the jobs that ended last, so many (None: all), the first to end first; then those that are open."""
    opened = open_ids(paths)
    newest_first = (job_id for job_id in reversed(job_ids(paths)) if job_id not in opened)
    found = [job for job in _readable(paths, sorted(opened)) if job.end is not None]
    found += _readable(paths, newest_first if ended is None else islice(newest_first, ended))
    found.sort(key=lambda job: job.end.finished_utc or "")
    return [*(found if ended is None else found[-ended:]), *open_jobs(paths)]


def _readable(paths: Paths, ids: Iterable[str]) -> Iterator[Job]:
    for job_id in ids:
        with suppress(FerError):
            job = open_job(paths, job_id)
            if job.status:
                yield job


def doing(job: Job) -> str:
    """Returns in a few words how far a job is, as 'epoch 3 of 50' or '4 of 30 trials, best 0.613'."""
    with suppress(ArtifactError):  # what is just being made, or is broken, must not end a list
        if job.search is not None:
            return in_words(summary(job.search))
        if job.study is not None:
            progress = job.study.progress()
            return f"{progress.read:,} of {progress.files:,} files, {progress.done:.0%}" if progress else ""
        state = job.run.state if job.run else State()
        return f"epoch {state.epoch} of {state.epochs}" if state.epochs else ""
    return ""


def job_metadata(job: Job) -> dict[str, Any]:
    """Returns all that is known of a job, as plain values. Raises ArtifactError if its files cannot be read."""
    end, notes, run, state = job.end or End(status=job.status), job.notes, job.run, State()
    with suppress(ArtifactError):  # a broken run must not hide the job
        state = run.state if run else state
    owner = {"worker": notes.worker, "host": notes.host, "pid": notes.pid} if notes.worker else None
    return {
        "id": job.id,
        **job.order.model_dump(mode="json", include={"task", "arguments", "queue", "schedule", "created_utc"}),
        "status": end.status,
        "run": job.id if run else job.order.arguments.get("run") if job.task == "train" else None,
        "search": job.id if job.search else None,
        "attempt": notes.attempt,
        "epoch": state.epoch or notes.epoch,
        "crashes": notes.crashes,
        "losses": notes.losses,
        "owner": owner if end.finished_utc is None else None,
        "refused_by": notes.refused_by,
        "sent_utc": job.order.created_utc,
        "started_utc": notes.started_utc or state.started_utc,
        "deadline_utc": notes.deadline_utc,
        "heartbeat_utc": state.heartbeat_utc,
        "finished_utc": end.finished_utc,
        "cancel_requested": end.finished_utc is None and job.cancel_file.exists(),
        "message": end.message,
        "result": end.result,
        "is": end.status,
        "doing": doing(job),
    }


def wanted_workers(paths: Paths) -> dict[str, int]:
    """Returns how many workers would find something to do, or are at work, by queue: what a cluster scales on."""
    counts: dict[str, int] = {}
    for job in open_jobs(paths):
        search, count = job.search, 1
        if search is not None:
            state = load_state(search)
            begun = sum(entry.status == "RUNNING" for entry in state.entries)
            count = max(1, min(slot_count(search), begun + work_left(state, utc_now())))
        elif job.study is not None:
            count = max(1, len(job.study.left()))
        counts[job.queue] = counts.get(job.queue, 0) + count
    return counts


def trial_metadata(search: Search) -> list[dict[str, Any]]:
    """Returns each training of a search as a job, as plain values."""
    found = []
    for entry in load_state(search).entries:
        name = parse_trial_name(entry.job or "")
        if name is None:
            continue
        is_at_work = is_taken(slot_lock(search, name.slot))
        status = {"COMPLETED": "SUCCEEDED", "FAILED": "FAILED"}.get(entry.status, "RUNNING" if is_at_work else "QUEUED")
        doing = f"trial {entry.number}" if entry.kind == "trial" else f"trial {entry.of} again, seed {entry.seed}"
        progress = _trial(search.paths, entry)
        doing += f", epoch {progress.epoch} of {progress.epochs}" if progress.epochs else ""
        doing += "" if entry.score is None else f", {entry.score:.3f}"
        times = {"created_utc": entry.asked_utc, "started_utc": entry.asked_utc, "finished_utc": entry.told_utc}
        named = {"id": entry.job, "task": "trial", "search": search.id, "run": entry.run, "status": status}
        found.append(named | times | {"message": entry.message, "is": status, "doing": doing})
    return found


def about(job: Job) -> str:
    """Returns what a job is about: the name that somebody gave its run, its recipe, or the model that it looks at."""
    arguments, run = job.order.arguments, job.run
    return str(
        (run and notes_of(run).name)
        or arguments.get("recipe")
        or arguments.get("run")
        or arguments.get("source")
        or (job.id if job.run or job.search else "")
    )


def in_words(found: Summary) -> str:
    """Returns how far a search is, in a few words."""
    best = "" if found.best_score is None else f", best {found.best_score:.3f}"
    failed = f", {found.failed} failed" if found.failed else ""
    ends = found.ends_utc and datetime.fromisoformat(found.ends_utc).astimezone()
    until = f", until about {ends:%a %H:%M}" if ends else ""
    if found.confirming:
        confirmed = f"{found.confirmations} of {found.confirming} confirmations"
        return f"{found.completed} trials{failed}{best}; {confirmed}{until}"
    return f"{found.completed} of {found.max_trials} trials{failed}{best}{until}"
