"""Several workers: what one cannot do is left to others, a search uses all that listen, and idle ones cost little."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from fer_core.errors import ArtifactError
from fer_core.job.broker import Broker, models_id
from fer_core.job.lifecycle import cancel_job, create_job
from fer_core.locks import is_taken
from fer_core.store.run import State
from fer_core.store.runs import open_run
from fer_core.tuning.stage import slot_lock
from fer_core.tuning.state import load_state
from jobs import sending
from jobs.console import Context
from jobs.doctor import find_all
from tests.conftest import PROJECT, paths_in
from tests.jobs.conftest import TINY_TRAINING, Worker, stopped, wait_until
from tests.jobs.test_messages import database

SEARCH = {"recipe": "smoke", "data": "sample", "max_trials": 3, "confirm_top": 0, "space": ["learning_rate"]}
SEARCH |= {"keep_top_k": 1, "settings": {"sample_per_class": 30, "epochs": 1, "threads": 1}}


def test_a_pool_child_that_dies_while_its_worker_starts_is_replaced_and_a_worker_ends_when_idle_if_that_is_wanted(
    job_environment, submit, ended, tmp_path
):
    log = tmp_path / "log.txt"
    command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "-l", "INFO", "--exit-when-idle", "2"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=PROJECT, env=job_environment, stdout=output, stderr=output)

    def killed_until_it_is_ready() -> bool:
        for child in psutil.Process(process.pid).children():
            child.kill()
        return " ready." in log.read_text()

    try:
        wait_until(killed_until_it_is_ready, 120, every=0.01)
        assert ended(submit("gc").id).end.status == "SUCCEEDED"
        assert process.wait(90) == 0
        assert "Nothing to do for 2 s: the worker ends." in log.read_text()
    finally:
        process.kill()


@pytest.fixture(scope="module")
def ours(worker) -> Worker:
    """A worker that has come through all before."""
    return worker(name="ours")


def end(broker: Broker, name: str) -> None:
    """Ends a worker, so that the next test is without it."""
    name = f"{name}@{os.uname().nodename}"
    broker.app.control.shutdown(destination=[name])
    wait_until(lambda: name not in broker.workers(seconds=0.3), 90)


@pytest.mark.skipif(shutil.which("strace") is None, reason="NOT TESTED: strace is missing (apt-get install strace).")
def test_an_idle_worker_makes_less_than_ten_file_operations_a_second(
    redis_server, redis_url, ours, submit, ended, broker, job_paths, tmp_path
):
    """With 500 jobs that wait in one of its queues, and 5,000 that have ended. It reads no messages."""
    done = ended(submit("gc").id)
    occupied = submit("train", **TINY_TRAINING)
    (trainer,) = wait_until(ours.trainers, 120)
    trainer.suspend()  # the worker listens to gpu.high, and cannot take anything from there
    history = [done.folder.with_name(f"20250101-120000-gc-{number:04}") for number in range(5000)]
    for folder in history:
        folder.symlink_to(done.folder)
    waiting = [create_job(job_paths, "evaluate", {"queue": "gpu.high"}, environ={})]
    broker.send(waiting[0])  # one message is enough for the queue not to be looked through
    waiting += [create_job(job_paths, "evaluate", {"queue": "gpu.high"}, environ={}) for _ in range(499)]
    seconds, report = 11, tmp_path / "calls.txt"
    strace = ["strace", "-f", "-c", "-e", "trace=%file,getdents64,flock,fsync", "-o", str(report), "-p", str(ours.pid)]
    with database(redis_server, redis_url) as stored:
        stored.config_resetstat()
        subprocess.run(["timeout", "-s", "INT", str(seconds), *strace], capture_output=True, timeout=seconds + 60)
        assert not {"cmdstat_lrange", "cmdstat_hvals"} & set(stored.info("commandstats"))
    *_, total = report.read_text().splitlines()
    calls = int(total.split()[3])
    print(report.read_text())
    assert calls / seconds < 10
    for job in (occupied, *waiting):
        cancel_job(job)
    trainer.resume()
    assert ended(occupied.id).end.status == "CANCELLED"
    for folder in history:
        folder.unlink()


def test_a_search_whose_message_was_lost_uses_every_worker_survives_the_death_of_one_and_ends_once(
    ours, worker, ended, job_paths
):
    job = create_job(job_paths, "tune", SEARCH | {"max_trials": 2}, environ={})  # it is never sent
    os.utime(job.marker, (1, 1))
    (beside,) = wait_until(ours.trainers, 150)
    beside.suspend()  # else it might be ready before the other one begins
    frozen = worker(name="frozen")  # it joins a search that has begun

    def states() -> list[State]:
        found = []
        for entry in load_state(job.search).entries:
            with contextlib.suppress(ArtifactError):  # it is just being made
                found.append(open_run(job_paths, entry.run).state)
        return found

    wait_until(lambda: [state for state in states() if state.status == "RUNNING"], 150)
    family = [*frozen.trainers(), *frozen.pool_children()]
    for process in family:
        process.suspend()
    frozen.send(signal.SIGSTOP)
    assert {slot for slot in (0, 1) if is_taken(slot_lock(job.search, slot))} == {0, 1}  # a frozen one keeps its trial
    beside.resume()
    frozen.send(signal.SIGKILL)
    for process in family:
        process.kill()
    state = load_state(ended(job.id, 600).search)
    assert (state.status, [entry.status for entry in state.entries]) == ("SUCCEEDED", ["COMPLETED"] * 2)
    assert {entry.job.rpartition(".")[0][-2:] for entry in state.entries} == {"s0", "s1"}
    assert sorted(state.attempt for state in states()) == [1, 2]  # the trial of the dead one was gone on with
    assert sum(one.log.count(f"Task tune[{job.id}] succeeded") for one in (ours, frozen)) == 1
    assert ours.process.poll() is None


def test_a_broken_worker_leaves_what_it_cannot_begin_to_the_others_and_is_named(
    ours, worker, submit, ended, broker, tmp_path
):
    occupied = submit("train", **TINY_TRAINING)
    (trainer,) = wait_until(ours.trainers, 120)
    trainer.suspend()  # until the other worker has tried
    broken = tmp_path / "keras"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise SystemExit(1)")
    worker(name="bad", PYTHONPATH=f"{broken.parent}{os.pathsep}{PROJECT}")
    search, training = submit("tune", **SEARCH), submit("train", **TINY_TRAINING)
    for refused_by in (lambda: load_state(search.search).refused_by, lambda: training.notes.refused_by):
        wait_until(refused_by, 120)
        assert all(name.startswith("bad@") for name in refused_by())
    assert (load_state(search.search).entries, search.end, training.end) == ([], None, None)
    cancel_job(occupied)
    trainer.resume()
    wait_until(lambda: load_state(search.search).entries, 150)  # only `ours` can have begun it
    cancel_job(search)
    wait_until(lambda: training.notes.worker.startswith("ours@"), 120)
    cancel_job(training)
    assert {ended(job.id).status for job in (search, occupied, training)} == {"CANCELLED"}
    end(broker, "bad")


def test_workers_of_another_models_folder_refuse_and_the_doctor_names_them(
    ours, worker, submit, broker, job_paths, tmp_path, redis_url, capsys
):
    other = paths_in(tmp_path / "elsewhere")
    with stopped(ours, broker):
        strange = worker(name="other", FER_MODELS_DIR=str(other.models), FER_STATE_DIR=str(tmp_path / "state"))
        job = submit("gc")
        wait_until(lambda: not job.marker.stat().st_size or broker.waiting()["cpu"] == 0, 60)
        context = Context(job_paths, environ={"FER_BROKER_URL": redis_url})
        bad = [finding for finding in find_all(context) if finding.what == "models"]
        assert [finding.level for finding in bad] == ["bad"]
        assert str(other.models.resolve()) in bad[0].text and str(job_paths.models.resolve()) in bad[0].text
        assert not (other.models / "tasks").exists()
        sending.submit(context, "gc")
        assert "No worker takes jobs from there now" in capsys.readouterr().out
        assert f"It serves {other.models.resolve()} ({models_id(other)})." in strange.log
    wait_until(lambda: job.end, 120)  # whoever of the two hears of it first
    assert job.end.status == "SUCCEEDED" and models_id(other) != models_id(job_paths)
    end(broker, "other")


def test_a_trial_whose_message_comes_again_is_left_to_who_trains_it(ours, worker, submit, ended, broker):
    second = worker(name="second", FER_VISIBILITY_SECONDS="2")
    job = submit("tune", **SEARCH | {"max_trials": 1})
    wait_until(lambda: load_state(job.search).entries, 150)
    (trainer,) = [*ours.trainers(), *second.trainers()]
    trainer.suspend()
    came = re.compile(rf"Task trial\[{re.escape(job.id)}\.t\w+\] received")
    wait_until(lambda: len(came.findall(ours.log + second.log)) > 1, 60)
    assert [entry.status for entry in load_state(job.search).entries] == ["RUNNING"]
    assert len([*ours.trainers(), *second.trainers()]) == 1
    trainer.resume()
    cancel_job(job)
    assert ended(job.id).end.status == "CANCELLED"
    end(broker, "second")


@pytest.fixture
def small_disk(tmp_path):
    """A models folder on a disk of 40 MB, to be filled; where none may be mounted, that is said."""
    folder = tmp_path / "models"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("NOT TESTED: a full disk needs the right to mount one.")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("has_begun", [False, True])
def test_on_a_full_disk_a_search_waits_and_goes_on_when_there_is_room(
    worker, redis_server, small_disk, tmp_path, has_begun
):
    paths, url = paths_in(tmp_path), redis_server.new_database()
    full = small_disk / "full"
    places = {"FER_MODELS_DIR": str(small_disk), "FER_HISTORY_DIR": str(paths.history), "FER_BROKER_URL": url}
    one = worker(name=f"full{has_begun:d}", **places)
    broker = Broker(paths, {"FER_BROKER_URL": url})
    search = create_job(paths, "tune", SEARCH | {"max_trials": 1}, environ={})
    broker.send(search)
    (trainer,) = wait_until(lambda: bool(load_state(search.search).entries) >= has_begun and one.trainers(), 150)
    trainer.suspend()
    with contextlib.suppress(OSError), full.open("wb") as file:
        while True:
            file.write(b"x" * 65536)
    trainer.resume()
    wait_until(lambda: "No room" in one.log, 120)
    assert search.end is None
    assert [entry.status for entry in load_state(search.search).entries] == ["RUNNING"] * has_begun
    full.unlink()
    wait_until(lambda: load_state(search.search).entries and one.trainers(), 120)
    cancel_job(search)
    wait_until(lambda: search.end, 60)
    assert (search.status, len(load_state(search.search).entries)) == ("CANCELLED", 1)
