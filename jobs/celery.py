"""The Celery app and every setting of it. `celery -A jobs` finds it here. Imports nothing heavier than Celery."""

import mmap
import os
import secrets
import sys
import time
from typing import Any

import click
from celery import Celery
from celery.concurrency import prefork
from celery.signals import worker_process_init, worker_shutting_down
from celery.worker.control import inspect_command
from kombu.exceptions import OperationalError

from fer_core.errors import FerError, JobError, did_you_mean
from fer_core.job.arguments import QUEUE_OF_TASK, queue_of, validate
from fer_core.job.broker import (
    WORKER_COMMAND,
    Broker,
    BrokerAwayError,
    broker_away,
    check_broker,
    models_id,
    shared_settings,
)
from fer_core.job.broker_address import check_address
from fer_core.job.lifecycle import create_job, new_id
from fer_core.paths import Paths
from jobs import transport
from jobs.process import die_with_parent

EXAMPLE = 'For example: celery -A jobs call train --kwargs \'{"recipe": "attention"}\''

_SAVED = ("link", "link_error", "chord", "priority", "time_limit", "soft_time_limit", "headers")
_LATER = ("eta", "countdown", "expires")
_SHORT = frozenset({"amqp", "call", "control", "inspect", "list", "migrate", "purge", "result", "status"})
"""Commands of `celery` that ask the broker once, and end."""
_SERVICES = frozenset({"beat", "events", "flower", "worker"})  # those that go on until the broker is there
_OVERRIDES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")
"""Celery takes these instead of a setting; `celery --broker` is the first."""


def _celery_command() -> str | None:
    """Returns the command of `celery` that is beginning in this process; None where another program runs."""
    context = click.get_current_context(silent=True)
    is_celery = context is not None and getattr(context.command.callback, "__module__", "") == "celery.bin.celery"
    return context.invoked_subcommand if is_celery else None


def _print_error(error: FerError) -> None:
    print(f"Error: {error}\n{error.hint}", file=sys.stderr, flush=True)


def _broker_and_settings() -> tuple[Broker, dict[str, Any]]:
    """What is wrong with an address or a setting ends a command of Celery with two lines."""
    try:
        for url in (os.environ.get(name, "") for name in _OVERRIDES):
            if url.startswith("redis"):
                check_address(url)
        broker = Broker(paths, os.environ)
        return broker, shared_settings(broker.url, os.environ)
    except FerError as error:
        if _celery_command() is None:
            raise
        _print_error(error)
        raise SystemExit(error.exit_code) from None


paths = Paths.from_environment()
broker, _settings = _broker_and_settings()


class JobsApp(Celery):
    """Celery, but that a job is checked and written down before its message is sent, which has a readable id."""

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, task_id: str | None = None, **options: Any):
        """Sends a task by name. Raises ConfigError for wrong arguments, JobError for a task that there is not."""
        context = click.get_current_context(silent=True)
        is_call = context is not None and context.info_name == "call"
        is_ours = name in QUEUE_OF_TASK
        has_sent_it = task_id is not None or self.current_worker_task is not None  # Celery's own links, chords, retries
        try:
            if not is_ours and name not in self.tasks and not name.startswith("celery."):
                raise JobError(f"There is no task {name!r}.", hint=did_you_mean(name, QUEUE_OF_TASK))
            if not is_ours or has_sent_it or (args and not is_call):
                return super().send_task(name, args, kwargs, task_id=task_id, **options)
            if args:
                raise JobError("Arguments have names.", hint=EXAMPLE)
            return self._send_job(name, dict(kwargs or {}), options)
        except (FerError, OperationalError) as error:
            if not is_call:
                raise
            error = error if isinstance(error, FerError) else broker_away(broker.url, error)
            raise click.ClickException(f"{error}\n{error.hint or 'See README.md.'}") from None

    def _send_job(self, name: str, kwargs: dict[str, Any], options: dict[str, Any]):
        has_models = (paths.models / ".id").is_file()  # a sender need not be a machine that has them
        if not has_models or any(options.get(option) for option in _LATER):
            arguments = validate(name, kwargs)
            options["queue"] = queue_of(name, arguments, os.environ, named=options.get("queue"))
            task_id = new_id(name, arguments, ending=secrets.token_hex(4))  # nobody can look whether it is free
            return super().send_task(name, None, kwargs, task_id=task_id, **options)
        saved = {key: value for key in _SAVED if (value := options.get(key))}
        job = create_job(paths, name, kwargs, queue=options.get("queue"), options=saved)
        broker.send(job)
        return self.AsyncResult(job.order.message_id)


class TaskPool(prefork.TaskPool):
    """Celery's pool of processes, but that one which dies while its worker starts is replaced, like any later one."""

    def did_start_ok(self) -> bool:
        """Returns True: Celery would end the worker, which then looks as if it could not start."""
        return True


transport.use()
app = JobsApp("jobs", include=["jobs.tasks"])

app.conf.update(
    **_settings,
    result_backend=broker.url,
    task_routes={name: {"queue": queue} for name, queue in QUEUE_OF_TASK.items()} | {"trial": {"queue": "gpu"}},
    # A message is acknowledged when its work has ended. A worker takes one at a time, and keeps none in reserve.
    task_acks_late=True,
    task_acks_on_failure=True,
    task_acks_on_timeout=True,
    task_retry_on_worker_lost=True,
    worker_pool="jobs.celery:TaskPool",
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
    click.Option(
        ("--exit-when-idle",),
        type=float,
        metavar="SECONDS",
        help="End when there has been nothing to do for so long (for batch systems such as Slurm).",
    )
)

_stop_flag = mmap.mmap(-1, 1)  # made before any pool child is forked, so that all of them see it


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
    die_with_parent()


@inspect_command(name=WORKER_COMMAND)
def _worker(state: Any) -> dict[str, Any]:
    """Which models folder the worker serves, and from which queues."""
    queues = [queue.name for queue in state.consumer.task_consumer.queues]
    about = {"models_dir": str(paths.models.resolve()), "models_id": models_id(paths), "queues": queues}
    return about | {"clock": time.time(), "pid": os.getpid()}


def _look_at_broker() -> None:
    """Ends a short command of Celery where the broker takes no jobs; tells services that, which wait for it."""
    command = _celery_command()
    if command not in _SHORT | _SERVICES or {"--help", "-h"} & set(sys.argv):
        return
    try:
        check_broker(app.conf.broker_write_url)
    except BrokerAwayError as error:
        _print_error(error)
        if command in _SHORT:
            raise SystemExit(error.exit_code) from None


_look_at_broker()
