"""`Broker`: the Redis where messages wait, for everybody who sends them or asks about them; workers have `jobs.celery`.

A message is a hint: its id names a run, a search or a task, whose folder says what is left of it. So one may be lost,
come twice or come late without harm. Celery is imported when a broker is first used.

Celery and Kombu wait half a minute for every answer, several times, and cannot do with less: a worker's connection is
silent while nothing is to be done. So a connection of its own asks first whether the broker takes jobs.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pydantic import BaseModel, ValidationError

from fer_core.errors import ConfigError, JobError
from fer_core.job.arguments import queues
from fer_core.job.broker_address import SOCKETS, check_address, hidden_password
from fer_core.job.job import Job
from fer_core.paths import Paths
from fer_core.store.files import create_atomically
from fer_core.tuning.state import load_state

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection
    from redis import Redis

VISIBILITY_SECONDS = 3600.0
"""Redis gives a message that was not acknowledged to another worker after this time, which finds the job locked."""
MODELS_HEADER, WORKER_COMMAND = "fer_models", "fer_worker"
_RETRIES = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
_PATIENCE = {**_RETRIES, "socket_timeout": 3.0}
"""For a broker that falls silent now: Kombu's own patience has no end."""

ANSWER_SECONDS = 1.0
"""For connecting, and for each answer; there are two. Redis answers within milliseconds, also on a busy machine."""
PROBE_KEY = "fer.probe"  # written to see whether the server takes writes; it is gone after a second
_STARTS = "`python -m jobs up` starts one here; $FER_BROKER_URL names another. What was submitted is kept."
_LOOK, _PRIMARY = "Look at $FER_BROKER_URL.", "$FER_BROKER_URL must name its primary."
_LOGIN = "$FER_BROKER_URL takes one: redis://:PASSWORD@HOST:6379/0."

_REFUSALS = (
    (r"WRONGPASS|invalid username-pass", "refuses this user name or password", _LOOK),
    (r"NOAUTH|uthentication required", "asks for a password", _LOGIN),
    (r"without any password", "has no password, but one is given", "Take the password out of $FER_BROKER_URL."),
    (r"READONLY|read.only replica", "is a replica: it takes no jobs", _PRIMARY),
    (r"MASTERDOWN", "is a replica without its primary", _PRIMARY),
    (r"MISCONF", "takes no writes, since it cannot save its data (MISCONF)", "Is its disk full? Its log says more."),
    (r"NOREPLICAS|good replicas", "takes no writes without replicas (min-replicas-to-write)", "Are they running?"),
    (r"\bOOM\b|used memory", "takes no writes: its memory (maxmemory) is full", "Give it more: CONFIG SET maxmemory."),
    (r"LOADING|loading the dataset", "still reads its data", "Try again in a moment."),
    (r"NOPERM|no permissions", "does not let this user write", "docs/scaling.md has the rights that one needs."),
)
"""What Redis says, what that means, and what to do. The client takes the code off some answers."""


class Broker:
    """The broker of a models folder."""

    def __init__(self, paths: Paths, environ: Mapping[str, str] = os.environ):
        self.paths, self._environ = paths, environ
        self.url = broker_url(environ, paths)

    @cached_property
    def app(self) -> "Celery":
        """A Celery application without tasks and results, for messages and questions."""
        from celery import Celery

        app = Celery("fer", set_as_current=False)
        app.conf.update(shared_settings(self.url, self._environ), result_backend=None)
        return app

    @contextlib.contextmanager
    def connected(self) -> Iterator["Connection"]:
        """Yields a connection. Raises BrokerAwayError, within seconds, if no broker takes jobs, or it breaks."""
        from kombu.exceptions import OperationalError

        check_broker(self.url)
        connection = self.app.connection_for_write(transport_options=_PATIENCE)
        with connection:
            try:
                connection.ensure_connection(**_RETRIES)
                yield connection
            except (*connection.connection_errors, *connection.channel_errors, OperationalError) as error:
                raise broker_away(self.url, error) from error

    def send(self, job: Job) -> None:
        """Puts the message of a job into its queue, or the one that invites more workers to it.

        Raises BrokerAwayError within seconds, JobError for a queue that there is not.
        """
        if job.queue not in self.app.amqp.queues:
            raise JobError(
                f"Job {job.id} is for the queue {job.queue!r}, which is not known here.",
                hint=f"Set $FER_QUEUES={job.queue} for everything that sends, listens and schedules.",
            )
        name, arguments, options = job.task, job.order.arguments, {"task_id": job.order.message_id, **job.order.options}
        if (invitation := job.invitation) is not None:
            name, arguments = invitation
            options = {name: value for name, value in options.items() if name == "priority"}
            options["task_id"] = f"{job.id}.t{secrets.token_hex(4)}"
        headers = {**(options.pop("headers", None) or {}), MODELS_HEADER: models_id(self.paths)}
        options |= {"queue": job.queue, "headers": headers, "retry": False, "add_to_parent": False}
        with self.connected() as connection:
            job.note_message(broker_id(connection))
            try:
                self.app.send_task(name, kwargs=arguments, connection=connection, **options)
            except BaseException:
                job.note_message("")
                raise

    def workers(self, *, seconds: float = 1.0) -> dict[str, dict[str, Any]]:
        """Returns what each worker that answers in time says of itself: queues, models folder and its id, clock.

        Raises BrokerAwayError.
        """
        with self.connected() as connection:
            answers = self.app.control.broadcast(WORKER_COMMAND, reply=True, timeout=seconds, connection=connection)
        # One that starts, or is of another program, answers with an error.
        return {name: about for answer in answers or () for name, about in answer.items() if "queues" in about}

    def waiting(self) -> dict[str, int]:
        """Returns how many messages wait in each queue. Raises BrokerAwayError."""
        with self.connected() as connection:
            return {queue: waiting_in(connection, queue) for queue in self.app.amqp.queues}


def shared_settings(url: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Returns the settings of Celery that senders and workers need alike. Raises ConfigError."""
    from kombu import Queue

    visibility = visibility_seconds(environ)
    return {
        "broker_url": url,
        # JSON only: who can write to Redis can then send jobs, but no code.
        "accept_content": ["json"],
        # A mistyped queue is an error, not a place where messages wait for ever.
        "task_queues": [Queue(name, routing_key=name) for name in queues(environ)],
        "task_create_missing_queues": False,
        "task_default_queue": "gpu",
        "task_default_routing_key": "gpu",
        "task_send_sent_event": True,
        "broker_transport_options": {
            "visibility_timeout": visibility,
            "unacked_restore_interval": min(10.0, visibility / 2),
            "unacked_restore_throttle": 1,
            "queue_order_strategy": "priority",
            "priority_steps": list(range(10)),
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
    }


def waiting_in(connection: "Connection", queue: str) -> int:
    """Returns how many messages wait in a queue, of all priorities."""
    channel = connection.default_channel
    try:
        return channel.queue_declare(queue=queue, passive=True).message_count
    except connection.channel_errors:  # nobody has used it yet
        return 0


def broker_id(connection: "Connection") -> str:
    """Returns what is another one after each start of the server."""
    return connection.default_channel.client.info("server")["run_id"]


def is_purged(job: Job, connection: "Connection") -> bool:
    """Whether somebody has thrown away the message of a job that was not begun, as `celery purge` does.

    What a server forgets that starts anew is no purge, and neither is what a worker has taken that died over it, or
    that serves another models folder.
    """
    sent_by = job.marker.read_text()
    has_begun = load_state(job.search).entries if job.search else job.notes.attempt
    if not sent_by or has_begun or job.end or sent_by != broker_id(connection):
        return False
    unacknowledged = connection.default_channel.client.hvals("unacked")
    return not any(job.order.message_id.encode() in message for message in unacknowledged)


def models_id(paths: Paths) -> str:
    """Returns what tells this models folder from all others; made when it is first asked for. Raises DiskFullError."""
    path = paths.models / ".id"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    paths.models.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        create_atomically(path, f"{secrets.token_hex(8)}\n")
    return path.read_text(encoding="utf-8").strip()


def broker_url(environ: Mapping[str, str], paths: Paths) -> str:
    """Returns $FER_BROKER_URL, else that of the server which `python -m jobs up` started, else that of its socket.

    Raises ConfigError for one of another kind of broker, or that would be misunderstood.
    """
    url, record = environ.get("FER_BROKER_URL"), read_record(paths.state)
    url = url or (record.url if record else socket_url(paths.state / "redis.sock"))
    check_address(url)
    scheme = url.partition("://")[0]
    if scheme == "unix":  # as redis-cli and other clients write it
        return f"redis+socket{url.removeprefix('unix')}"
    if scheme == "rediss" and "ssl_cert_reqs" not in url:
        # Celery refuses a rediss:// without it.
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
    return url


def socket_url(path: Path) -> str:
    """Returns the broker URL of a Redis that listens on a unix socket."""
    return f"redis+socket://{quote(str(path.resolve()))}?virtual_host=0"


def visibility_seconds(environ: Mapping[str, str]) -> float:
    """Returns $FER_VISIBILITY_SECONDS, or what is usual. Raises ConfigError."""
    text = environ.get("FER_VISIBILITY_SECONDS") or str(VISIBILITY_SECONDS)
    with contextlib.suppress(ValueError):
        if 1 <= float(text) <= 1e9:
            return float(text)
    hint = "It is a number of seconds from 1 on; leave it unset."
    raise ConfigError(f"$FER_VISIBILITY_SECONDS is {text!r}.", hint=hint)


class BrokerRecord(BaseModel):
    """What broker.json says: where the server of this state folder is, and which `up` started it."""

    url: str
    pid: int
    host: str
    started_utc: str = ""


def read_record(state: Path) -> BrokerRecord | None:
    """Returns what broker.json says, also where its `up` is dead; None if there is none that can be read."""
    try:
        return BrokerRecord.model_validate_json((state / "broker.json").read_bytes())
    except (OSError, ValidationError):
        return None


class BrokerAwayError(JobError):
    """The broker cannot be reached, or takes no jobs."""


def check_broker(url: str, *, seconds: float = ANSWER_SECONDS) -> None:
    """Raises BrokerAwayError, within some seconds, if the broker at this (checked) address takes no jobs now."""
    from redis import exceptions

    silence = f"accepts connections, but has not answered for {seconds:g} s"
    try:
        with client(url, seconds) as server:
            server.ping()
            silence = f"answers, but has taken no write for {seconds:g} s: it is paused (CLIENT PAUSE)"
            server.set(PROBE_KEY, "", px=1000)
    except (exceptions.RedisError, OSError) as error:
        if isinstance(error, exceptions.TimeoutError) and "connecting" not in str(error):
            raise BrokerAwayError(f"The broker {hidden_password(url)} {silence}.", hint=_STARTS) from None
        raise broker_away(url, error) from None
    except (TypeError, ValueError) as error:  # of an option that the client does not know, or not so
        raise BrokerAwayError(f"The broker {hidden_password(url)} cannot be asked ({error}).", hint=_LOOK) from None


def broker_away(url: str, error: Exception) -> BrokerAwayError:
    """Returns what is said of a broker that does not do what is asked, without its password."""
    for words, meaning, todo in _REFUSALS:
        if re.search(words, str(error)):
            return BrokerAwayError(f"The broker {hidden_password(url)} {meaning}.", hint=todo)
    return BrokerAwayError(f"The broker {hidden_password(url)} cannot be reached ({error}).", hint=_STARTS)


def client(url: str, seconds: float = ANSWER_SECONDS) -> "Redis":
    """Returns a client, for `with`, that tries everything once, and raises redis.RedisError.

    The options of the address are those that Kombu knows, too.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    is_socket = parts.scheme in SOCKETS
    options = {name: value for name, value in given.items() if name.startswith(("ssl_", "username", "password"))}
    options["db"] = given.get("virtual_host", "" if is_socket else parts.path).strip("/") or "0"
    if parts.scheme == "rediss":  # Celery takes the names of Python's constants for it, too: CERT_REQUIRED
        options["ssl_cert_reqs"] = given.get("ssl_cert_reqs", "required").removeprefix("CERT_").lower()
    place = f"unix://{parts.netloc}{parts.path}" if is_socket else f"{parts.scheme}://{parts.netloc}"
    once = {"socket_timeout": seconds, "retry": Retry(NoBackoff(), 0), "protocol": 2}
    once |= {} if is_socket else {"socket_connect_timeout": seconds}
    return Redis.from_url(f"{place}?{urlencode(options)}", **once)
