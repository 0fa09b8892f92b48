"""What the pages ask of the broker: to take a job, who listens, what waits. Celery is imported when it is first asked.

Everything here may find the broker away, which is said and breaks nothing else.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import g

from fer_core.errors import FerError
from fer_core.web.service import service
from jobs.commands.desk import Desk
from jobs.job import Job

_IMPORTING = threading.Lock()
HOW_TO_START = "`python -m jobs up` starts broker and workers on this machine; $FER_BROKER_URL names another broker."


def desk() -> Desk:
    """Returns what the commands of `python -m jobs` work with, for this application's folders."""
    held = service()
    if "desk" not in g:
        g.desk = Desk(held.paths, environ=held.environ, clock=held.clock)
    return g.desk


def sent(task: str, arguments: dict[str, Any]) -> Job:
    """Returns the job, written down, and sent where the broker answers; otherwise workers send it when they reach it.

    Raises FerError where it is not written down.
    """
    from jobs.commands.broker import celery_app

    held = desk()
    celery_app(held)
    from jobs.sending import new_job_id, submit

    job_id = new_job_id(task, held.clock())
    known = {"job_id": job_id, "environ": held.environ, "clock": held.clock}
    _without_broker(lambda: submit(held.paths, task, arguments, **known))
    return held.jobs.read(job_id)


def resumed(name: str) -> Job:
    """Returns the job that goes on with a job, a run or a search, as `sent` does. Raises FerError."""
    from jobs.commands.broker import celery_app
    from jobs.commands.subject import find_subject

    held = desk()
    celery_app(held)
    from jobs.cancelling import resume

    job = _without_broker(lambda: resume(held.paths, name))
    return job or find_subject(held, name).job or held.jobs.find(name)


def _without_broker(send: Callable[[], Job]) -> Job | None:
    """Returns the job, None where it is written down only."""
    from jobs.sending import BrokerAwayError

    with suppress(BrokerAwayError):
        return send()
    return None


def state() -> dict[str, Any]:
    """Returns whether the broker answers, and who takes jobs from which queue; takes up to two seconds."""
    from jobs.commands.broker import consumers

    try:
        with _IMPORTING:
            waiting = _waiting()
        listening = consumers(desk())
    except (FerError, OSError) as error:
        hint = getattr(error, "hint", "") or HOW_TO_START
        return {"reachable": False, "problem": str(error), "hint": hint, "waiting": None, "queues": {}, "workers": []}
    workers = sorted({worker for names in listening.values() for worker in names})
    return {
        "reachable": True,
        "problem": "",
        "hint": "" if workers else "No worker listens: `python -m jobs up` starts one.",
        "waiting": waiting,
        "queues": {queue: sorted(names) for queue, names in listening.items()},
        "workers": workers,
    }


def _waiting() -> int:
    from jobs.commands.broker import celery_app

    celery_app(desk())
    from jobs.sending import waiting_ids

    return len(waiting_ids())
