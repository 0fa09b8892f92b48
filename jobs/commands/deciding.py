"""`cancel`, `resume`, `rerun`, `promote`, `rollback`: what becomes of jobs and of their runs."""

import time
from typing import Annotated, Any

from tyro.conf import UseAppendAction, arg

from fer_core.errors import ArtifactError, JobError
from fer_core.job.change import cancel_job, end_cancelled, resume_job
from fer_core.job.job import Job, find_job
from fer_core.job.lock import is_taken
from fer_core.recipes import RECIPES
from fer_core.store import promotion
from fer_core.store.runs import open_run
from fer_core.tuning.space import with_settings
from fer_core.tuning.stage import parse_trial_name
from jobs.commands.context import Context
from jobs.commands.submitting import consumers_sentence, say_sent, send, settings_given

CANCEL_SECONDS = 12.0
"""A training that is asked to end has six seconds for it, and then is killed."""


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
    send(context, job)
    context.say(f"{name} goes on as {job.id} in the queue {job.queue}. {consumers_sentence(context, job.queue)}")
    context.say(f"Watch:  python -m jobs status {job.id} --follow")


def rerun(
    context: Context,
    run: str,
    *,
    set: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=VALUE")] = (),
    queue: str | None = None,
    promote: bool = False,
    dry_run: bool = False,
) -> None:
    """Train a run again, from the start, with some settings changed.

    Args:
        run: The run's id.
        set: A setting of the training or the network, such as learning_rate=1e-4. May be given several times.
        queue: Where it waits for a worker. Default: gpu.
        promote: Make the finished model the one in use.
        dry_run: Show what would be sent, and send nothing.
    """
    manifest = open_run(context.paths, run).manifest
    config = with_settings(manifest.config, settings_given(set))
    arguments: dict[str, Any] = config.model_dump(mode="json")
    arguments |= {"recipe": manifest.recipe} if manifest.recipe in RECIPES else {}
    arguments |= {"queue": queue} if queue else {}
    arguments |= {"promote": True} if promote else {}
    say_sent(context, "train", arguments, dry_run=dry_run)


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
