"""Workers that are to end hand their jobs on; jobs that are to end do so at once, at any stage."""

import json
import os
import signal
import time
from socket import gethostname

import psutil
import pytest

from fer_core.errors import JobError
from fer_core.store.runs import open_run
from jobs.cancelling import cancel, resume
from jobs.stopping import StopFlag
from tests.jobs.conftest import TINY_TRAINING, wait_until


def test_what_the_main_process_asks_its_children_hear():
    flag = StopFlag()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        deadline = time.monotonic() + 10
        while not flag.is_asked() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.write(write, b"1" if flag.is_asked() else b"0")
        os._exit(0)
    flag.ask(sender="a signal of Celery", sig="SIGTERM")
    assert os.read(read, 1) == b"1"
    os.waitpid(child, 0)


def test_a_child_that_gets_sigterm_itself_is_asked_alone_and_for_that_job():
    flag = StopFlag()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with flag.heeding_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            inside = flag.is_asked()
        os.write(write, bytes([inside, flag.is_asked()]))
        os._exit(0)
    assert os.read(read, 2) == bytes([True, False])
    assert not flag.is_asked()
    os.waitpid(child, 0)


def test_the_main_process_keeps_its_own_handler():
    before = signal.getsignal(signal.SIGTERM)
    with StopFlag().heeding_sigterm():
        assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture(scope="module")
def stopping_worker(worker):
    return worker(name="stopping")


def cancelled_within(paths, jobs, job, seconds=10.0):
    began = time.monotonic()
    cancel(paths, job.id)
    wait_until(lambda: jobs.read(job.id).status == "CANCELLED", seconds)
    assert time.monotonic() - began < seconds
    return jobs.read(job.id)


def test_a_job_is_cancelled_and_resumed_at_every_stage(stopping_worker, submit, jobs, job_paths, ended):
    job = submit("train", **TINY_TRAINING, epochs=3)
    wait_until(stopping_worker.trainers, 20)  # starting
    cancelled_within(job_paths, jobs, job)
    assert stopping_worker.trainers() == []
    run = open_run(job_paths, jobs.read(job.id).run)
    assert run.state.status == "CANCELLED"

    resume(job_paths, job.id)
    wait_until(lambda: run.state.epoch >= 1 and run.state.status == "RUNNING", 40)  # training
    cancelled_within(job_paths, jobs, job)
    assert run.state.status == "CANCELLED"
    assert stopping_worker.trainers() == []

    resume(job_paths, job.id)
    wait_until(lambda: run.state.epoch >= 3, 40)  # saving: all epochs are done
    job = cancelled_within(job_paths, jobs, job)
    assert (job.status, job.message) == ("CANCELLED", "Cancelled.")

    resume(job_paths, job.run)
    job = ended(job.id)
    assert (job.status, run.state.status, run.state.epoch) == ("SUCCEEDED", "SUCCEEDED", 3)
    with pytest.raises(JobError, match="is SUCCEEDED: there is nothing to resume"):
        resume(job_paths, job.id)
    with pytest.raises(JobError, match="has ended"):
        cancel(job_paths, job.id)


def test_a_worker_that_is_asked_to_end_hands_its_job_on(stopping_worker, worker, submit, jobs, job_paths, celery):
    """SIGTERM, SIGQUIT, `celery control shutdown`, and SIGTERM to its child alone: one job sees them all."""
    job = submit("train", **TINY_TRAINING, epochs=500, max_hours=1)
    sent = celery("call", "train", "--kwargs", json.dumps(TINY_TRAINING | {"epochs": 2})).stdout.strip()
    wait_until(lambda: sent in jobs.ids(), 15)  # though the only worker is busy, and takes no message
    waiting = cancelled_within(job_paths, jobs, jobs.read(sent))
    current = stopping_worker
    ways = (
        lambda worker: worker.send(signal.SIGTERM),
        lambda worker: worker.send(signal.SIGQUIT),
        lambda worker: celery("control", "--destination", f"{worker.name}@{gethostname()}", "shutdown"),
    )
    for number, ask in enumerate(ways):
        wait_until(current.trainers, 30)
        family = [psutil.Process(current.pid), *current.pool_children(), *current.trainers()]
        successor = worker(name=f"successor{number}")
        began = time.monotonic()
        ask(current)
        assert current.ended(45) is not None
        assert time.monotonic() - began < 45
        assert not any(process.is_running() for process in family)
        current = successor
    wait_until(current.trainers, 30)
    (child,) = current.pool_children()
    child.send_signal(signal.SIGTERM)
    job = wait_until(lambda: (found := jobs.read(job.id)).attempt == 5 and found, 30)
    assert (job.status, job.crashes, job.losses) == ("RUNNING", 0, 0)
    assert jobs.read(waiting.id).attempt == 0
    cancelled_within(job_paths, jobs, job)
