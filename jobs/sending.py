"""From a wish to a message in Redis: the record is written first, so that what cannot be sent now is sent later."""

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from kombu import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from fer_core.errors import JobError
from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now, utc_text
from jobs.broker_health import BrokerAwayError, broker_away, check_broker
from jobs.celery import app
from jobs.job import Job
from jobs.messages import MalformedError, Waiting, parsed_message
from jobs.record import Jobs
from jobs.settings import QUEUE_OF_TASK, check_queue
from jobs.wishes import checked_wish
from jobs.work import whole_path

_PATHS = ("data", "init_from", "run", "teacher")
_RETRIES = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
_PATIENCE = {**_RETRIES, "socket_timeout": 3.0}
"""For a broker that falls silent now: Kombu's own patience has no end."""

_ANSWER_SECONDS = 2.0
"""Workers that train answer too: their main process does."""


def submit(
    paths: Paths,
    task: str,
    arguments: dict[str, Any],
    *,
    job_id: str | None = None,
    schedule: str | None = None,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = utc_now,
) -> Job:
    """Returns the job, written down and sent; of an id that there is already, that job, and nothing is sent.

    Args:
        arguments: as `celery call --kwargs` takes them; relative paths are of this process's folder.
        job_id: one that is known beforehand; default: `<task>-20260131-140212-3f9a`.
        schedule: the entry of the schedule that it comes from.

    Raises:
        ConfigError: an argument is wrong. JobError: there is no such task or queue.
        BrokerAwayError: the job is written down, and workers send it themselves when they reach the broker.
    """
    wish = checked_wish(task, arguments)
    queue = getattr(wish, "queue", None) or QUEUE_OF_TASK[task]
    check_queue(queue, environ)
    moment = clock()
    job = Job(
        id=job_id or new_job_id(task, moment),
        task=task,
        arguments=_findable(arguments),
        queue=queue,
        schedule=schedule,
        created_utc=utc_text(moment),
    )
    jobs = Jobs(paths.models / "jobs", clock=clock)
    if not jobs.create(job):
        return jobs.read(job.id)
    send(jobs, job)
    return jobs.read(job.id)


def new_job_id(task: str, moment: datetime, random_mark: Callable[[], str] = lambda: secrets.token_hex(2)) -> str:
    """Returns an id that says what it is and sorts by time: train-20260131-140212-3f9a."""
    return f"{task}-{moment:%Y%m%d-%H%M%S}-{random_mark()}"


def send(jobs: Jobs, job: Job) -> None:
    """Sends the message of a job; not if somebody else has done so since `job` was read.

    Raises BrokerAwayError within seconds; the job is then noted as not sent.
    """
    if not jobs.note_sent(job.id, instead_of=job.sent_utc):
        return
    try:
        publish(job)
    except BrokerAwayError:
        jobs.change(job.id, sent_utc=None)
        raise


def publish(job: Job) -> None:
    """Puts the message of a job into its queue. Raises BrokerAwayError, JobError for a queue that there is not."""
    if job.queue not in app.amqp.queues:
        raise JobError(
            f"Job {job.id} is for the queue {job.queue!r}, which is not known here.",
            hint=f"Set $FER_QUEUES={job.queue} for everything that sends, listens and schedules.",
        )
    message = app.amqp.create_task_message(job.id, job.task, kwargs=job.arguments, create_sent_event=True)
    with reached_broker() as connection:
        try:
            producer = app.amqp.Producer(connection, auto_declare=False)
            app.amqp.send_task_message(producer, job.task, message, queue=job.queue, retry=False)
        except (*connection.connection_errors, *connection.channel_errors, OperationalError) as error:
            raise _away(error) from error


def waiting_messages() -> list[Waiting]:
    """Returns the messages that wait in the queues, without what is none. Raises BrokerAwayError."""
    found = []
    for message in _raw_messages():
        with contextlib.suppress(MalformedError):  # the worker that takes it says so
            found.append(parsed_message(message))
    return found


def waiting_ids() -> set[str]:
    """Returns the ids of all jobs whose messages wait in a queue. Raises BrokerAwayError."""
    return {message.id for message in waiting_messages()}


def _raw_messages() -> list[bytes]:
    with reached_broker() as connection:
        try:
            client = connection.default_channel.client
            return [message for name in app.amqp.queues for message in client.lrange(name, 0, -1)]
        except (*connection.connection_errors, *connection.channel_errors, OperationalError) as error:
            raise _away(error) from error


def others_listen(job: Job) -> bool:
    """Returns whether workers listen to the job's queue which have not refused it; true where nobody can be asked."""
    try:
        answers = asked_workers(_ANSWER_SECONDS)
    except BrokerAwayError:
        return True
    listening = {worker for worker, queues in answers.items() if job.queue in [queue["name"] for queue in queues]}
    return bool(listening - {*job.refused_by, job.owner.worker})


def asked_workers(seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Returns the queues of all workers that answer within some seconds, by worker. Raises BrokerAwayError."""
    with reached_broker() as connection:
        try:
            return app.control.inspect(timeout=seconds, connection=connection).active_queues() or {}
        except (RedisError, OperationalError) as error:
            raise _away(error) from error


def reached_broker() -> Connection:
    """Returns a connection, for `with`. Raises BrokerAwayError, within seconds, if there is none that takes jobs."""
    check_broker(app.conf.broker_write_url)
    connection = app.connection_for_write(transport_options=_PATIENCE)
    try:
        return connection.ensure_connection(**_RETRIES)
    except OperationalError as error:
        connection.release()
        raise _away(error) from error


def _away(error: Exception) -> BrokerAwayError:
    return broker_away(app.conf.broker_write_url, error)


def _findable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Workers have other working folders."""
    found = {name: _whole(arguments[name]) for name in _PATHS if name in arguments}
    if isinstance(arguments.get("settings"), dict):
        found["settings"] = _findable(arguments["settings"])
    return arguments | found


def _whole(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_whole(part) for part in value]
    return whole_path(value) if isinstance(value, str) else value
