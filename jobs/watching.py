"""`list`, `status`, `logs`: what waits, what runs, how far it is, what it has printed. No broker is asked."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tyro.conf import arg

from fer_core.errors import ConfigError, FerError
from fer_core.job.job import ENDED, Job
from fer_core.job.progress import (
    SearchProgress,
    about,
    doing,
    in_words,
    job_metadata,
    recent_jobs,
    run_progress,
    search_progress,
    trial_metadata,
)
from fer_core.store.run import Run, Status, notes_of
from fer_core.training.report import duration, epoch_line
from fer_core.tuning.stage import parse_trial_name
from fer_core.tuning.state import list_searches
from jobs.console import Context, age, find_subject, new_list, new_table, settings_text, status_text

ENDED_SHOWN = 15  # so many jobs that have ended are listed without --all
FOLLOW_SECONDS = 1.0
_LOG_SECONDS = 0.3

TaskName = Literal["tune", "trial", "train", "retrain", "evaluate", "read", "gc"]


def list_jobs(
    context: Context,
    *,
    status: Status | None = None,
    task: TaskName | None = None,
    trials: bool = False,
    all: bool = False,
    json: bool = False,
) -> None:
    """List the jobs: those that have not ended, and the last ones that have.

    Args:
        status: Only jobs of this status.
        task: Only jobs of this task.
        trials: The single trials of searches too; `status SEARCH` shows them with their scores.
        all: All that have ended, not only the last ones.
        json: As JSON, for other programs.
    """
    jobs = recent_jobs(context.paths, None if all or status or task else ENDED_SHOWN)
    listed = [job_metadata(job) | {"about": about(job)} for job in jobs]
    for search in reversed(list_searches(context.paths)) if trials or task == "trial" else ():
        with contextlib.suppress(FerError):
            listed = [*(metadata | {"about": ""} for metadata in trial_metadata(search)), *listed]
    wanted = [one for one in listed if task in (None, one["task"]) and status in (None, one["status"])]
    ended = [one for one in wanted if one["status"] in ENDED]
    shown = [*(ended if all else ended[-ENDED_SHOWN:]), *(one for one in wanted if one["status"] not in ENDED)]
    if json:
        context.say_json(shown)
    elif shown:
        now = context.clock()
        context.show(new_table("job", "status", "since", "of", "so far", rows=(_line_of(one, now) for one in shown)))
    else:
        context.say("No jobs. `python -m jobs submit train --recipe quick` sends one.")


def _line_of(one: dict[str, Any], now: datetime) -> tuple[Any, ...]:
    reason = one["message"] if one["status"] == "FAILED" else ""
    if not reason and not one["finished_utc"]:
        reason = next(iter(one.get("refused_by", {}).values()), "")
    so_far = ": ".join(filter(None, (one["doing"], reason.partition("\n")[0])))
    since = age(one["finished_utc"] or one["started_utc"] or one["created_utc"], now)
    return one["id"], status_text(one["status"]), since, one["about"], so_far


def status(context: Context, name: str, *, follow: bool = False, json: bool = False) -> None:
    """Show how far a job, a run or a search is.

    Args:
        name: A job's id or the beginning of it, or a run or search.
        follow: Until it ends.
        json: As JSON, for other programs.
    """
    if json:
        context.say_json(_metadata(context, find_subject(context, name)))
    elif not follow:
        context.show(*_picture(context, find_subject(context, name)))
    elif context.console.is_terminal:
        with Live(console=context.console, auto_refresh=False) as live:
            for job in _until_it_ends(context, name, FOLLOW_SECONDS):
                live.update(Group(*_picture(context, job)), refresh=True)
    else:
        said = ""
        for job in _until_it_ends(context, name, FOLLOW_SECONDS):
            if (line := _line(context, job)) != said:
                context.say(line)
                said = line


def _until_it_ends(context: Context, name: str, period_seconds: float) -> Iterator[Job]:
    """Yields it again and again, the last time after it has ended."""
    job, has_ended = find_subject(context, name), False
    while not has_ended:
        has_ended = job.status in ENDED
        yield job
        time.sleep(0.0 if has_ended else period_seconds)


def _line(context: Context, job: Job) -> str:
    word = job.status.lower()
    if job.search is not None:
        return f"{word}  {in_words(search_progress(job.search, now=context.clock()).summary)}"
    if job.study is not None:
        return f"{word}  {doing(job)}".rstrip()
    last = run_progress(job.run).last if job.run is not None else None
    return f"{word}  {epoch_line(last)}" if last else word


def _metadata(context: Context, job: Job) -> dict[str, Any]:
    """Returns all that is known of it, as plain values."""
    found: dict[str, Any] = {"status": job.status}
    if not job.is_by_hand:
        found["job"] = job_metadata(job) | {"log": str(job.log)}
    if job.search is not None:
        progress = search_progress(job.search, now=context.clock())
        times = {"seconds": progress.seconds, "seconds_left": progress.seconds_left}
        found["search"] = progress.summary._asdict() | times
        found["running"] = [trial._asdict() for trial in progress.running]
    elif job.run is not None:
        progress = run_progress(job.run)
        found["run"] = {"id": job.run.id, **progress.state.model_dump(), "last": progress.last}
        found["run"] |= {"best": progress.best and progress.best._asdict(), "seconds_left": progress.seconds_left}
    return found


def _picture(context: Context, job: Job) -> list[RenderableType]:
    if job.search is not None:
        progress = search_progress(job.search, now=context.clock())
        running = new_table("trial", "epoch", "run", "settings", right=("trial", "epoch"))
        for one in progress.running:
            epochs = f"{one.epoch} of {one.epochs or '?'}"
            running.add_row(str(one.number), epochs, one.run, settings_text(one.settings))
        return [_of_search(progress, job), *([Text(), running] if progress.running else [])]
    parts = [] if job.is_by_hand else [_of_job(context, job)]
    return [*parts, *([Text()] if parts else []), _of_run(job.run)] if job.run is not None else parts


def _of_job(context: Context, job: Job) -> Table:
    end, notes, run = job.end, job.notes, job.run
    attempt = f"{notes.attempt}{f' on {notes.worker}' if notes.worker else ''}"
    attempt += f", {notes.crashes} crashed" if notes.crashes else ""
    attempt += f", {notes.losses} lost with their worker" if notes.losses else ""
    refusals = "; ".join(f"{worker} could not begin it: {why}" for worker, why in notes.refused_by.items())
    began = run.state.started_utc if run else None
    is_timed = began and end and end.finished_utc
    status = status_text(job.status).append(" (asked to cancel)" if not end and job.cancel_file.exists() else "")
    return new_list(
        job=job.id,
        status=status,
        queue=job.queue + ("" if end else f", sent {age(job.order.created_utc, context.clock())} ago"),
        attempt=attempt if notes.attempt else "",
        doing=doing(job) if job.study else "",
        report=job.folder / "report.html" if job.study and end and end.status == "SUCCEEDED" else "",
        took=age(began, datetime.fromisoformat(end.finished_utc)) if is_timed else "",
        message=end.message if end else refusals,
        next=f"`python -m jobs resume {job.id}` goes on with it" if end and end.status != "SUCCEEDED" else "",
        log=job.log,
    )


def _of_run(run: Run) -> Table:
    progress = run_progress(run)
    state, best = progress.state, progress.best
    left = "" if progress.seconds_left is None else f", at most {duration(progress.seconds_left)} left"
    return new_list(
        run=run.id,
        name=notes_of(run).name,
        status=status_text(state.status),
        epoch=f"{state.epoch} of {state.epochs}{left}",
        best=f"{best.name} {best.value:.4f} in epoch {best.epoch}" if best else "",
        last=epoch_line(progress.last) if progress.last else "",
        says=state.message,
    )


def _of_search(progress: SearchProgress, job: Job) -> Table:
    found = progress.summary
    confirmed = f"{found.confirmations}{f' of {found.confirming}' if found.confirming else ''}"
    counts = f"{found.completed} of {found.max_trials} completed, {found.running} running, {found.failed} failed"
    is_resumable = found.status in ("FAILED", "CANCELLED")
    at_first = found.first_estimate_seconds
    times = (
        "" if progress.seconds is None else duration(progress.seconds),
        "" if progress.seconds_left is None else f"about {duration(progress.seconds_left)} left",
        "" if at_first is None else f"at its start it was to take {duration(at_first)}",
    )
    return new_list(
        search=job.id,
        job="" if job.is_by_hand else f"{job.id}, queue {job.queue}",
        status=status_text(job.status),
        by=f"{found.oracle} over recipe {found.recipe}, for {found.objective}",
        trials=counts,
        confirmed=f"{confirmed} trainings with other seeds" if found.confirmations or found.confirming else "",
        best=f"{found.best_score:.4f} by trial {found.best_trial}: {found.best_run}" if found.best_run else "",
        winner=f"{found.winner}: `python -m jobs best {job.id}`" if found.winner else "",
        time=", ".join(filter(None, times)),
        says=found.message,
        next=f"`python -m jobs resume {job.id}` goes on with it" if is_resumable else "",
    )


def logs(
    context: Context,
    name: str,
    *,
    follow: Annotated[bool, arg(aliases=["-f"])] = False,
    lines: Annotated[int | None, arg(aliases=["-n"], metavar="N")] = None,
) -> None:
    """Print what a job has printed; of a search, what each of its trials has.

    Args:
        name: A job's id or the beginning of it, or a run or search.
        follow: Go on until the job or the search ends.
        lines: Only the last so many lines, of each trial.
    """
    if lines is not None and lines < 0:
        raise ConfigError(f"--lines is at least 0, not {lines}.", hint="Leave it out for all lines.")
    positions: dict[Path, int] = {}
    last: Path | None = None
    for job in _until_it_ends(context, name, _LOG_SECONDS):
        for path in _logs(context, job):
            if path.is_file() and (new := _new_in(path, positions, lines)):
                if path.parent.name == "output" and path != last:  # of several, the name, as `tail -f` has it
                    gap = "" if last is None else "\n"
                    new = f"{gap}==> {path.parent.parent.name}.{path.stem} <==\n".encode() + new
                last = path
                sys.stdout.flush()
                sys.stdout.buffer.write(new)  # as it is: a character may be written by halves
                sys.stdout.buffer.flush()
        if not follow:
            break
    if last is None:
        message = job.end.message if job.end else ""
        context.say(message or f"It has printed nothing yet; it is {job.status.lower()}.")


def _logs(context: Context, job: Job) -> list[Path]:
    """Returns the files, those of a search in the order in which its trainings were begun."""
    if (trial := parse_trial_name(job.id)) is not None:
        return [context.paths.models / "searches" / trial.search / f"output/s{trial.slot}.{trial.n}.txt"]
    if job.search is None:
        return [job.log]
    found = (job.folder / "output").glob("s*.txt")
    named = {path: name for path in found if (name := parse_trial_name(f"x.{path.stem}"))}
    return sorted(named, key=lambda path: (named[path].n, named[path].slot))


def _new_in(path: Path, positions: dict[Path, int], lines: int | None) -> bytes:
    """Returns what was written since the last look; at first, no more than the last lines."""
    with path.open("rb") as file:
        if path in positions or lines is None:
            file.seek(positions.get(path, 0))
            new = file.read()
        else:
            new = b"".join(deque(file, maxlen=lines))
        positions[path] = file.tell()
    return new
