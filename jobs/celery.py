"""The Celery app and every setting of it. `celery -A jobs` finds it here. Imports nothing heavier than Celery."""

import mmap
import os
import time
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_shutting_down
from celery.worker.control import inspect_command
from click import ClickException, Option, get_current_context
from kombu.exceptions import OperationalError

from fer_core.errors import FerError, JobError, did_you_mean
from fer_core.job.arguments import QUEUE_OF_TASK, validate
from fer_core.job.broker import WORKER_COMMAND, Broker, models_id, shared_settings
from fer_core.job.create import create_job, new_id
from fer_core.paths import Paths
from jobs import transport
from jobs.celery_command import look_at_broker, said_by_celery

paths = Paths.from_environment()
broker = said_by_celery(lambda: Broker(paths, os.environ))


_SAVED = ("link", "link_error", "chord", "priority", "time_limit", "soft_time_limit", "headers")
_LATER = ("eta", "countdown", "expires")


class JobsApp(Celery):
    """Celery, but that a job is checked and written down before its message is sent, which has a readable id."""

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, task_id: str | None = None, **options: Any):
        """Sends a task by name. Raises ConfigError for wrong arguments, JobError for a task that there is not."""
        line = get_current_context(silent=True)
        is_call = line is not None and line.info_name == "call"
        try:
            return self._sent(name, args, kwargs, task_id, options, is_call=is_call)
        except (FerError, OperationalError) as error:
            if not is_call:
                raise
            error = error if isinstance(error, FerError) else broker.away(error)
            raise ClickException(f"{error}\n{error.hint or 'See README.md.'}") from None

    def _sent(self, name: str, args: Any, kwargs: Any, task_id: str | None, options: dict[str, Any], *, is_call: bool):
        is_native = task_id is not None or (args and not is_call) or self.current_worker_task is not None
        if name not in QUEUE_OF_TASK or is_native:
            if not (name in QUEUE_OF_TASK or name in self.tasks or name.startswith("celery.")):
                raise JobError(f"There is no task {name!r}.", hint=did_you_mean(name, QUEUE_OF_TASK))
            return super().send_task(name, args, kwargs, task_id=task_id, **options)
        if args:
            raise JobError("Arguments have names.", hint=_EXAMPLE)
        kwargs = dict(kwargs or {})
        has_models = (paths.models / ".id").is_file()  # a sender need not be a machine that has them
        if not has_models or any(options.get(name) for name in _LATER):
            task_id = new_id(name, validate(name, kwargs))
            return super().send_task(name, args, kwargs, task_id=task_id, **options)
        saved = {key: value for key in _SAVED if (value := options.get(key))}
        job = create_job(paths, name, kwargs, queue=options.get("queue"), options=saved)
        broker.send(job)
        return self.AsyncResult(job.order.message_id)


_EXAMPLE = 'For example: celery -A jobs call train --kwargs \'{"recipe": "attention"}\''


transport.use()
app = JobsApp("jobs", include=["jobs.tasks"])

app.conf.update(
    **said_by_celery(lambda: shared_settings(broker.url, os.environ)),
    result_backend=broker.url,
    task_routes={name: {"queue": queue} for name, queue in QUEUE_OF_TASK.items()} | {"trial": {"queue": "gpu"}},
    # A message is acknowledged when its work has ended. A worker takes one at a time, and keeps none in reserve.
    task_acks_late=True,
    task_acks_on_failure=True,
    task_acks_on_timeout=True,
    task_reject_on_worker_lost=False,
    task_retry_on_worker_lost=True,
    worker_pool="jobs.pool:TaskPool",
    worker_prefetch_multiplier=1,
    worker_concurrency=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    result_backend_transport_options={
        "retry_policy": {"max_retries": 8, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}
    },
    redis_socket_timeout=30,
    redis_socket_connect_timeout=5,
    redis_backend_health_check_interval=25,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_track_started=True,
    result_extended=True,
    result_expires=30 * 86_400,
    worker_send_task_events=True,
    beat_scheduler="jobs.schedule:Scheduler",
    beat_schedule_filename=str(paths.state / "celerybeat-schedule"),
    beat_max_loop_interval=20.0,
    beat_enable_remote_control=True,
)

app.steps["worker"].add("jobs.sweep:Sweep")
app.user_options["worker"].add(
    Option(
        ("--exit-when-idle",),
        type=float,
        metavar="SECONDS",
        help="End when there has been nothing to do for so long (for batch systems such as Slurm).",
    )
)

_stop_flag = mmap.mmap(-1, 1)
"""Made before any pool child is forked, so that all of them see it."""


def ask_to_stop(**_: Any) -> None:
    """Asks what this worker carries out to be handed on: Celery's warm shutdown waits for it, however long it takes."""
    _stop_flag[0] = 1


def is_stop_asked() -> bool:
    """Returns whether this worker is to end, or has died without its pool children."""
    return _stop_flag[0] == 1


worker_shutting_down.connect(ask_to_stop, weak=False)


@worker_process_init.connect(weak=False)
def _ends_with_its_worker(**_: Any) -> None:
    """A pool child does not outlive a worker that was killed: its own process would have nobody to hand on to."""
    from jobs.trainer import die_with_parent

    die_with_parent()


@inspect_command(name=WORKER_COMMAND)
def _worker(state: Any) -> dict[str, Any]:
    """Which models folder the worker serves, and from which queues."""
    queues = [queue.name for queue in state.consumer.task_consumer.queues]
    about = {"models_dir": str(paths.models.resolve()), "models_id": models_id(paths), "queues": queues}
    return about | {"clock": time.time(), "pid": os.getpid()}


look_at_broker(lambda: app.conf.broker_write_url)
