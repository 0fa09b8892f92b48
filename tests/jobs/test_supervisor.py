"""One job's process: watched, ended and told of, however it ends. Small real processes instead of trainings."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import psutil
import pytest

from fer_core.store.clock import utc_now, utc_text
from jobs import supervisor
from jobs.job import Job
from jobs.owner import this_process
from jobs.process import end_of, kill_orphan, last_lines
from jobs.record import Jobs
from jobs.supervisor import Supervisor
from tests.conftest import PROJECT
from tests.jobs.conftest import wait_until

PATIENT = "import time; print('begun', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + PATIENT


@pytest.fixture
def jobs(tmp_path) -> Jobs:
    return Jobs(tmp_path / "models" / "jobs")


@pytest.fixture
def job(jobs) -> Job:
    return jobs.claim("train-1", task="train", arguments={}, queue="gpu", owner=this_process()).job


@pytest.fixture(autouse=True)
def short_graces(monkeypatch):
    """What is minutes in earnest is tenths of a second here."""
    monkeypatch.setattr(supervisor, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", dict.fromkeys(supervisor.GRACE_SECONDS, 0.5))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run(jobs, job, code, *, is_stop_asked=lambda: False):
    return Supervisor(jobs, job, is_stop_asked=is_stop_asked).run(python(code))


def when_begun(jobs, job, then):
    """Returns a stop question that does `then` once the process has begun, and says no."""
    done = []

    def ask():
        if not done and "begun" in last_lines(jobs.log(job.id)):
            done.append(then())
        return False

    return ask


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("print('Model: m.h5')", "done", ""),
        (
            "print('Error: no such folder.\\nGive another.'); raise SystemExit(2)",
            "refused",
            "no such folder.\nGive another.",
        ),
        ("raise SystemExit(2)", "refused", "its log is empty"),
        ("print('Error: The loss is NaN.\\nhint'); raise SystemExit(3)", "not_finite", "The loss is NaN.\nhint"),
        ("raise SystemExit(75)", "held", ""),
        ("raise SystemExit(143)", "interrupted", "signal from outside"),
        ("import os; os.kill(os.getpid(), 15)", "interrupted", "signal from outside"),
        ("import os; os.kill(os.getpid(), 9)", "crashed", "most likely the machine ran out of memory"),
        ("raise SystemExit(137)", "crashed", "most likely the machine ran out of memory"),
        (
            "import os; print('working'); os.kill(os.getpid(), 11)",
            "crashed",
            "killed by SIGSEGV).\nIts last lines:\nworking",
        ),
        ("raise ValueError('a bug')", "crashed", "ValueError: a bug"),
    ],
)
def test_how_a_process_ended_is_told_in_words(jobs, job, code, kind, words):
    end, wish = run(jobs, job, code)
    assert (end.kind, wish) == (kind, None)
    assert words in end.message


def test_the_last_forty_lines_are_told(jobs, job):
    end, _ = run(jobs, job, "print(*range(100), sep='\\n', flush=True); import os; os.abort()")
    assert end.message.splitlines()[2:] == [str(number) for number in range(60, 100)]


def test_output_goes_to_the_jobs_log(jobs, job):
    run(jobs, job, "import sys; print('out'); print('err', file=sys.stderr)")
    assert sorted(jobs.log(job.id).read_text().split()) == ["err", "out"]


def test_a_cancelled_jobs_process_ends(jobs, job):
    end, wish = run(jobs, job, PATIENT, is_stop_asked=when_begun(jobs, job, lambda: jobs.ask_to_cancel(job.id)))
    assert (end.kind, wish) == ("interrupted", "cancelled")


def test_a_process_that_does_not_listen_is_killed(jobs, job):
    end, wish = run(jobs, job, DEAF, is_stop_asked=when_begun(jobs, job, lambda: jobs.ask_to_cancel(job.id)))
    assert (end.kind, wish) == ("crashed", "cancelled")


def test_a_signal_that_was_lost_is_sent_again(jobs, job, monkeypatch):
    monkeypatch.setattr(supervisor, "SIGNAL_SECONDS", 0.1)
    monkeypatch.setitem(supervisor.GRACE_SECONDS, "cancelled", 20)
    code = "import signal, sys\ncount = iter([None, 143])\n"
    code += "signal.signal(15, lambda *_: (number := next(count)) and sys.exit(number))\n" + PATIENT
    end, wish = run(jobs, job, code, is_stop_asked=when_begun(jobs, job, lambda: jobs.ask_to_cancel(job.id)))
    assert (end.kind, wish) == ("interrupted", "cancelled")


def test_time_that_is_up_ends_it(jobs, job):
    job = jobs.change(job.id, deadline_utc=utc_text(utc_now() + timedelta(seconds=0.3)))
    assert run(jobs, job, PATIENT).wish == "timed_out"


def test_a_worker_that_is_to_stop_ends_it(jobs, job):
    assert run(jobs, job, PATIENT, is_stop_asked=lambda: "begun" in last_lines(jobs.log(job.id))).wish == "handed_on"


def test_who_cancels_does_not_wait_for_a_hand_over(jobs, job, monkeypatch):
    monkeypatch.setitem(supervisor.GRACE_SECONDS, "handed_on", 60)

    def stop():
        if "begun" not in last_lines(jobs.log(job.id)):
            return False
        jobs.ask_to_cancel(job.id)
        return True

    began = time.monotonic()
    assert run(jobs, job, DEAF, is_stop_asked=stop).wish == "cancelled"
    assert time.monotonic() - began < 10


def test_a_job_that_another_process_has_taken_is_let_go(jobs, job):
    other = this_process().model_copy(update={"host": "elsewhere"})
    assert (
        run(jobs, job, PATIENT, is_stop_asked=when_begun(jobs, job, lambda: jobs.change(job.id, owner=other))).wish
        == "taken"
    )
    assert jobs.read(job.id).owner == other


def test_a_process_that_ends_well_just_then_has_ended_well(jobs, job):
    code = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(0))\n" + PATIENT
    end, wish = run(jobs, job, code, is_stop_asked=lambda: "begun" in last_lines(jobs.log(job.id)))
    assert (end.kind, wish) == ("done", "handed_on")


def test_nothing_that_it_has_started_is_left(jobs, job):
    run(jobs, job, "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)")
    pid = int(jobs.log(job.id).read_text())
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 5)


def test_signs_of_life_are_given(jobs, job, monkeypatch):
    monkeypatch.setattr(supervisor, "BEAT_SECONDS", 0.1)
    before = job.heartbeat_utc
    run(jobs, job, "import time; time.sleep(0.6)")
    assert jobs.read(job.id).heartbeat_utc > before


def test_a_record_that_was_deleted_or_broken_is_written_again(jobs, job):
    path = jobs.folder / f"{job.id}.json"
    run(jobs, job, PATIENT.replace("600", "1"), is_stop_asked=when_begun(jobs, job, path.unlink))
    assert jobs.read(job.id).owner == this_process()
    run(jobs, job, PATIENT.replace("600", "1"), is_stop_asked=when_begun(jobs, job, lambda: path.write_text("{")))
    assert jobs.read(job.id).owner == this_process()


def test_a_process_without_its_watcher_is_killed_only_if_it_is_a_jobs(tmp_path):
    dead = this_process().model_copy(update={"started": 1.0})
    marks = {"orphan": dead.model_dump_json(), "watched": this_process().model_dump_json(), "by hand": ""}
    children = {
        name: subprocess.Popen(
            python(PATIENT), env=os.environ | {"FER_JOB_OWNER": mark}, start_new_session=True, stdout=-3
        )
        for name, mark in marks.items()
    }
    try:
        assert {name: kill_orphan(child.pid) for name, child in children.items()} == {
            "orphan": True,
            "watched": False,
            "by hand": False,
        }
        assert children["orphan"].wait(5) == -signal.SIGKILL
    finally:
        for child in children.values():
            child.kill()
            child.wait()


def test_a_full_disk_is_named_also_by_a_process_that_could_not_say_so(jobs, job, monkeypatch):
    usage = type("Usage", (), {"free": 100_000})
    monkeypatch.setattr("jobs.process.shutil.disk_usage", lambda folder: usage)
    for code in (1, 2, -9):
        end = end_of(code, jobs.log(job.id))
        assert end.kind == "refused"
        assert end.message.startswith(f"No room in {jobs.folder / 'logs'}: 0.1 MB are free there.")


def test_a_trainer_does_not_begin_when_its_parent_is_gone():
    trainer = subprocess.run(
        [sys.executable, "-m", "jobs.trainer", "1", "--", "echo", "begun"], cwd=PROJECT, capture_output=True
    )
    assert (trainer.returncode, trainer.stdout) == (143, b"")


def test_a_trainer_hears_of_its_parents_death(tmp_path):
    code = f"""
import os, subprocess, sys
command = [sys.executable, "-m", "jobs.trainer", str(os.getpid()), "--", sys.executable, "-c", {PATIENT!r}]
child = subprocess.Popen(command, stdout=open({str(tmp_path / "out")!r}, "wb"), start_new_session=True)
print(child.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen(python(code), cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    wait_until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_bytes() == b"begun\n", 10)
    parent.kill()
    parent.wait()
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 5)


def test_one_that_needs_too_much_memory_is_not_tried_again_and_says_so(jobs, job, monkeypatch):
    monkeypatch.setenv("FER_JOB_MEMORY", "150MB")
    outcome = run(jobs, job, "import time; taken = b'x' * (400 * 2**20); time.sleep(600)")
    assert (outcome.end.kind, outcome.wish) == ("refused", None)
    assert outcome.end.message.startswith("It needed more than 0.2 GB of memory")
