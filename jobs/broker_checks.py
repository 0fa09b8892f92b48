"""What the doctor asks the broker and the workers: settings, queues, clocks. Imports Celery."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from jobs.broker_address import hidden_password
from jobs.checks import Finding, clock_finding
from jobs.commands.broker import celery_app, consumers
from jobs.commands.desk import Desk

ANSWER_SECONDS = 1.0
HEARTBEAT_SECONDS = 4.0
"""Workers are asked for a sign of life, and give one every two seconds by themselves."""

_WANTED = {
    "maxmemory-policy": ("noeviction", "Messages may be thrown away when memory is short."),
    "appendonly": ("yes", "Messages are lost when the server ends; workers then send them again, after a minute."),
}
"""Settings of the server, what they should be, and what it means if they are not."""


def broker_findings(desk: Desk) -> Iterator[Finding]:
    """Yields what there is to say about broker, queues and clocks. Raises BrokerAwayError."""
    app = celery_app(desk)
    from jobs.sending import reached_broker

    with reached_broker() as connection:
        client = connection.default_channel.client
        yield _server(app, client.info())
        yield from _settings(client)
        listening = consumers(desk, seconds=ANSWER_SECONDS)
        yield from _queues(app, client, listening)
        seconds, microseconds = client.time()
        yield clock_finding("the broker", seconds + microseconds / 1e6 - time.time())
    workers = {worker for queue in listening.values() for worker in queue}
    if workers:
        for worker, ahead in sorted(worker_clocks(app, workers, HEARTBEAT_SECONDS).items()):
            yield clock_finding(worker, ahead)


def worker_clocks(app: Any, workers: Iterable[str], seconds: float) -> dict[str, float]:
    """Returns how many seconds the clocks of these workers are ahead of ours, of those that tell it in time."""
    missing, found = set(workers), {}
    with app.connection_for_read() as connection:
        deadline = time.monotonic() + seconds

        def note(event: dict[str, Any]) -> None:
            if event.get("hostname") in missing:
                found[event["hostname"]] = event["timestamp"] - event["local_received"]
            receiver.should_stop = missing <= set(found) or time.monotonic() > deadline

        receiver = app.events.Receiver(connection, handlers={"worker-heartbeat": note})
        # Celery would shift the moment by the difference of time zones, which it does not depend on.
        receiver.event_from_message = partial(receiver.event_from_message, localize=False)
        with contextlib.suppress(TimeoutError):
            receiver.capture(timeout=seconds, wakeup=True)
    return found


def _server(app: Any, info: dict[str, Any]) -> Finding:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "?")
    text = f"{hidden_password(app.conf.broker_url)}: {name} {version}, {info.get('used_memory_human', '?')}"
    if info.get("aof_enabled") and info.get("aof_last_write_status") == "err":
        return Finding("bad", "broker", f"{text}. It cannot write its file.", "Is its disk full?")
    return Finding("ok", "broker", text)


def _settings(client: Any) -> Iterator[Finding]:
    from redis.exceptions import ResponseError

    for name, (wanted, otherwise) in _WANTED.items():
        try:
            value = client.config_get(name).get(name)
        except ResponseError:
            yield Finding("warn", "broker", f"{name} cannot be asked for here.", f"It should be {wanted}.")
            continue
        if value == wanted:
            yield Finding("ok", "broker", f"{name} {value}")
        else:
            level = "bad" if name == "maxmemory-policy" else "warn"
            yield Finding(level, "broker", f"{name} is {value}. {otherwise}", f"Set {name} {wanted} in the server.")


def _queues(app: Any, client: Any, listening: dict[str, list[str]]) -> Iterator[Finding]:
    for queue in app.amqp.queues:
        waiting, workers = client.llen(queue), sorted(listening.get(queue, ()))
        text = f"queue {queue}: {waiting} waiting, {len(workers)} listening"
        if workers:
            yield Finding("ok", "workers", f"{text} ({', '.join(workers)})")
        elif waiting:
            yield Finding("bad", "workers", text, f"`celery -A jobs worker -Q {queue}`, or `python -m jobs up`.")
        else:
            yield Finding("warn", "workers", text, "`python -m jobs up` starts one.")
