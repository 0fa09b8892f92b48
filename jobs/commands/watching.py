"""`list`, `status`, `logs`: what waits, what runs, how far it is, what it has printed. No broker is asked."""

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

from fer_core.errors import ConfigError
from fer_core.job.job import ENDED, Job
from fer_core.job.progress import Look, RunProgress, SearchProgress, about, in_words, run_progress, search_progress
from fer_core.job.progress import trial_facts as trials_of
from fer_core.store.run import Run, Status
from fer_core.training.report import duration, epoch_line
from fer_core.tuning.stage import parse_trial_name
from fer_core.tuning.state import Search, list_searches
from jobs.commands.context import Context, age, new_table, settings_text, status_text
from jobs.commands.subject import Subject, find_subject, metadata

ENDED_SHOWN = 15
"""So many jobs that have ended are listed without --all."""
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
    look, is_narrow = Look(context.paths), bool(status or task)
    jobs = look.recent(None if all or is_narrow else ENDED_SHOWN)
    listed = [look.metadata(job) | {"about": about(job)} for job in jobs]
    if trials or task == "trial":
        searches = list_searches(context.paths)
        listed = [*(metadata | {"about": ""} for search in searches for metadata in trials_of(search)), *listed]
    wanted = [one for one in listed if task in (None, one["task"]) and status in (None, one["status"])]
    ended = [one for one in wanted if one["status"] in ENDED]
    shown = [*(ended if all else ended[-ENDED_SHOWN:]), *(one for one in wanted if one["status"] not in ENDED)]
    if json:
        context.say_json(shown)
    elif shown:
        _print_list(context, shown)
    else:
        context.say("No jobs. `python -m jobs submit train --recipe quick` sends one.")


def _print_list(context: Context, listed: list[dict[str, Any]]) -> None:
    now = context.clock()
    table = new_table("job", "status", "since", "of", "so far")
    for one in listed:
        moment = one["finished_utc"] or one["started_utc"] or one["created_utc"]
        why = next(iter(one["message"].splitlines()), "") if one["status"] == "FAILED" else ""
        refusals = next(iter(one.get("refused_by", {}).values()), "").partition("\n")[0]
        so_far = ": ".join(filter(None, (one["doing"], why or ("" if one["finished_utc"] else refusals))))
        table.add_row(one["id"], status_text(one["status"]), age(moment, now), one["about"], so_far)
    context.show(table)


def status(context: Context, name: str, *, follow: bool = False, json: bool = False) -> None:
    """Show how far a job, a run or a search is.

    Args:
        name: A job's id or the beginning of it, or a run or search.
        follow: Until it ends.
        json: As JSON, for other programs.
    """
    subject = find_subject(context, name)
    if json:
        context.say_json(metadata(context, subject))
    elif not follow:
        context.show(*_picture(context, subject))
    elif context.console.is_terminal:
        with Live(console=context.console, auto_refresh=False) as live:
            for _ in _looks(subject):
                live.update(Group(*_picture(context, subject)), refresh=True)
    else:
        said = ""
        for word in _looks(subject):
            if (line := _line(context, subject, word)) != said:
                context.say(line)
                said = line


def _looks(subject: Subject) -> Iterator[str]:
    """Yields the status each second, until it is an end."""
    while True:
        word = subject.status
        yield word.lower()
        if word in ENDED:
            return
        time.sleep(FOLLOW_SECONDS)


def _line(context: Context, subject: Subject, word: str) -> str:
    if subject.search is not None:
        return f"{word}  {in_words(search_progress(subject.search, now=context.clock()).summary)}"
    if subject.run is not None and (last := run_progress(subject.run).last):
        return f"{word}  {epoch_line(last)}"
    return word


def _picture(context: Context, subject: Subject) -> list[RenderableType]:
    if subject.search is not None:
        progress = search_progress(subject.search, now=context.clock())
        return [_of_search(progress, subject.search, subject.job), *_trials(progress)]
    parts: list[RenderableType] = [_of_job(context, subject.job)] if subject.job is not None else []
    if subject.run is not None:
        parts += [*([Text()] if parts else []), _of_run(run_progress(subject.run), subject.run)]
    return parts


def _of_job(context: Context, job: Job) -> Table:
    end, notes = job.end, job.notes
    sent = "" if end else f", sent {age(job.order.created_utc, context.clock())} ago"
    crashes = f", {notes.crashes} crashed" if notes.crashes else ""
    crashes += f", {notes.losses} lost with their worker" if notes.losses else ""
    asks = " (asked to cancel)" if end is None and job.cancel_file.exists() else ""
    refusals = "; ".join(f"{worker} could not begin it: {why}" for worker, why in notes.refused_by.items())
    return _rows(
        ("job", job.id),
        ("status", status_text(job.status).append(asks)),
        ("queue", f"{job.queue}{sent}"),
        (
            "attempt",
            f"{notes.attempt}{f' on {notes.worker}' if notes.worker else ''}{crashes}" if notes.attempt else "",
        ),
        ("took", _took(job)),
        ("message", end.message if end else refusals),
        ("next", f"`python -m jobs resume {job.id}` goes on with it" if end and end.status != "SUCCEEDED" else ""),
        ("log", str(job.log)),
    )


def _took(job: Job) -> str:
    began = job.run.state.started_utc if job.run else None
    if began is None or job.end is None or job.end.finished_utc is None:
        return ""
    return age(began, datetime.fromisoformat(job.end.finished_utc))


def _of_run(progress: RunProgress, run: Run) -> Table:
    state, best = progress.state, progress.best
    left = "" if progress.seconds_left is None else f", at most {duration(progress.seconds_left)} left"
    return _rows(
        ("run", run.id),
        ("is", status_text(state.status)),
        ("epoch", f"{state.epoch} of {state.epochs}{left}"),
        ("best", f"{best.name} {best.value:.4f} in epoch {best.epoch}" if best else ""),
        ("last", epoch_line(progress.last) if progress.last else ""),
        ("says", state.message),
    )


def _of_search(progress: SearchProgress, search: Search, job: Job | None) -> Table:
    found = progress.summary
    best = f"{found.best_score:.4f} by trial {found.best_trial}: {found.best_run}" if found.best_run else ""
    counts = f"{found.completed} of {found.max_trials} completed, {found.running} running, {found.failed} failed"
    confirmed = f"{found.confirmations}{f' of {found.confirming}' if found.confirming else ''}"
    is_resumable = found.status in ("FAILED", "CANCELLED")
    return _rows(
        ("search", search.id),
        ("job", f"{job.id}, queue {job.queue}" if job else ""),
        ("is", status_text(job.status if job else found.status)),
        ("by", f"{found.oracle} over recipe {found.recipe}, for {found.objective}"),
        ("trials", counts),
        ("confirmed", f"{confirmed} trainings with other seeds" if found.confirmations or found.confirming else ""),
        ("best", best),
        ("winner", f"{found.winner}: `python -m jobs best {search.id}`" if found.winner else ""),
        ("time", _search_time(progress)),
        ("says", found.message),
        ("next", f"`python -m jobs resume {search.id}` goes on with it" if is_resumable else ""),
    )


def _search_time(progress: SearchProgress) -> str:
    took, left = progress.seconds, progress.seconds_left
    at_first = progress.summary.first_estimate_seconds
    parts = (
        "" if took is None else duration(took),
        "" if left is None else f"about {duration(left)} left",
        "" if at_first is None else f"at its start it was to take {duration(at_first)}",
    )
    return ", ".join(filter(None, parts))


def _trials(progress: SearchProgress) -> list[RenderableType]:
    if not progress.running:
        return []
    table = new_table("trial", "epoch", "run", "settings", right=("trial", "epoch"))
    for trial in progress.running:
        epochs = f"{trial.epoch} of {trial.epochs or '?'}"
        table.add_row(str(trial.number), epochs, trial.run, Text(settings_text(trial.settings)))
    return [Text(), table]


def _rows(*rows: tuple[str, Any]) -> Table:
    """Returns a table of two columns, without the rows that say nothing."""
    table = new_table()
    table.show_header = False
    for name, value in rows:
        if value:
            table.add_row(Text(name, style="bold"), value if isinstance(value, Text) else Text(value))
    return table


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
    subject = find_subject(context, name)
    printer = _Printer(lines)
    is_alive = True
    while is_alive:
        is_alive = follow and subject.is_alive
        printer.print_new(_logs(context, subject))
        if is_alive:
            time.sleep(_LOG_SECONDS)
    if not printer.has_printed:
        message = subject.job.end.message if subject.job and subject.job.end else ""
        context.say(message or f"It has printed nothing yet; it is {subject.status.lower()}.")


def _logs(context: Context, subject: Subject) -> list[Path]:
    """Returns the files, those of a search in the order in which its trainings were begun."""
    if subject.trial is not None:
        name = subject.trial
        return [context.paths.models / "searches" / name.search / "output" / f"s{name.slot}.{name.n}.txt"]
    if subject.search is not None:
        names = (parse_trial_name(f"x.{path.stem}") for path in (subject.search.folder / "output").glob("s*.txt"))
        ordered = sorted(filter(None, names), key=lambda name: (name.n, name.slot))
        return [subject.search.folder / "output" / f"s{name.slot}.{name.n}.txt" for name in ordered]
    return [subject.job.log if subject.job is not None else subject.run.log_txt]


class _Printer:
    """Prints files as they grow; where there are several, their names between them, as `tail -f` does."""

    def __init__(self, lines: int | None):
        self._lines = lines
        self._positions: dict[Path, int] = {}
        self._last: Path | None = None

    @property
    def has_printed(self) -> bool:
        return self._last is not None

    def print_new(self, paths: Sequence[Path]) -> None:
        """Prints what was written since it was called last; at first, of each file no more than its last lines."""
        for path in paths:
            if path.is_file() and (new := self._new_of(path)):
                if path.parent.name == "output" and path != self._last:
                    gap = "\n" if self.has_printed else ""
                    _write(f"{gap}==> {path.parent.parent.name}.{path.stem} <==\n".encode())
                self._last = path
                _write(new)

    def _new_of(self, path: Path) -> bytes:
        with path.open("rb") as file:
            if path in self._positions or self._lines is None:
                file.seek(self._positions.get(path, 0))
                new = file.read()
            else:
                new = b"".join(deque(file, maxlen=self._lines))
            self._positions[path] = file.tell()
        return new


def _write(data: bytes) -> None:
    """As it is: a character may be written by halves."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
