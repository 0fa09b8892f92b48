"""The tasks, as `celery -A jobs call` names them: a message comes in, a lock is taken, a process does the work.

A message says no more than which job there is. Several for one job do no harm: who finds it locked lets it be.
Loads no Keras, no TensorFlow, no OpenCV.
"""

import contextlib
import logging
import time
from functools import partial
from itertools import count
from typing import Any

from celery import Task
from celery.exceptions import Ignore, SoftTimeLimitExceeded, TimeLimitExceeded
from celery.states import FAILURE

from fer_core.errors import FerError, JobError
from fer_core.job.arguments import TASKS, GcArguments
from fer_core.job.broker import MODELS_HEADER, BrokerAwayError, models_id
from fer_core.job.job import End, Job, checked_id, find_job, open_job
from fer_core.job.lifecycle import job_of_message, prepare, resume_job
from fer_core.locks import Held, taken
from fer_core.store.files import DiskFullError, utc_now
from fer_core.tuning.state import load_state
from fer_core.tuning.trials import note_refusal, trial_failed
from jobs.celery import EXAMPLE, app, broker, is_stop_asked, paths
from jobs.garbage import find_garbage, remove_garbage
from jobs.runner import RunnerOutcome, Worker, result_of, run_of_trial, runner_of, runner_of_helper, runner_of_trial
from jobs.schedule import notify
from jobs.sweep import free_slot, has_work

_PAUSE_SECONDS = 5.0  # of a worker that cannot do something: meanwhile one that can takes the message
_SAVED = ("root_id", "parent_id", "group_id", "group_index", "shadow", "chord", "chain", "link", "link_error")
_SAVED += ("soft_time_limit", "time_limit", "headers", "reply_to", "replaced_task_nesting")
_ENDS = {
    "failed": ("FAILED", ""),
    "cancelled": ("CANCELLED", "Cancelled."),
    "terminated": ("CANCELLED", "Cancelled."),
    "timed_out": ("TIMED_OUT", "Its time is up. `python -m jobs resume {}` goes on with it."),
}

_logger = logging.getLogger(__name__)
_until_told = contextlib.ExitStack()
"""Holds the lock of a job that has ended until Celery has its result: of several messages for it, one tells."""


class JobTask(Task):
    """A task whose job is open until Celery has stored its result."""

    throws = (FerError,)
    # Without `max_retries`: a worker that dies, dies of something else; a job's own crashes are counted by its lock.
    max_retries = None
    default_retry_delay = 5

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called when the result is stored; in the main process if Celery's hard time limit ended the task."""
        with contextlib.suppress(FerError, OSError):
            run = kwargs.get("run") if self.name == "train" else None
            job = open_job(paths, run) if run else find_job(paths, task_id)
            if status == FAILURE and isinstance(retval, TimeLimitExceeded) and job.end is None:
                job.finish("TIMED_OUT", "Celery's time limit is over.")
            if job.end is not None:
                job.forget_marker()
        _until_told.close()


def _carry_out(task: Task, *unnamed: Any, **arguments: Any) -> dict[str, Any]:
    _check_models(task)
    if unnamed:
        raise JobError("Arguments have names.", hint=EXAMPLE)
    _until_told.close()
    job, worker = _job_of(task, task.request.id, arguments), _worker(task)
    job.note_message("")
    if job.end is None and worker.id in job.notes.refused_by and _others_listen(job, worker):
        _pass_on(job)
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(taken(job.lock))
        if held is None or (job.end is not None and not job.marker.exists()):
            raise Ignore  # another worker is at it, or Celery was told before
        kind = _work_on(job, held, task, worker) if job.end is None else "done"
        if job.end is not None:
            return _result(task, job, job.end, stack)
    if kind == "unable":
        _pass_on(job)
    if kind != "full":
        _send(job)
    raise Ignore  # it goes on elsewhere, or later


for _name, _about in TASKS.items():
    app.task(_carry_out, base=JobTask, bind=True, name=_name, __doc__=f"{_about} Arguments: as for `jobs submit`.")


@app.task(bind=True, name="trial", throws=(FerError,), max_retries=None, default_retry_delay=5)
def trial(self: Task, search: str) -> dict[str, Any]:
    """Trains what a search wants tried next. Workers send it to each other."""
    _check_models(self)
    job, worker = open_job(paths, search), _worker(self)
    job.note_message("")
    if job.search is None or (worker.id in load_state(job.search).refused_by and _others_listen(job, worker)):
        _pass_on(job)
    with free_slot(job) as slot:
        if slot is None:
            if job.end is not None:  # this message was on its way when the search ended; its end has one of its own
                _send(job)
            raise Ignore
        name, held = slot
        if has_work(job, beside=name):
            _send(job)  # invites the next worker, if there is one, so that a search uses as many as there are
        runner = runner_of_trial(job, name, held, worker, partial(_others_listen, job, worker))
        outcome = runner.outcome(self.request.id)
        _note_trial(job, name.id, outcome, worker)
    if outcome.kind == "unable":
        _pass_on(job)
    if job.end is not None or (outcome.kind != "full" and has_work(job)):
        _send(job)
    if outcome.kind == "failed":
        raise JobError(outcome.message)
    if outcome.kind != "done" or run_of_trial(job, name) is None:
        raise Ignore
    entry = load_state(job.search).entry_of(name.id)
    return {"search": job.id, "trial": entry.number, "run": entry.run, "score": entry.score, "epochs": entry.epochs}


@app.task(bind=True, name="read_parts", throws=(FerError,), max_retries=None, default_retry_delay=5)
def read_parts(self: Task, study: str) -> None:
    """Helps to read a study, until nothing is left. Workers send it to each other."""
    _check_models(self)
    job, worker = open_job(paths, study), _worker(self)
    job.note_message("")
    for number in count(1):
        with taken(job.folder / f".helper{number}.lock", patience_seconds=0.0) as held:
            if held is None:
                continue
            if job.end is None and job.study is not None and job.study.has_free_parts():
                if job.study.has_free_parts(2):
                    _send(job)
                outcome = runner_of_helper(job, number, held, worker).outcome(self.request.id)
                if outcome.kind in ("failed", "unable"):
                    _logger.warning("It cannot help with study %s: %s", job.id, outcome.message)
            raise Ignore


def _note_trial(job: Job, name: str, outcome: RunnerOutcome, worker: Worker) -> None:
    """What cannot be written, on a full disk, is found out again by the next worker."""
    with contextlib.suppress(DiskFullError):
        if outcome.kind == "unable":
            note_refusal(job.search, worker.id, outcome.message)
        elif outcome.kind == "failed" or (outcome.kind == "terminated" and load_state(job.search).entry_of(name)):
            trial_failed(job.search, name, outcome.message or "It was terminated.")
        elif outcome.kind == "full":
            _wait_for_room(job, outcome.message)


def _wait_for_room(job: Job, message: str) -> None:
    _logger.warning("Job %s: %s", job.id, message)
    time.sleep(_PAUSE_SECONDS)


def _job_of(task: Task, message_id: str, arguments: dict[str, Any]) -> Job:
    """Returns the job of a message; of one that was sent by Celery alone, it is written down only now."""
    run = arguments.get("run") if task.name == "train" else None
    if run and (paths.models / "runs" / checked_id(run) / "job.json").is_file():
        job = open_job(paths, run)
        return job if job.end is None or message_id == job.order.message_id else resume_job(paths, run)
    info = task.request.delivery_info or {}
    saved = {name: value for name, value in task.request.as_execution_options().items() if name in _SAVED and value}
    saved |= {"priority": info["priority"]} if info.get("priority") else {}
    return job_of_message(paths, message_id, task.name, arguments, queue=info.get("routing_key"), options=saved)


def _work_on(job: Job, held: Held, task: Task, worker: Worker) -> str:
    """Does what is left of a job, writes down how it ended, and returns what came of it."""
    try:
        prepare(job)
        if job.task == "tune":
            return "prepared"
        if job.cancel_file.exists():
            job.finish("CANCELLED", "Cancelled.")
            return "cancelled"
        if isinstance(job.arguments, GcArguments):
            found = find_garbage(paths, keep_days=job.arguments.keep_days, now=utc_now())
            removed = 0 if job.arguments.dry_run else remove_garbage(paths, found)
            job.finish("SUCCEEDED", result={"found": len(found), "removed_bytes": removed})
            return "done"
        runner = runner_of(job, held, worker, partial(_others_listen, job, worker))
        outcome = runner.outcome(task.request.id, getattr(job.arguments, "max_hours", None))
        if outcome.kind == "done":
            job.finish("SUCCEEDED", result=result_of(job))
        elif outcome.kind in _ENDS:
            status, message = _ENDS[outcome.kind]
            job.finish(status, outcome.message or message.format(job.id))
        elif outcome.kind == "unable":
            held.note(refused_by=held.notes.refused_by | {worker.id: outcome.message})
        elif outcome.kind == "full":
            _wait_for_room(job, outcome.message)
        return outcome.kind
    except SoftTimeLimitExceeded:
        job.finish("TIMED_OUT", "Celery's soft time limit is over.")
        raise
    except DiskFullError as error:
        _wait_for_room(job, str(error))
        return "full"
    except FerError as error:
        job.finish("FAILED", "\n".join(filter(None, (str(error), error.hint))))
        return "failed"


def _result(task: Task, job: Job, end: End, stack: contextlib.ExitStack) -> dict[str, Any]:
    """Returns the result for Celery's store, or ends as Celery wants to hear it; holds the lock until it has heard."""
    notify(job, end)
    if end.status == "CANCELLED":
        task.backend.mark_as_revoked(task.request.id, reason="cancelled", request=task.request)
        job.forget_marker()
        raise Ignore
    _until_told.enter_context(stack.pop_all())
    if end.status == "SUCCEEDED":
        return end.result or {}
    raise JobError(end.message)


def _send(job: Job) -> None:
    """What cannot be sent now is sent by a sweep. One message that waits is enough."""
    if job.has_message or not job.marker.exists():
        return
    try:
        broker.send(job)
    except BrokerAwayError as error:
        _logger.warning("Job %s waits for the broker: %s", job.id, error)


def _pass_on(job: Job) -> None:
    """Leaves a job to other workers, and gives one the time to take it."""
    _send(job)
    time.sleep(_PAUSE_SECONDS)
    raise Ignore


def _worker(task: Task) -> Worker:
    return Worker(task.request.hostname or "", is_stop_asked)


def _others_listen(job: Job, worker: Worker) -> bool:
    """Whether other workers listen which have not refused the job; yes where nobody can be asked."""
    search = job.search
    refused = load_state(search).refused_by if search else job.notes.refused_by
    try:
        answers = broker.workers().items()
    except BrokerAwayError:
        return True
    ours = [(name, about) for name, about in answers if about["models_id"] == models_id(paths)]
    able = {f"{name}/{about['pid']}" for name, about in ours if job.queue in about["queues"]}
    return bool(able - {*refused, worker.id})


def _check_models(task: Task) -> None:
    """Raises JobError for a message that was sent for another models folder; a worker that serves that one gets it."""
    wanted, own = (getattr(task.request, "headers", None) or {}).get(MODELS_HEADER), models_id(paths)
    if wanted in (None, own):
        return
    with contextlib.suppress(BrokerAwayError):
        if any(about["models_id"] == wanted for about in broker.workers().values()):
            task.signature_from_request().apply_async()
            time.sleep(_PAUSE_SECONDS)
            raise Ignore
    raise JobError(
        f"This message was sent for another models folder than {paths.models.resolve()}, which this worker serves.",
        hint="Share one models folder, or have a Redis for each: `python -m jobs doctor` compares them.",
    )
