"""What the pages ask of the broker: to take a job, who listens, what waits. Celery is imported when it is first asked.

Everything here may find the broker away, which is said and breaks nothing else.
"""

import threading
from contextlib import suppress
from typing import Any

from fer_core.errors import FerError
from fer_core.job.broker import Broker
from fer_core.job.broker_check import BrokerAwayError
from fer_core.job.job import Job
from fer_core.job.lifecycle import create_job, resume_job
from fer_core.job.progress import wanted_workers
from fer_core.web.service import service

_IMPORTING = threading.Lock()
HOW_TO_START = "`python -m jobs up` starts broker and workers on this machine; $FER_BROKER_URL names another broker."


def submitted(task: str, arguments: dict[str, Any]) -> Job:
    """Returns a new job, sent. Where only the broker is away, it waits on the disk. Raises FerError."""
    held = service()
    return _sent(create_job(held.paths, task, arguments, environ=held.environ, clock=held.clock))


def resumed(name: str) -> Job:
    """Returns the job that goes on with a job, a run or a search, sent. Raises FerError as `submitted` does."""
    return _sent(resume_job(service().paths, name))


def state() -> dict[str, Any]:
    """Returns whether the broker answers, and who takes jobs from which queue; takes up to two seconds."""
    wanted = wanted_workers(service().paths)
    try:
        broker = _broker()
        waiting = sum(broker.waiting().values())
        workers = broker.workers(seconds=0.5)
    except (FerError, OSError) as error:
        hint = getattr(error, "hint", "") or HOW_TO_START
        told = {"reachable": False, "problem": str(error), "hint": hint, "waiting": None, "queues": {}, "workers": []}
        return told | {"wanted": wanted}
    queues: dict[str, list[str]] = {}
    for name, about in sorted(workers.items()):
        for queue in about["queues"]:
            queues.setdefault(queue, []).append(name)
    return {
        "reachable": True,
        "problem": "",
        "hint": "" if workers else "No worker listens: `python -m jobs up` starts one.",
        "waiting": waiting,
        "queues": queues,
        "workers": sorted(workers),
        "wanted": wanted,
    }


def _broker() -> Broker:
    held = service()
    broker = Broker(held.paths, held.environ)
    with _IMPORTING:
        broker.app.finalize()
    return broker


def _sent(job: Job) -> Job:
    with suppress(BrokerAwayError):
        _broker().send(job)
    return job
