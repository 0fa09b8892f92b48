"""`cancel`, `resume`, `promote`, `rollback`, `gc`: what becomes of jobs, of their runs, and of the disk's room."""

import time
from typing import Annotated

from tyro.conf import arg

from fer_core.errors import ArtifactError, ConfigError, JobError
from fer_core.job.job import Job, find_job
from fer_core.job.lifecycle import cancel_job, end_cancelled, resume_job
from fer_core.job.lock import is_taken
from fer_core.store import promotion
from fer_core.store.runs import open_run
from fer_core.tuning.slots import parse_trial_name
from jobs.console import Context, new_table
from jobs.garbage import find_garbage, remove_garbage
from jobs.submitting import send

CANCEL_SECONDS = 12.0  # A training that is asked to end has six seconds for it, and then is killed


def cancel(context: Context, name: str, *, wait: bool = True) -> None:
    """Stop a job, waiting or running, or all of a search. `resume` goes on with it.

    Args:
        name: A job's id, or a run or search.
        wait: Until it has ended, some seconds at most.
    """
    trial = parse_trial_name(name)
    if trial is not None:
        hint = f"`python -m jobs cancel {trial.search}` cancels all of it."
        raise JobError(f"{name} is one trial of search {trial.search}.", hint=hint)
    job = find_job(context.paths, name)
    cancel_job(job)
    deadline = time.monotonic() + (CANCEL_SECONDS if wait else 0.0)
    with context.console.status(f"Waiting for the end of {job.id} …"):
        while (still := _is_at_work(job)) and time.monotonic() < deadline:
            time.sleep(0.2)
            end_cancelled(job)
    if still:
        context.say(f"{name} was asked to end. `python -m jobs status {name} --follow` shows when it has.")
    else:
        context.say(f"{name} is cancelled. `python -m jobs resume {name}` goes on with it.")


def _is_at_work(job: Job) -> bool:
    """Whether somebody still works on the job, or on any trial of it."""
    return job.end is None or any(map(is_taken, job.folder.glob(".slot*.lock")))


def resume(context: Context, name: str) -> None:
    """Go on with a job, a run or a search that failed, was cancelled, or ran out of time.

    Args:
        name: A job's id, or a run or search.
    """
    job = resume_job(context.paths, name)
    context.say(f"{name} goes on as {job.id} in the queue {job.queue}. {send(context, job)}")
    context.say(f"Watch:  python -m jobs status {job.id} --follow")


def promote(context: Context, run: str) -> None:
    """Put a finished run into use: the live detector and the web page read with it from then on.

    Args:
        run: The run's id.
    """
    result = promotion.promote(context.paths, open_run(context.paths, run), clock=context.clock)
    if not result.promoted:
        raise ArtifactError(result.sentence, hint="Take it by its file, or train on photographs first.")
    context.say(result.sentence)
    if promotion.step_back(context.paths):
        context.say("`python -m jobs rollback` goes back to the one before.")


def rollback(context: Context) -> None:
    """Put the model that was in use before into use again."""
    pointer = promotion.rollback(context.paths, clock=context.clock)
    name = f"Run {pointer.run}" if pointer else "The project's own model"
    context.say(f"{name} is in use again: {promotion.model_copy(context.paths)}.")


def gc(
    context: Context,
    *,
    keep_days: Annotated[float, arg(metavar="DAYS")] = 30.0,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Remove what nobody needs any more: old checkpoints, weights of lesser trials, leftovers, old job records.

    Never the model in use, those before it, shipped models, or anything that is not finished.

    Args:
        keep_days: Job records, their logs and analyses are kept for so long.
        dry_run: List it with its size, and remove nothing.
        json: As JSON, for other programs.
    """
    if keep_days < 0:
        raise ConfigError(f"--keep-days is at least 0, not {keep_days:g}.", hint="Leave it out for 30 days.")
    found = find_garbage(context.paths, keep_days=keep_days, now=context.clock())
    freed = 0 if dry_run else remove_garbage(context.paths, found)
    if json:
        listed = [garbage._asdict() | {"path": str(garbage.path)} for garbage in found]
        context.say_json({"dry_run": dry_run, "freed": freed, "found": listed})
        return
    if dry_run and found:
        rows = ((_size(garbage.size), garbage.kind, garbage.path) for garbage in found)
        context.show(new_table("size", "what", "where", rows=rows, right=("size",)))
    total = sum(garbage.size for garbage in found)
    sentence = f"{_size(total)} could be freed." if dry_run else f"{_size(freed)} freed."
    context.say(f"{len(found):,} files and folders, {sentence}" if found else "There is nothing to remove.")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
