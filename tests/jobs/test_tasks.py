"""Jobs through a real Redis and real workers: what they come to, once, and what the processes load."""

import json
import re
import signal
from pathlib import Path

import psutil
import pytest

from fer_core.errors import JobError
from fer_core.store.runs import open_run
from fer_core.training.history import HISTORY_COLUMNS
from jobs.celery import app
from jobs.process import last_lines
from jobs.server import client
from tests.jobs.conftest import TINY_TRAINING, wait_until

HEAVY = ("tensorflow", "keras", "keras_tuner", "cv2", "h5py", "jax", "matplotlib", "pandas", "sklearn")


@pytest.fixture(scope="module")
def two_workers(worker):
    """Two, on a broker that gives a message to another worker after two seconds."""
    told = {"FER_VISIBILITY_SECONDS": "2", "PYTHONPROFILEIMPORTTIME": "1"}  # the latter: their logs name every import
    return [worker(name=name, **told) for name in ("one", "two")]


@pytest.fixture(scope="module")
def training(two_workers, submit, ended):
    """A training of more seconds than messages stay invisible; returns its job."""
    return ended(submit("train", **TINY_TRAINING, epochs=2).id)


def test_a_training_ends_as_a_run_like_any_other(training, job_paths):
    assert (training.status, training.message) == ("SUCCEEDED", "")
    run = open_run(job_paths, training.run)
    assert run.state.status == "SUCCEEDED"
    assert run.model_h5.is_file()
    assert run.manifest.recipe == "smoke"
    assert run.history_csv.read_text().splitlines()[0].split(",") == list(HISTORY_COLUMNS)


def test_its_result_is_a_summary(training, celery):
    assert training.result["run"] == training.run
    assert 0 <= training.result["macro_f1"] <= 1
    said = celery("result", training.id)
    assert said.returncode == 0, said.stderr
    assert training.run in said.stdout


def test_it_is_trained_once_though_its_message_came_again(training, two_workers, jobs, job_paths):
    assert training.attempt == 1
    assert len(list((job_paths.models / "runs").iterdir())) == 1
    logs = "".join(worker.log for worker in two_workers)
    assert f"Job {training.id} is carried out by" in logs  # there was a second delivery
    assert "preparing keras" in jobs.log(training.id).read_text().lower()
    assert jobs.log(training.id).read_text().lower().count("preparing keras") == 1


def test_a_job_does_not_promote_unless_that_was_asked_for(training, job_paths):
    assert not (job_paths.models / "current.json").exists()


def mapped(process: psutil.Process) -> set[str]:
    """Returns the files of packages that a process has mapped."""
    lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    return {line.split()[-1] for line in lines if "site-packages" in line}


def test_neither_a_worker_nor_its_children_have_loaded_what_only_trainers_need(training, two_workers):
    for worker in two_workers:
        family = [psutil.Process(worker.pid), *worker.pool_children()]
        assert len(family) >= 2
        assert {name for one in family for path in mapped(one) for name in HEAVY if f"/{name}/" in path} == set()
        imported = set(re.findall(r"^import time:.*\| +(\w+)", worker.log, re.MULTILINE))
        assert {"jobs", "celery", "fer_core"} <= imported
        assert imported & set(HEAVY) == set()


def test_what_celery_call_sends_with_wrong_arguments_fails_at_once_with_the_sentence(two_workers, celery, jobs, ended):
    sent = celery("call", "train", "--kwargs", '{"recipe": "smokee"}')
    job = ended(sent.stdout.strip(), 20)
    assert (job.status, job.attempt) == ("FAILED", 1)
    assert job.message == "There is no recipe 'smokee'.\nDid you mean 'smoke'?"
    said = celery("result", job.id)
    assert "There is no recipe 'smokee'." in said.stdout + said.stderr
    assert not any("Retry in" in worker.log for worker in two_workers)


def test_arguments_without_names_are_refused(two_workers, celery, ended):
    job = ended(celery("call", "train", "--args", '["smoke"]').stdout.strip(), 20)
    assert (job.status, job.message.partition(":")[0]) == ("FAILED", "Arguments have names")


def test_what_celery_call_sends_is_carried_out(two_workers, celery, ended):
    job = ended(celery("call", "gc", "--kwargs", '{"dry_run": true}').stdout.strip(), 20)
    assert (job.status, job.queue, job.task) == ("SUCCEEDED", "cpu", "gc")


def test_a_mistyped_queue_is_an_error_and_nothing_is_sent(celery, submit, jobs):
    before = jobs.ids()
    sent = celery("call", "gc", "--queue", "cpuu")
    assert sent.returncode != 0
    assert "Queue 'cpuu' missing from task_queues" in sent.stderr
    with pytest.raises(JobError, match="There is no queue 'cpuu'") as error:
        submit("gc", queue="cpuu")
    assert error.value.hint.startswith("Did you mean 'cpu'?")
    assert jobs.ids() == before


def test_a_mistyped_task_is_an_error_and_nothing_is_sent(celery):
    sent = celery("call", "trian")
    assert (sent.returncode, sent.stdout) == (1, "")
    assert sent.stderr == "Error: There is no task 'trian'. Did you mean 'train'?\n"


def test_an_id_from_outside_is_no_path(two_workers, redis_url, submit, job_paths):
    message = app.amqp.create_task_message("../../outside", "gc", kwargs={}, create_sent_event=False)
    with app.connection_for_write() as connection:
        app.amqp.send_task_message(app.amqp.Producer(connection, auto_declare=False), "gc", message, queue="cpu")
    wait_until(lambda: any("'../../outside' is no job id" in worker.log for worker in two_workers), 20)
    assert list(job_paths.models.parent.rglob("*outside*")) == []


def test_messages_are_json_and_hold_no_password(redis_url, submit, redis_server, jobs):
    job = submit("gc", queue="gpu.high", dry_run=True)
    found = {}
    with client(redis_server.socket) as server:
        server.select(int(redis_url.rpartition("=")[2]))
        found = [json.loads(message) for message in server.lrange("gpu.high", 0, -1)]
    assert all(message["content-type"] == "application/json" for message in found)
    assert job.queue == "gpu.high"


def test_what_celery_revokes_is_cancelled_and_not_sent_again(two_workers, celery, submit, ended):
    celery("control", "revoke", "gc-revoked")
    wait_until(lambda: all("revoked: gc-revoked" in worker.log for worker in two_workers), 20)
    assert ended(submit("gc", job_id="gc-revoked").id, 20).status == "CANCELLED"


def test_a_job_whose_process_is_killed_each_time_fails_with_its_last_lines(two_workers, submit, ended, jobs):
    job = submit("train", **TINY_TRAINING, epochs=2)
    killed = set()

    def killed_thrice():
        for worker in two_workers:
            for process in worker.trainers():
                if process.pid not in killed and last_lines(jobs.log(job.id)):
                    killed.add(process.pid)
                    process.send_signal(signal.SIGKILL)
        return len(killed) >= 3

    wait_until(killed_thrice, 60, every=0.1)
    job = ended(job.id, 30)
    assert (job.status, job.crashes, job.attempt) == ("FAILED", 3, 3)
    assert job.message.startswith(
        "Its process was killed: most likely the machine ran out of memory.\nIts last lines:\n"
    )


def test_nothing_is_logged_as_a_bug(training, two_workers):
    for worker in two_workers:
        assert not re.search(r"Traceback|Internal error", worker.log), worker.log
