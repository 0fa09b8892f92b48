"""What commands ask of the broker: to take a job, and who listens to a queue. Imports Celery; the others do not."""

import os
from collections.abc import Callable
from typing import Any

from fer_core.errors import JobError
from jobs.commands.desk import Desk
from jobs.job import Job
from jobs.machine import environment_of

_ASK_SECONDS = 0.5
_WRITTEN = "`python -m jobs up` starts broker and workers, which take it; `python -m jobs cancel {}` ends it."


def celery_app(desk: Desk) -> Any:
    """Returns the Celery app of these places. It reads where it is when it is imported: nobody may do so before."""
    folders = environment_of(desk.paths, {}).items()
    os.environ.update({name: value for name, value in folders if name.startswith("FER_")})
    from jobs.celery import app

    return app


def sent(desk: Desk, task: str, arguments: dict[str, Any]) -> Job:
    """Returns the job, sent. Raises FerError; where only the broker is away, the job waits on the disk."""
    celery_app(desk)
    from jobs.sending import new_job_id, submit

    job_id = new_job_id(task, desk.clock())
    known = {"job_id": job_id, "environ": desk.environ, "clock": desk.clock}
    return _sent(lambda: submit(desk.paths, task, arguments, **known), job_id)


def resumed(desk: Desk, name: str) -> Job:
    """Returns the job that goes on with a job, a run or a search, sent. Raises FerError as `sent` does."""
    celery_app(desk)
    from jobs.cancelling import resume

    return _sent(lambda: resume(desk.paths, name), name)


def _sent(send: Callable[[], Job], name: str) -> Job:
    from jobs.sending import BrokerAwayError

    try:
        return send()
    except BrokerAwayError as error:
        raise JobError(f"{error} {name} is written down, and waits.", hint=_WRITTEN.format(name)) from error


def consumers_sentence(desk: Desk, queue: str) -> str:
    """Returns how many workers take jobs from a queue."""
    count = len(consumers(desk).get(queue, ()))
    if count == 0:
        return "No worker takes jobs from there now: `python -m jobs up` starts one."
    return f"{count} {'worker takes' if count == 1 else 'workers take'} jobs from there."


def consumers(desk: Desk, *, seconds: float = _ASK_SECONDS) -> dict[str, list[str]]:
    """Returns the workers that answer within some seconds, by the queue that they take jobs from.

    Raises BrokerAwayError.
    """
    celery_app(desk)
    from jobs.sending import asked_workers

    answers = asked_workers(seconds)
    found: dict[str, list[str]] = {}
    for worker, queues in answers.items():
        for queue in queues:
            found.setdefault(queue["name"], []).append(worker)
    return found


def check_reachable(desk: Desk, url: str) -> None:
    """Raises JobError if no broker answers at this address, ConfigError if it is no address of one."""
    os.environ["FER_BROKER_URL"] = url
    celery_app(desk)
    from jobs.sending import reached_broker

    with reached_broker():
        pass
