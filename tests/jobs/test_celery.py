"""Celery behaves as its documentation says: queues, routing, later starts, links, results, limits, revoke, purge.

A real broker and real workers; the jobs are mostly clean-ups, which take an instant, and searches that are ended early.
"""

import json
import os
import subprocess
import sys

import pytest

from fer_core.job.job import find_job, job_ids, open_ids, open_job
from fer_core.job.lifecycle import cancel_job, create_job, resume_job
from fer_core.tuning.state import load_state
from jobs.transport import MALFORMED, MOST_MALFORMED
from tests.conftest import PROJECT
from tests.jobs.conftest import TINY_TRAINING, stopped, wait_until
from tests.jobs.test_messages import MALFORMED_ONES, NO_JSON, database, message

SEARCH = {"recipe": "smoke", "data": "sample", "max_trials": 2, "confirm_top": 0, "space": ["learning_rate"]}
SEARCH |= {"settings": {"sample_per_class": 30, "epochs": 1, "threads": 1}}
RESULT = "from jobs.celery import app; print(app.AsyncResult({!r}).get(timeout=30))"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the command of [notify] was called with."""
    return tmp_path_factory.mktemp("notify") / "told.txt"


@pytest.fixture(scope="module")
def main_worker(worker, told):
    schedule = told.with_name("schedule.toml")
    schedule.write_text(f'[notify]\ncommand = ["sh", "-c", "echo $FER_EVENT $FER_JOB >> {told}"]\n')
    return worker(name="main", FER_SCHEDULE=str(schedule))


def test_celery_call_writes_the_job_down_its_result_is_what_came_of_it_and_what_it_cannot_send_is_two_lines(
    main_worker, job_environment, ended, python
):
    def call(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "celery", "-A", "jobs", "call", *arguments]
        return subprocess.run(command, cwd=PROJECT, env=job_environment, capture_output=True, text=True, timeout=60)

    answer = call("gc", "--kwargs", '{"keep_days": 7}')
    job_id = answer.stdout.strip()
    assert answer.returncode == 0 and ended(job_id).end.result == {"found": 0, "removed_bytes": 0}
    assert python(RESULT.format(job_id)) == "{'found': 0, 'removed_bytes': 0}"
    wrong = {("tuen",): ("There is no task 'tuen'.", "Did you mean 'tune'?")}
    wrong |= {("gc", "--args", "[3]"): ("Arguments have names.", "--kwargs")}
    for arguments, (problem, hint) in wrong.items():
        answer = call(*arguments)
        first, second = answer.stderr.splitlines()
        assert answer.returncode != 0 and problem in first and hint in second


def test_links_chords_headers_and_countdown_are_celery_s_own(main_worker, python):
    code = """
import time
from celery import chord
from jobs.celery import app
gc = app.signature("gc", kwargs={"keep_days": 5}, immutable=True)
began = time.time()
later = gc.apply_async(countdown=3, link=gc)
print(later.get(timeout=60)["found"], time.time() - began > 3)
print(later.children[0].get(timeout=60)["found"])
body = chord([gc, gc])(gc)
print(body.get(timeout=60)["found"])
job = app.send_task("gc", kwargs={"keep_days": 4}, link=gc, headers={"mine": "1"})
print(job.get(timeout=60)["found"], job.children[0].get(timeout=60)["found"])
"""
    assert python(code).splitlines() == ["0 True", "0", "0", "0 0"]


def test_an_expired_message_is_never_begun_and_an_unknown_task_is_an_error_of_ours(main_worker, python, job_paths):
    before = set(job_ids(job_paths))
    code = """
from celery.exceptions import TaskRevokedError
from fer_core.errors import JobError
from jobs.celery import app
try:
    app.send_task("nothing")
except JobError as error:
    print(error)
result = app.send_task("gc", kwargs={"keep_days": 6}, countdown=2, expires=1)
try:
    result.get(timeout=60)
except TaskRevokedError as error:
    print(error)
"""
    assert python(code).splitlines() == ["There is no task 'nothing'.", "expired"]
    assert set(job_ids(job_paths)) == before


def test_a_message_of_another_program_is_carried_out_once_however_often_it_comes(main_worker, python, job_paths):
    message = "6f7f3c1e-0d6c-4c39-8d0c-3a5f6f1f0001"
    code = f"""
from celery import Celery
from jobs.celery import app as ours
app = Celery(broker=ours.conf.broker_url, backend=ours.conf.result_backend)
app.conf.broker_transport_options = ours.conf.broker_transport_options
app.conf.task_queues, app.conf.task_create_missing_queues = ours.conf.task_queues, False
for _ in range(3):
    result = app.send_task("gc", kwargs={{"keep_days": 8}}, task_id={message!r}, queue="cpu")
print(result.get(timeout=60)["found"])
"""
    assert python(code) == "0"
    (job_id,) = [name for name in job_ids(job_paths) if open_job(job_paths, name).order.message_id == message]
    assert find_job(job_paths, message).id == job_id
    assert find_job(job_paths, message).notes.attempt == 0  # a clean-up needs no process


def test_the_urgent_comes_first(main_worker, python, submit, ended, job_paths, broker):
    with stopped(main_worker, broker):
        first = [submit("gc", keep_days=days) for days in (11, 12)]
        code = "from jobs.celery import app; print(app.send_task('gc', kwargs={'keep_days': 13}, priority=0).id)"
        late = "from jobs.celery import app; print(app.send_task('gc', kwargs={'keep_days': 14}, priority=9).id)"
        least, urgent = python(late), python(code)
    finished = {name: ended(name).end.finished_utc for name in (*(job.id for job in first), least, urgent)}
    assert max(finished, key=finished.get) == least
    assert open_job(job_paths, urgent).order.options == {}


def test_what_is_no_message_is_set_aside_and_the_worker_goes_on(redis_server, redis_url, main_worker, submit, ended):
    before = len(main_worker.log)
    with database(redis_server, redis_url) as stored:
        every = [*NO_JSON, *map(json.dumps, MALFORMED_ONES.values())]
        stored.lpush("cpu", *every)
        assert ended(submit("gc", dry_run=True).id, 60).end.status == "SUCCEEDED"
        wait_until(lambda: not stored.hlen("unacked"))
        assert (main_worker.process.poll(), stored.llen("cpu")) == (None, 0)
        assert stored.llen(MALFORMED) == len(MALFORMED_ONES)
        assert main_worker.log.count("A malformed message") == len(MALFORMED_ONES)
        assert json.loads(stored.lindex(MALFORMED, -1)) == MALFORMED_ONES["a list as id"]
        stored.lpush("cpu", *[json.dumps(message(body=None))] * (2 * MOST_MALFORMED))
        wait_until(lambda: stored.llen("cpu") == 0, 60)
        assert stored.llen(MALFORMED) <= MOST_MALFORMED
        assert "Traceback" not in main_worker.log[before:]


def test_purge_throws_away_what_waits_and_it_stays_away(main_worker, celery, submit, ended, broker):
    with stopped(main_worker, broker):
        job = submit("train", **TINY_TRAINING)
        assert job.has_message
        assert "Purged 1 message" in celery("purge", "-f")
        os.utime(job.marker, (1, 1))  # so old a message is not on its way
    assert ended(job.id).end.message == "Its message was purged."
    assert job.run.state.status == "CANCELLED"


def test_revoking_what_waits_cancels_it_and_resuming_goes_on(main_worker, celery, submit, ended, job_paths, broker):
    job_id = "20260131-120000-gc-3f9a"
    celery("control", "revoke", job_id)
    broker.send(create_job(job_paths, "gc", {}, job_id=job_id, environ={}))
    assert ended(job_id).end.status == "CANCELLED"
    broker.send(resume_job(job_paths, job_id))
    assert ended(job_id).end.status == "SUCCEEDED"


def test_soft_and_hard_time_limits_end_a_job_as_timed_out(main_worker, python, ended):
    for limit, error in (("soft_time_limit", "SoftTimeLimitExceeded"), ("time_limit", "TimeLimitExceeded")):
        code = f"""
from jobs.celery import app
result = app.send_task("train", kwargs={TINY_TRAINING!r}, {limit}=1)
try:
    result.get(timeout=120)
except Exception as error:
    print(result.id, type(error).__name__)
"""
        job_id, name = python(code).split()
        assert name == error
        job = ended(job_id)
        assert (job.end.status, job.run.state.status) == ("TIMED_OUT", "TIMED_OUT")
        wait_until(lambda: not main_worker.trainers(), 60)


@pytest.mark.parametrize(("task", "arguments"), [("train", TINY_TRAINING), ("tune", SEARCH)])
def test_a_worker_answers_while_it_works_and_terminating_or_cancelling_a_job_ends_its_process_in_ten_seconds(
    main_worker, celery, submit, ended, task, arguments
):
    for end in (lambda job: celery("control", "terminate", "SIGTERM", job.id), cancel_job):
        job = submit(task, **arguments)
        (trainer,) = wait_until(main_worker.trainers, 60)
        trainer.suspend()  # while it is asked about
        assert job.id in celery("inspect", "active")
        trainer.resume()
        end(job)
        wait_until(lambda: not main_worker.trainers(), 10)
        assert ended(job.id, 15).end.status == "CANCELLED"


def test_terminating_a_trial_fails_that_trial_and_the_search_goes_on(main_worker, submit, ended, broker):
    longer = SEARCH["settings"] | {"epochs": 200}
    job = submit("tune", **SEARCH | {"settings": longer})
    wait_until(lambda: load_state(job.search).entries, 180)
    (tasks,) = broker.app.control.inspect().active().values()
    broker.app.control.revoke(tasks[0]["id"], terminate=True)
    wait_until(lambda: len(load_state(job.search).entries) == 2, 120)
    cancel_job(job)
    assert ended(job.id).end.status == "CANCELLED"
    failed, _ = load_state(job.search).entries
    assert (failed.status, failed.message) == ("FAILED", "It was terminated.")


def test_the_result_of_a_search_comes_when_it_has_ended_and_somebody_is_told_once(main_worker, python, job_paths, told):
    sent = f"app.send_task('tune', kwargs={SEARCH | {'max_trials': 1}!r})"
    code = f"from jobs.celery import app; sent = {sent}; print(sent.id, sent.get(timeout=300)['winner'])"
    job_id, winner = python(code).split()
    state = load_state(open_job(job_paths, job_id).search)
    assert (state.status, state.winner) == ("SUCCEEDED", winner)
    assert told.read_text().count(f"found {job_id}\n") == 1


def test_what_is_to_begin_in_an_hour_is_nothing_that_a_sweep_sends(main_worker, python, broker, job_paths):
    code = "from jobs.celery import app; print(app.send_task('gc', kwargs={'keep_days': 3}, countdown=3600).id)"
    message, inspect = python(code), broker.app.control.inspect()
    held = wait_until(lambda: [one for every in (inspect.scheduled() or {}).values() for one in every], 30)
    assert [one["request"]["id"] for one in held] == [message]
    assert message not in open_ids(job_paths) and message not in job_ids(job_paths)
    broker.app.control.revoke(message)


def test_a_search_that_nobody_can_do_fails_with_the_reason(main_worker, submit, ended):
    search = ended(submit("tune", **SEARCH | {"data": "/nowhere/at/all.zip"}).id)
    assert search.end.status == "FAILED" and "/nowhere/at/all.zip" in search.end.message
