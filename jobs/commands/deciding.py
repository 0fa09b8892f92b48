"""`cancel`, `resume`, `rerun`, `promote`, `rollback`: what becomes of jobs and of their runs."""

import time
from typing import Annotated, Any

from tyro.conf import UseAppendAction, arg

from fer_core.errors import ArtifactError
from fer_core.recipes import RECIPES
from fer_core.store import promotion
from fer_core.store.runs import open_run
from fer_core.tuning.space import with_settings
from jobs.cancelling import cancel as cancel_job
from jobs.commands.desk import Desk
from jobs.commands.setting_pairs import settings_given
from jobs.commands.submitting import say_sent
from jobs.job import ENDED, Job

CANCEL_SECONDS = 12.0
"""A training that is asked to end has six seconds for it, and then is killed."""


def cancel(desk: Desk, name: str, *, wait: bool = True) -> None:
    """Stop a job, waiting or running, or all of a search. `resume` goes on with it.

    Args:
        name: A job's id, or a run or search.
        wait: Until it has ended, some seconds at most.
    """
    job = cancel_job(desk.paths, name)
    deadline = time.monotonic() + (CANCEL_SECONDS if wait else 0.0)
    with desk.console.status(f"Waiting for the end of {job.id} …"):
        still = _still_open(desk, job)
        while still and time.monotonic() < deadline:
            time.sleep(0.2)
            still = _still_open(desk, job)
    if still:
        desk.say(f"{name} was asked to end. `python -m jobs status {name} --follow` shows when it has.")
    else:
        desk.say(f"{name} is cancelled. `python -m jobs resume {name}` goes on with it.")


def _still_open(desk: Desk, job: Job) -> bool:
    """Whether the job, or any trial of the search that it began, has not ended."""
    if job.search is None:
        return desk.jobs.read(job.id).status not in ENDED
    return any(other.search == job.search for other in desk.jobs.open_jobs())


def resume(desk: Desk, name: str) -> None:
    """Go on with a job, a run or a search that failed, was cancelled, or ran out of time.

    Args:
        name: A job's id, or a run or search.
    """
    from jobs.commands.broker import consumers_sentence, resumed

    job = resumed(desk, name)
    desk.say(f"{name} goes on as {job.id} in the queue {job.queue}. {consumers_sentence(desk, job.queue)}")
    desk.say(f"Watch:  python -m jobs status {job.search or job.id} --follow")


def rerun(
    desk: Desk,
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
    manifest = open_run(desk.paths, run).manifest
    config = with_settings(manifest.config, settings_given(set))
    arguments: dict[str, Any] = config.model_dump(mode="json")
    arguments |= {"recipe": manifest.recipe} if manifest.recipe in RECIPES else {}
    arguments |= {"queue": queue} if queue else {}
    arguments |= {"promote": True} if promote else {}
    say_sent(desk, "train", arguments, dry_run=dry_run)


def promote(desk: Desk, run: str) -> None:
    """Put a finished run into use: the live detector and the web page read with it from then on.

    Args:
        run: The run's id.
    """
    result = promotion.promote(desk.paths, open_run(desk.paths, run), clock=desk.clock)
    if not result.promoted:
        raise ArtifactError(result.sentence, hint="Take it by its file, or train on photographs first.")
    desk.say(result.sentence)
    if promotion.step_back(desk.paths):
        desk.say("`python -m jobs rollback` goes back to the one before.")


def rollback(desk: Desk) -> None:
    """Put the model that was in use before into use again."""
    pointer = promotion.rollback(desk.paths, clock=desk.clock)
    name = f"Run {pointer.run}" if pointer else "The project's own model"
    desk.say(f"{name} is in use again: {promotion.model_copy(desk.paths)}.")
