"""`status`: all that is known of one job, run or search, once or until it ends. Files alone: no broker is asked."""

import time
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fer_core.store.run import Run
from fer_core.training.report import duration, epoch_line
from fer_core.tuning.folder import Search
from jobs.commands.desk import Desk, age, new_table, settings_text, status_text
from jobs.commands.progress import ALIVE, RunProgress, SearchProgress, in_words, run_progress, search_progress
from jobs.commands.subject import Subject, find_subject, metadata, seen_again
from jobs.job import Job

FOLLOW_SECONDS = 1.0


def status(desk: Desk, name: str, *, follow: bool = False, json: bool = False) -> None:
    """Show how far a job, a run or a search is.

    Args:
        name: A job's id or the beginning of it, or a run or search.
        follow: Until it ends.
        json: As JSON, for other programs.
    """
    subject = find_subject(desk, name)
    if json:
        desk.say_json(metadata(desk, subject))
    elif not follow:
        desk.show(*_picture(desk, subject))
    elif desk.console.is_terminal:
        _follow(desk, subject)
    else:
        _follow_in_lines(desk, subject)


def _follow(desk: Desk, subject: Subject) -> None:
    with Live(console=desk.console, auto_refresh=False) as live:
        while True:
            subject = seen_again(desk, subject)
            live.update(Group(*_picture(desk, subject)), refresh=True)
            if not subject.is_alive:
                return
            time.sleep(FOLLOW_SECONDS)


def _follow_in_lines(desk: Desk, subject: Subject) -> None:
    said = ""
    while True:
        subject = seen_again(desk, subject)
        line = _line(desk, subject)
        if line != said:
            desk.say(line)
            said = line
        if not subject.is_alive:
            return
        time.sleep(FOLLOW_SECONDS)


def _line(desk: Desk, subject: Subject) -> str:
    word = subject.status.lower()
    if subject.search is not None:
        return f"{word}  {in_words(search_progress(subject.search, now=desk.clock()).summary)}"
    if subject.run is not None and (last := run_progress(subject.run).last):
        return f"{word}  {epoch_line(last)}"
    return word


def _picture(desk: Desk, subject: Subject) -> list[RenderableType]:
    if subject.search is not None:
        progress = search_progress(subject.search, now=desk.clock())
        return [_of_search(progress, subject.search, subject.job), *_trials(progress)]
    parts: list[RenderableType] = [_of_job(desk, subject.job)] if subject.job is not None else []
    if subject.run is not None:
        parts += [*([Text()] if parts else []), _of_run(run_progress(subject.run), subject.run)]
    return parts


def _of_job(desk: Desk, job: Job) -> Table:
    now = desk.clock()
    sent = f", sent {age(job.sent_utc, now)} ago" if job.sent_utc else ", not sent yet"
    crashes = f", {job.crashes} crashed" if job.crashes else ""
    losses = f", {job.losses} lost with their worker" if job.losses else ""
    worker = f" on {job.owner.worker or job.owner.host}" if job.owner else ""
    asks = " (asked to cancel)" if job.cancel_requested and job.status in ALIVE else ""
    return _rows(
        ("job", job.id),
        ("status", status_text(job.status).append(asks)),
        ("queue", f"{job.queue}{sent if job.status in ALIVE else ''}"),
        ("attempt", f"{job.attempt}{worker}{crashes}{losses}" if job.attempt else ""),
        ("took", _took(job)),
        ("message", job.message),
        ("next", _next(job)),
        ("log", str(desk.jobs.log(job.id))),
    )


def _next(job: Job) -> str:
    if job.status not in ("FAILED", "CANCELLED", "TIMED_OUT"):
        return ""
    return f"`python -m jobs resume {job.search or job.id}` goes on with it"


def _took(job: Job) -> str:
    if job.started_utc is None or job.finished_utc is None:
        return ""
    return age(job.started_utc, datetime.fromisoformat(job.finished_utc))


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


def _of_search(progress: SearchProgress, search: Search, began: Job | None) -> Table:
    found = progress.summary
    best = f"{found.best_score:.4f} by trial {found.best_trial}: {found.best_run}" if found.best_run else ""
    counts = f"{found.completed} of {found.max_trials} completed, {found.running} running, {found.failed} failed"
    return _rows(
        ("search", search.id),
        ("job", f"{began.id}, queue {began.queue}" if began else ""),
        ("message", began.message if began else ""),
        ("is", status_text(found.status)),
        ("by", f"{found.oracle} over recipe {found.recipe}, for {found.objective}"),
        ("trials", counts),
        ("confirmed", f"{found.confirmations} trainings with other seeds" if found.confirmations else ""),
        ("best", best),
        ("winner", f"{found.winner}: `python -m jobs best {search.id}`" if found.winner else ""),
        ("time", _search_time(progress)),
        ("says", found.message),
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
