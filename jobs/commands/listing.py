"""`list`: what waits, what runs, how far it is, what has ended. Files alone: no broker is asked."""

from collections.abc import Iterator
from typing import Literal

from fer_core.errors import JobError, NotFoundError
from fer_core.store.run import Status
from fer_core.tuning.progress import parse_job_id
from jobs.commands.desk import Desk, age, new_table, status_text
from jobs.commands.progress import ALIVE, Look
from jobs.job import Job

ENDED_SHOWN = 15
"""So many jobs that have ended are listed without --all."""

TaskName = Literal["tune", "trial", "train", "retrain", "evaluate", "gc"]


def list_jobs(
    desk: Desk,
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
        trials: The jobs of single trials too; `status SEARCH` shows them with their scores.
        all: All that have ended, not only the last ones.
        json: As JSON, for other programs.
    """
    look = Look(desk.paths)
    problems: list[str] = []
    found = _jobs(desk, with_trials=trials or task == "trial", problems=problems)
    jobs = [(job, look.status(job)) for job in found]
    wanted = [one for one in jobs if task in (None, one[0].task) and status in (None, one[1])]
    shown = _in_order(wanted, everything=all)
    if json:
        desk.say_json([job.model_dump(mode="json") | {"is": is_now, "doing": look.doing(job)} for job, is_now in shown])
    elif shown:
        _print(desk, shown, look)
    elif not problems:
        desk.say("No jobs. `python -m jobs submit train --recipe quick` sends one.")
    if not json:
        for problem in problems:
            desk.say(f"Unreadable: {problem}")


def _jobs(desk: Desk, *, with_trials: bool, problems: list[str]) -> Iterator[Job]:
    """Yields all jobs that can be read, and says of the others why not: one must not hide the rest.

    A search of thousands of trials is not to slow the list down.
    """
    for job_id in desk.jobs.ids():
        if with_trials or parse_job_id(job_id) is None:
            try:
                yield desk.jobs.read(job_id)
            except NotFoundError:  # it was removed meanwhile
                continue
            except JobError as error:
                problems.append(str(error))


def _in_order(jobs: list[tuple[Job, str]], *, everything: bool) -> list[tuple[Job, str]]:
    """Returns the jobs with what they are now: those that have ended, the last ones at the end, and then the others."""
    ended = sorted((one for one in jobs if one[1] not in ALIVE), key=lambda one: one[0].finished_utc or "")
    alive = sorted((one for one in jobs if one[1] in ALIVE), key=lambda one: one[0].created_utc)
    return [*(ended if everything else ended[-ENDED_SHOWN:]), *alive]


def _print(desk: Desk, jobs: list[tuple[Job, str]], look: Look) -> None:
    now = desk.clock()
    table = new_table("job", "status", "since", "of", "so far")
    for job, is_now in jobs:
        moment = (job.finished_utc if is_now == job.status else None) or job.started_utc or job.created_utc
        table.add_row(job.id, status_text(is_now), age(moment, now), subject(job), _so_far(job, look))
    desk.show(table)


def _so_far(job: Job, look: Look) -> str:
    """Returns how far a job is; one that has failed, or that no worker could begin yet, says why."""
    doing = look.doing(job)
    is_stuck = job.status == "FAILED" or (job.refused_by and not doing and not job.finished_utc)
    why = next(iter(job.message.splitlines()), "") if is_stuck else ""
    return ": ".join(filter(None, (doing, why)))


def subject(job: Job) -> str:
    """Returns what a job is about: its recipe, or the run or search that it works on; a trial's id says that itself."""
    if parse_job_id(job.id) is not None:
        return ""
    return str(job.arguments.get("recipe") or job.run or job.arguments.get("run") or job.search or "")
