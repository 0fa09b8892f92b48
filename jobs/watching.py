"""`list`, `status`, `logs`: what waits, what runs, how far it is, what it has printed. No broker is asked."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
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
from fer_core.job.progress import Look, SearchProgress, about, in_words, run_progress, search_progress, trial_metadata
from fer_core.store.run import Run, Status
from fer_core.training.report import duration, epoch_line
from fer_core.tuning.stage import parse_trial_name
from fer_core.tuning.state import Search, list_searches
from jobs.console import Context, Subject, age, find_subject, new_list, new_table, settings_text, status_text

ENDED_SHOWN = 15  # so many jobs that have ended are listed without --all
FOLLOW_SECONDS = 1.0
_LOG_SECONDS = 0.3

TaskName = Literal["tune", "trial", "train", "retrain", "evaluate", "gc"]


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
    look = Look(context.paths)
    jobs = look.recent(None if all or status or task else ENDED_SHOWN)
    listed = [look.metadata(job) | {"about": about(job)} for job in jobs]
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
            for subject in _until_it_ends(context, name):
                live.update(Group(*_picture(context, subject)), refresh=True)
    else:
        said = ""
        for subject in _until_it_ends(context, name):
            if (line := _line(context, subject)) != said:
                context.say(line)
                said = line


def _until_it_ends(context: Context, name: str) -> Iterator[Subject]:
    """Yields it as it is, each second, until it has ended."""
    subject = find_subject(context, name)
    yield subject
    while subject.status not in ENDED:
        time.sleep(FOLLOW_SECONDS)
        subject = find_subject(context, subject.id)
        yield subject


def _line(context: Context, subject: Subject) -> str:
    word = subject.status.lower()
    if subject.search is not None:
        return f"{word}  {in_words(search_progress(subject.search, now=context.clock()).summary)}"
    last = run_progress(subject.run).last if subject.run is not None else None
    return f"{word}  {epoch_line(last)}" if last else word


def _metadata(context: Context, subject: Subject) -> dict[str, Any]:
    """Returns all that is known of it, as plain values."""
    found: dict[str, Any] = {"status": subject.status}
    if subject.job is not None:
        found["job"] = Look(context.paths).metadata(subject.job) | {"log": str(subject.job.log)}
    if subject.search is not None:
        progress = search_progress(subject.search, now=context.clock())
        times = {"seconds": progress.seconds, "seconds_left": progress.seconds_left}
        found["search"] = progress.summary._asdict() | times
        found["running"] = [trial._asdict() for trial in progress.running]
    elif subject.run is not None:
        progress = run_progress(subject.run)
        found["run"] = {"id": subject.run.id, **progress.state.model_dump(), "last": progress.last}
        found["run"] |= {"best": progress.best and progress.best._asdict(), "seconds_left": progress.seconds_left}
    return found


def _picture(context: Context, subject: Subject) -> list[RenderableType]:
    if subject.search is not None:
        progress = search_progress(subject.search, now=context.clock())
        running = new_table("trial", "epoch", "run", "settings", right=("trial", "epoch"))
        for one in progress.running:
            epochs = f"{one.epoch} of {one.epochs or '?'}"
            running.add_row(str(one.number), epochs, one.run, settings_text(one.settings))
        return [_of_search(progress, subject.search, subject.job), *([Text(), running] if progress.running else [])]
    parts = [_of_job(context, subject.job)] if subject.job is not None else []
    return [*parts, *([Text()] if parts else []), _of_run(subject.run)] if subject.run is not None else parts


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
        status=status_text(state.status),
        epoch=f"{state.epoch} of {state.epochs}{left}",
        best=f"{best.name} {best.value:.4f} in epoch {best.epoch}" if best else "",
        last=epoch_line(progress.last) if progress.last else "",
        says=state.message,
    )


def _of_search(progress: SearchProgress, search: Search, job: Job | None) -> Table:
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
        search=search.id,
        job=f"{job.id}, queue {job.queue}" if job else "",
        status=status_text(job.status if job else found.status),
        by=f"{found.oracle} over recipe {found.recipe}, for {found.objective}",
        trials=counts,
        confirmed=f"{confirmed} trainings with other seeds" if found.confirmations or found.confirming else "",
        best=f"{found.best_score:.4f} by trial {found.best_trial}: {found.best_run}" if found.best_run else "",
        winner=f"{found.winner}: `python -m jobs best {search.id}`" if found.winner else "",
        time=", ".join(filter(None, times)),
        says=found.message,
        next=f"`python -m jobs resume {search.id}` goes on with it" if is_resumable else "",
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
    printer, subject = _Printer(lines), find_subject(context, name)
    printer.print_new(_logs(subject))
    while follow and subject.status not in ENDED:
        time.sleep(_LOG_SECONDS)
        subject = find_subject(context, subject.id)
        printer.print_new(_logs(subject))
    if printer.last is None:
        message = subject.job.end.message if subject.job and subject.job.end else ""
        context.say(message or f"It has printed nothing yet; it is {subject.status.lower()}.")


def _logs(subject: Subject) -> list[Path]:
    """Returns the files, those of a search in the order in which its trainings were begun."""
    if subject.search is None:
        return [subject.log]
    found = (subject.search.folder / "output").glob("s*.txt")
    named = {path: name for path in found if (name := parse_trial_name(f"x.{path.stem}"))}
    return sorted(named, key=lambda path: (named[path].n, named[path].slot))


class _Printer:
    """Prints files as they grow; where there are several, their names between them, as `tail -f` does."""

    def __init__(self, lines: int | None):
        self._lines = lines
        self._positions: dict[Path, int] = {}
        self.last: Path | None = None

    def print_new(self, paths: Sequence[Path]) -> None:
        """Prints what was written since it was called last; at first, of each file no more than its last lines."""
        for path in paths:
            if path.is_file() and (new := self._new_of(path)):
                if path.parent.name == "output" and path != self.last:
                    gap = "" if self.last is None else "\n"
                    new = f"{gap}==> {path.parent.parent.name}.{path.stem} <==\n".encode() + new
                self.last = path
                sys.stdout.flush()
                sys.stdout.buffer.write(new)  # as it is: a character may be written by halves
                sys.stdout.buffer.flush()

    def _new_of(self, path: Path) -> bytes:
        with path.open("rb") as file:
            if path in self._positions or self._lines is None:
                file.seek(self._positions.get(path, 0))
                new = file.read()
            else:
                new = b"".join(deque(file, maxlen=self._lines))
            self._positions[path] = file.tell()
        return new
