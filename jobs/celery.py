"""The Celery app and every setting of it. `celery -A jobs` finds it here. Imports nothing heavier than Celery."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_shutting_down
from click import ClickException
from kombu import Queue

from fer_core.errors import did_you_mean
from fer_core.paths import Paths
from jobs import transport
from jobs.celery_command import look_at_broker, said_by_celery
from jobs.settings import QUEUE_OF_TASK, JobSettings
from jobs.stopping import StopFlag

_settings = said_by_celery(lambda: JobSettings.from_environment(os.environ, Paths.from_environment()))

transport.use()
app = Celery("jobs", include=["jobs.tasks"])


def route(name: str, *_: Any, **__: Any) -> dict[str, str] | None:
    """Returns where a task's messages go; None for those of Celery itself.

    Raises ClickException, which `celery call` prints, for a task that there is not: workers throw its messages away.
    """
    if name not in QUEUE_OF_TASK and not name.startswith("celery."):
        known = (task for task in QUEUE_OF_TASK if task != "trial")  # that one the server sends itself
        raise ClickException(f"There is no task {name!r}. {did_you_mean(name, known)}")
    return {"queue": QUEUE_OF_TASK[name]} if name in QUEUE_OF_TASK else None


app.conf.update(
    broker_url=_settings.broker_url,
    result_backend=_settings.broker_url,
    # JSON only: who can write to Redis can then send jobs, but no code.
    accept_content=["json"],
    result_accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    event_serializer="json",
    # A mistyped queue is an error, not a place where messages wait for ever.
    task_queues=[Queue(name, routing_key=name) for name in _settings.queues],
    task_create_missing_queues=False,
    task_default_queue="gpu",
    task_default_routing_key="gpu",
    task_routes=(route,),
    # A message is acknowledged when its job has ended. A worker takes one at a time, and keeps none in reserve.
    task_acks_late=True,
    task_acks_on_failure=True,
    task_acks_on_timeout=True,
    task_reject_on_worker_lost=False,
    task_retry_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_concurrency=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    broker_transport_options={
        "visibility_timeout": _settings.visibility_seconds,
        "unacked_restore_interval": min(10.0, _settings.visibility_seconds / 2),
        "unacked_restore_throttle": 1,
        "queue_order_strategy": "priority",
        # One list a queue, so that whoever looks for a message knows where.
        "priority_steps": [0],
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
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
    task_send_sent_event=True,
    timezone="UTC",
    enable_utc=True,
    beat_scheduler="jobs.schedule:Scheduler",
    beat_enable_remote_control=True,
)

app.steps["worker"].add("jobs.recovery:Housekeeping")

stop_flag = StopFlag()
"""Made before any pool child is forked, so that all of them see it."""

worker_shutting_down.connect(stop_flag.ask, weak=False)

look_at_broker(lambda: app.conf.broker_write_url)
