"""What Celery sends is a message, and what is none, which workers set aside: tests/jobs/test_celery.py."""

import base64
import json
import threading

import pytest
from redis import Redis

from fer_core.job.job import open_job
from fer_core.job.lifecycle import create_job
from jobs.celery import app
from jobs.transport import check_message
from tests.jobs.conftest import wait_until


def encoded(value) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def message(**changed) -> dict:
    """Returns a message as `celery call gc` puts it into its queue, some of it changed: headers__id=…, body=…."""
    made = {
        "body": encoded([[], {"dry_run": True}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "gc", "id": "some-id", "retries": 0, "timelimit": [None, None]},
        "properties": {
            "correlation_id": "some-id",
            "delivery_info": {"exchange": "", "routing_key": "cpu"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "1",
        },
    }
    for name, value in changed.items():
        part, _, inner = name.partition("__")
        made[part] = made[part] | {inner: value} if inner else value
    return made


MALFORMED_ONES = {
    "a list as id": message(headers__id=["x"]),
    "no id": message(headers__id=None),
    "null body": message(body=None),
    "text in timelimit": message(headers__timelimit="soon"),
    "texts in timelimit": message(headers__timelimit=["a", "b"]),
    "one timelimit": message(headers__timelimit=[1]),
    "text for retries": message(headers__retries="many"),
    "a list as task": message(headers__task=["gc"]),
    "a group that is a list": message(headers__group=["x"]),
    "no headers": message(headers=None),
    "no properties": message(properties=[]),
    "a tag that is a list": message(properties__delivery_tag=["x"]),
    "no delivery_info": message(properties__delivery_info=None),
    "other content": message(**{"content-type": "application/x-python-serialize"}),
    "a body that is no base64": message(body="%%%"),
    "a body that is no list": message(body=encoded({"a": 1})),
    "arguments that are none": message(body=encoded([3, {}, {}])),
    "a number": 3,
    "nothing": None,
    "a list": [],
}
NO_JSON = ["x", "[" * 100_000, "9" * 5000, '{"__type__": "datetime", "__value__": 5}', b"\xff\xfe"]


def database(redis_server, url: str) -> Redis:
    return Redis(unix_socket_path=str(redis_server.socket), db=int(url.rpartition("=")[2]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"countdown": 5, "expires": 60, "priority": 3},
        {"time_limit": 60, "soft_time_limit": 30.5, "headers": {"mine": [1, 2]}},
        {"link": app.signature("gc"), "link_error": app.signature("gc"), "chain": [app.signature("gc")]},
        {"group_id": "g", "root_id": "r", "parent_id": "p", "retries": 2, "shadow": "other"},
    ],
    ids=lambda options: "+".join(options) or "plain",
)
def test_all_that_celery_sends_is_a_message(redis_server, redis_url, submit, options):
    known = {"task_id": "an-id", "ignore_result": True, "connection": app.connection_for_write(redis_url)}
    app.send_task("gc", kwargs={"dry_run": True}, queue="gpu.high", **known | options)
    with database(redis_server, redis_url) as stored:
        (name,) = stored.keys("gpu.high*")  # each priority has a list of its own
        raw = stored.lpop(name)
    check_message(json.loads(raw))


def test_a_message_that_is_sent_again_is_the_same(redis_server, redis_url, broker, job_paths):
    options = {"link": app.signature("gc"), "headers": {"mine": "1"}, "priority": 3}
    job = create_job(job_paths, "gc", {"queue": "gpu.high"}, options=options, environ={})
    for _ in range(2):
        broker.send(open_job(job_paths, job.id))
    with database(redis_server, redis_url) as stored:
        (name,) = stored.keys("gpu.high*")
        again, first = map(json.loads, stored.lrange(name, 0, -1))
        stored.delete(name)
    assert name.endswith(b"3") and first["headers"]["mine"] == "1"
    assert json.loads(base64.b64decode(first["body"]))[2]["callbacks"][0]["task"] == "gc"
    assert (again["headers"], again["body"]) == (first["headers"], first["body"])


def test_who_answers_with_an_error_counts_as_no_worker(broker):
    asked, found = [], {}

    def answer(body, message):
        node.handle_message(body, message)
        asked.append(body)

    def listen():
        while not asked:
            own.drain_events(timeout=10)

    with broker.connected() as own:
        node = broker.app.control.mailbox.Node("other@here", handlers={}, channel=own.channel())
        node.listen(callback=answer)
        thread = threading.Thread(target=listen)
        thread.start()
        wait_until(lambda: found.update(broker.workers(seconds=0.5)) or asked)
        thread.join()
    assert found == {}


def test_an_acknowledgement_that_comes_after_the_connection_is_closed_is_an_error_that_celery_expects(redis_url):
    connection = app.connection_for_read(redis_url)
    channel = connection.channel()
    errors = connection.connection_errors
    channel.connection.client = None
    with pytest.raises(errors, match="before a message was acknowledged"):
        channel.basic_ack("a-tag")
