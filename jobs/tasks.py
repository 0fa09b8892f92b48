"""The tasks, as `celery -A jobs call` names them: message in, claim, a supervised process, summary out.

The work itself is in `performing.py`; here its outcome is told to Celery. Loads no Keras, no TensorFlow, no OpenCV.
"""

import contextlib
import logging
import time
from typing import Any, NoReturn

from celery import Task
from celery.exceptions import Ignore
from celery.signals import task_revoked
from redis.exceptions import RedisError

from fer_core.errors import FerError, JobError
from fer_core.paths import Paths
from jobs.cancelling import cancel
from jobs.celery import app, stop_flag
from jobs.job import Job
from jobs.notify import notify
from jobs.owner import this_process
from jobs.performing import Performance
from jobs.record import Jobs
from jobs.sending import BrokerAwayError, others_listen, send
from jobs.settings import QUEUE_OF_TASK

_logger = logging.getLogger(__name__)

# Without `max_retries`: a worker that dies, dies of something else; a job's own crashes are counted in its record.
_OPTIONS = {"bind": True, "throws": (FerError,), "max_retries": None, "default_retry_delay": 5}


@app.task(name="tune", **_OPTIONS)
def tune(self: Task, *unnamed: Any, **arguments: Any) -> dict[str, Any]:
    """Begins a search; its trials are jobs of their own. Arguments: `jobs.wishes.TuneWish`."""
    return _carry_out(self, unnamed, arguments)


@app.task(name="trial", **_OPTIONS)
def trial(self: Task, *unnamed: Any, **arguments: Any) -> dict[str, Any]:
    """Trains what a search wants tried next."""
    return _carry_out(self, unnamed, arguments)


@app.task(name="train", **_OPTIONS)
def train(self: Task, *unnamed: Any, **arguments: Any) -> dict[str, Any]:
    """Trains a recipe, or goes on with a run. Arguments: `jobs.wishes.TrainWish` and the settings of `TrainConfig`."""
    return _carry_out(self, unnamed, arguments)


@app.task(name="retrain", **_OPTIONS)
def retrain(self: Task, *unnamed: Any, **arguments: Any) -> dict[str, Any]:
    """Trains again on all data so far and promotes the result if it is better. Arguments: `jobs.wishes.RetrainWish`."""
    return _carry_out(self, unnamed, arguments)


@app.task(name="evaluate", **_OPTIONS)
def evaluate(self: Task, *unnamed: Any, **arguments: Any) -> dict[str, Any]:
    """Analyses a model on the test images. Arguments: `jobs.wishes.EvaluateWish`."""
    return _carry_out(self, unnamed, arguments)


@app.task(name="gc", **_OPTIONS)
def gc(self: Task, *unnamed: Any, **arguments: Any) -> dict[str, Any]:
    """Removes what is not needed any more. Arguments: `jobs.wishes.GcWish`."""
    return _carry_out(self, unnamed, arguments)


@task_revoked.connect
def _cancel_revoked(request: Any = None, **_: Any) -> None:
    """`celery control revoke` means the job: else it would be sent again and discarded again, for ever."""
    with contextlib.suppress(FerError, OSError):
        cancel(Paths.from_environment(), request.id)


def _carry_out(task: Task, unnamed: tuple, arguments: dict[str, Any]) -> dict[str, Any]:
    paths = Paths.from_environment()
    jobs = Jobs(paths.models / "jobs")
    owner = this_process(worker=task.request.hostname or "")
    queue = (task.request.delivery_info or {}).get("routing_key") or QUEUE_OF_TASK[task.name]
    outcome, job = jobs.claim(task.request.id, task=task.name, arguments=arguments, queue=queue, owner=owner)
    if outcome == "running":
        _logger.info("Job %s is carried out by %s on %s.", job.id, job.owner.worker, job.owner.host)
        raise Ignore
    if outcome == "taken":
        job = _refused(jobs, job) if unnamed else _performed(paths, jobs, job)
        _wait_for_results_store()
    return _told(task, jobs, job)


def _refused(jobs: Jobs, job: Job) -> Job:
    message = 'Arguments have names: celery -A jobs call train --kwargs \'{"recipe": "attention"}\''
    return jobs.change(job.id, as_owner=job.owner, status="FAILED", message=message)


def _performed(paths: Paths, jobs: Jobs, job: Job) -> Job:
    def send_or_leave(other: Job) -> None:
        """What cannot be sent now is sent by recovery."""
        try:
            send(jobs, other)
        except BrokerAwayError as error:
            _logger.warning("Job %s waits for the broker: %s", other.id, error)

    with stop_flag.heeding_sigterm():
        options = {"is_stop_asked": stop_flag.is_asked, "send": send_or_leave, "others": others_listen}
        performance = Performance(paths, jobs, job, **options)
        job = performance.carried_out()
        if job.status == "QUEUED":
            send_or_leave(job)
    notify(job)
    return job


def _told(task: Task, jobs: Jobs, job: Job) -> dict[str, Any]:
    """Returns the result for Celery's store, or ends as Celery wants to hear it."""
    if job.status == "SUCCEEDED":
        return job.result or {}
    if job.status in ("FAILED", "TIMED_OUT"):
        _fail(job)
    if job.status == "CANCELLED":
        task.backend.mark_as_revoked(job.id, reason="cancelled", request=task.request)
    # Handed on, or carried out elsewhere: a SUCCESS in the store would stay for ever, so nothing is stored.
    raise Ignore


def _fail(job: Job) -> NoReturn:
    raise JobError(job.message)


def _wait_for_results_store() -> None:
    """Celery tries to store a result for seconds only. The record has it already, so this may wait for Redis."""
    is_told = False
    while not stop_flag.is_asked():
        try:
            app.backend.client.ping()
        except RedisError as error:
            if not is_told:
                _logger.warning("The result waits for the broker: %s", error)
            is_told = True
            time.sleep(1)
        else:
            return
