"""From a wish to a message in Redis: the record is written first, so that what cannot be sent now is sent later."""

import base64
import contextlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from kombu import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from fer_core.errors import JobError
from fer_core.places import Places
from fer_core.store.clock import Clock, utc_now, utc_text
from jobs.celery import app
from jobs.job import Job
from jobs.record import Jobs
from jobs.settings import QUEUE_OF_TASK, check_queue, hidden_password
from jobs.wishes import checked_wish
from jobs.work import whole_path

_PATHS = ("data", "init_from", "run", "teacher")
_PATIENCE = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
"""For a broker that does not answer: Kombu's own patience has no end."""

_ANSWER_SECONDS = 2.0
"""Workers that train answer too: their main process does."""


class BrokerAwayError(JobError):
    """The broker cannot be reached."""


def submit(
    places: Places,
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
    jobs = Jobs(places.models / "jobs", clock=clock)
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
            raise broker_away(error) from error


class Waiting(NamedTuple):
    """A message that waits in a queue, with the names that Celery has for one that was received."""

    id: str
    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    delivery_info: dict[str, str]


def waiting_messages() -> list[Waiting]:
    """Returns the messages that wait in the queues and can be read. Raises BrokerAwayError."""
    found = []
    for message in _raw_messages():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
            about = message["headers"]
            found.append(Waiting(about["id"], about["task"], args, kwargs, message["properties"]["delivery_info"]))
    return found


def waiting_ids() -> set[str]:
    """Returns the ids of all jobs whose messages wait in a queue. Raises BrokerAwayError."""
    return {message["headers"]["id"] for message in _raw_messages()}


def _raw_messages() -> list[dict[str, Any]]:
    with reached_broker() as connection:
        try:
            client = connection.default_channel.client
            messages = [message for name in app.amqp.queues for message in client.lrange(name, 0, -1)]
        except (*connection.connection_errors, *connection.channel_errors, OperationalError) as error:
            raise broker_away(error) from error
    return [json.loads(message) for message in messages]


def others_listen(job: Job) -> bool:
    """Returns whether workers listen to the job's queue which have not refused it; true where nobody can be asked."""
    try:
        with reached_broker() as connection:
            asked = app.control.inspect(timeout=_ANSWER_SECONDS, connection=connection)
            answers = asked.active_queues() or {}
    except (BrokerAwayError, RedisError, OperationalError):
        return True
    listening = {worker for worker, queues in answers.items() if job.queue in [queue["name"] for queue in queues]}
    return bool(listening - {*job.refused_by, job.owner.worker})


def reached_broker() -> Connection:
    """Returns a connection, for `with`. Raises BrokerAwayError if there is none within seconds."""
    connection = app.connection_for_write(transport_options=_PATIENCE)
    try:
        return connection.ensure_connection(**_PATIENCE)
    except OperationalError as error:
        connection.release()
        raise broker_away(error) from error


def broker_away(error: Exception) -> BrokerAwayError:
    """Returns what is said of a broker that does not answer, without its password."""
    return BrokerAwayError(
        f"The broker {hidden_password(app.conf.broker_url)} cannot be reached ({error}).",
        hint="`python -m jobs up` starts one here; $FER_BROKER_URL names another. What was submitted is kept.",
    )


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
