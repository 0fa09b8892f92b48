"""Again after a crash, but not for ever; and whatever happens, the run's state becomes true. Small real processes."""

import subprocess
import sys

import pytest

from fer_core.store.runs import create_run
from jobs import attempts, supervisor
from jobs.attempts import attempted, close_run
from jobs.job import Job
from jobs.owner import this_process
from jobs.record import Jobs
from jobs.supervisor import Supervisor
from jobs.work import Work
from tests.conftest import PROJECT


@pytest.fixture
def jobs(tmp_path) -> Jobs:
    return Jobs(tmp_path / "models" / "jobs")


@pytest.fixture
def job(jobs) -> Job:
    return jobs.claim("train-1", task="train", arguments={}, queue="gpu", owner=this_process()).job


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """What is seconds in earnest is hundredths of a second here."""
    monkeypatch.setattr(supervisor, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(attempts, "POLL_SECONDS", 0.05)
    for name in ("_PAUSE_AFTER_CRASH", "_PAUSE_WHILE_HELD", "_MOMENT"):
        monkeypatch.setattr(attempts, name, 0.05)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def trying(jobs, job, code, *, trained=lambda: None):
    watch = Supervisor(jobs, job, is_stop_asked=lambda: False)
    return attempted(Work(python(code), trained, dict), watch, jobs)


COUNTED = (
    "import pathlib, sys; path = pathlib.Path({path!r}); n = len(path.read_text()) if path.exists() else 0; "
    "path.write_text('x' * (n + 1)); "
)


def test_three_crashes_without_an_epoch_are_the_end(jobs, job, tmp_path):
    code = COUNTED.format(path=str(tmp_path / "count")) + "print('attempt', n + 1); sys.exit(1)"
    end, _ = trying(jobs, job, code)
    assert end.kind == "crashed"
    assert "Its process crashed (exit code 1).\nIts last lines:\nattempt 1\nattempt 2\nattempt 3" in end.message
    assert (jobs.read(job.id).crashes, jobs.read(job.id).attempt) == (3, 3)


def test_a_crash_is_tried_again(jobs, job, tmp_path):
    code = COUNTED.format(path=str(tmp_path / "count")) + "sys.exit(0 if n == 2 else 1)"
    assert trying(jobs, job, code)[0].kind == "done"


def test_what_the_user_must_mend_is_not_tried_again(jobs, job, tmp_path):
    code = COUNTED.format(path=str(tmp_path / "count")) + "sys.exit(2)"
    assert trying(jobs, job, code)[0].kind == "refused"
    assert (tmp_path / "count").read_text() == "x"


class Training:
    """Stands for a run: says an epoch more at each look, up to some number."""

    def __init__(self, epochs: int, folder):
        self.epochs, self.folder, self.queries = epochs, folder, 0

    def __call__(self):
        return self

    def is_held(self):
        return False

    @property
    def state(self):
        self.queries += 1
        return type("State", (), {"epoch": min(self.queries, self.epochs)})


def test_an_epoch_between_two_crashes_forgives_those_before(jobs, job, tmp_path):
    code = COUNTED.format(path=str(tmp_path / "count")) + "sys.exit(1)"
    end, _ = trying(jobs, job, code, trained=Training(4, tmp_path))
    assert end.kind == "crashed"
    assert len((tmp_path / "count").read_text()) == 3 + 3  # the first epoch was there before


def test_a_job_over_which_workers_die_again_and_again_is_given_up(jobs, job):
    job = jobs.change(job.id, losses=30)
    end, _ = trying(jobs, job, "import time; time.sleep(600)")
    assert end.message.startswith("The worker died 30 times over it")


def test_a_training_that_lost_its_checkpoint_is_forgiven_by_its_next_epoch(jobs, job, tmp_path):
    job = jobs.change(job.id, epoch=40, losses=5)
    code = COUNTED.format(path=str(tmp_path / "count")) + "sys.exit(0 if n == 2 else 1)"
    end, _ = trying(jobs, job, code, trained=Training(4, tmp_path))
    assert end.kind == "done"
    assert (jobs.read(job.id).epoch, jobs.read(job.id).losses) == (3, 0)


def test_who_cancels_a_job_that_is_given_up_finds_it_cancelled(jobs, job):
    job = jobs.change(job.id, losses=30, cancel_requested=True)
    assert trying(jobs, job, "import time; time.sleep(600)").wish == "cancelled"


def test_a_run_that_another_process_holds_is_waited_for(jobs, job, paths, small_config):
    run = create_run(paths, small_config)
    holding = (
        "import sys, time; sys.path.insert(0, {!r}); from pathlib import Path; from fer_core.store.run import Run\n"
        "with Run(Path({!r}), Path({!r})).hold(): print('begun', flush=True); time.sleep(1)"
    )
    code = holding.format(str(PROJECT), str(run.folder), str(run.history))
    with subprocess.Popen(python(code), stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"begun\n"
        end, _ = trying(jobs, job, "print('trained')", trained=lambda: run)
        assert end.kind == "done"
        assert not run.is_held()


def test_a_runs_state_becomes_true_where_its_process_could_not_say(paths, small_config):
    run = create_run(paths, small_config)
    run.update_state(status="SUCCEEDED")
    close_run(run, "CANCELLED", "Cancelled.")
    assert run.state.status == "SUCCEEDED"
    run.update_state(status="RUNNING")
    close_run(run, "FAILED", "It crashed.")
    assert (run.state.status, run.state.message) == ("FAILED", "It crashed.")
    close_run(run, "INTERRUPTED", "")
    assert run.state.status == "FAILED"
    (run.folder / "state.json").write_text("{")
    close_run(run, "CANCELLED", "")  # a broken file is no reason to lose the job's end
