"""Carrying jobs out, without Celery and without Keras: what is written down, and what follows."""

import subprocess
import sys

import pytest

from fer_core.store.runs import open_run
from fer_core.tuning.folder import open_search
from fer_core.tuning.state import changing, load_state
from jobs import attempts, performing
from jobs.cancelling import cancel, resume
from jobs.job import Job
from jobs.owner import this_process
from jobs.performing import Performance
from jobs.record import Jobs
from jobs.work import Work
from tests.conftest import PROJECT

SMALL_SEARCH = {"recipe": "smoke", "data": "sample", "parallelism": 2, "max_trials": 3}


@pytest.fixture
def jobs(paths) -> Jobs:
    return Jobs(paths.models / "jobs")


@pytest.fixture
def sent() -> list[str]:
    """The ids of the jobs that were sent."""
    return []


@pytest.fixture
def perform(paths, jobs, sent):
    """Returns perform(task, job_id, **arguments), which claims a job, carries it out and returns it."""

    def carry_out(
        task: str, job_id: str = "job-1", *, is_stop_asked=lambda: False, by="here", others=(), **arguments
    ) -> Job:
        job = jobs.claim(job_id, task=task, arguments=arguments, queue="gpu", owner=this_process(by)).job
        options = {"is_stop_asked": is_stop_asked, "send": lambda other: sent.append(other.id)}
        options["others"] = lambda job: bool({*others} - {*job.refused_by, by})
        return Performance(paths, jobs, job, **options).carried_out()

    return carry_out


@pytest.fixture
def process(monkeypatch):
    """Returns process(code), which makes every job's process a short Python program instead of a training."""
    monkeypatch.setattr(attempts, "_PAUSE_AFTER_CRASH", 0.01)

    def instead(code: str) -> None:
        made = performing.work_of
        monkeypatch.setattr(performing, "work_of", lambda *about: Work([sys.executable, "-c", code], *made(*about)[1:]))

    return instead


def test_a_wrong_argument_is_the_jobs_message(perform, jobs):
    job = perform("train", recipe="smokee")
    assert (job.status, job.message) == ("FAILED", "There is no recipe 'smokee'.\nDid you mean 'smoke'?")
    assert jobs.open_jobs() == []


def test_a_training_has_its_run_before_its_process(perform, process, paths):
    process("print('trained')")
    job = perform("train", recipe="smoke", data="sample", epochs=3)
    manifest = open_run(paths, job.run).manifest
    assert (manifest.config.epochs, manifest.recipe, manifest.promote) == (3, "smoke", False)
    assert (job.status, job.result) == ("SUCCEEDED", {"run": job.run})


def test_relative_data_is_found_from_any_folder(perform, process, paths, tmp_path, monkeypatch):
    process("pass")
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path)
    job = perform("train", data="faces")
    assert open_run(paths, job.run).manifest.config.data == str(tmp_path / "faces")


def test_a_job_goes_on_with_the_run_that_it_had(perform, process, jobs):
    process("raise SystemExit(2)")
    first = perform("train", recipe="smoke")
    assert first.status == "FAILED"
    jobs.reopen(first.id)
    process("pass")
    assert perform("train").run == first.run


def test_a_run_that_there_is_not_is_refused(perform):
    job = perform("train", run="20200101-000000-none-0000")
    assert (job.status, job.message.partition(" in ")[0]) == ("FAILED", "There is no run '20200101-000000-none-0000'")


def test_a_refusal_closes_the_run_that_never_began(perform, process, paths):
    process("print('Error: There is no /data.\\nGive another.'); raise SystemExit(2)")
    job = perform("train", recipe="smoke")
    assert job.message == "There is no /data.\nGive another."
    state = open_run(paths, job.run).state
    assert (state.status, state.message) == ("FAILED", job.message)


def test_time_that_is_up_is_no_failure_and_a_resumed_job_gets_it_anew(perform, process, paths, jobs):
    process("import time; time.sleep(60)")
    job = perform("train", recipe="smoke", max_hours=1e-4)
    assert (job.status, open_run(paths, job.run).state.status) == ("TIMED_OUT", "TIMED_OUT")
    assert job.message == f"Its time is up. `python -m jobs resume {job.id}` goes on with it."
    assert jobs.reopen(job.id).deadline_utc is None


def test_a_worker_that_is_to_stop_leaves_its_job_to_others(perform, process, paths):
    process("import time; time.sleep(60)")
    job = perform("train", recipe="smoke", is_stop_asked=lambda: True)
    assert (job.status, job.owner, job.sent_utc) == ("QUEUED", None, None)
    assert open_run(paths, job.run).state.status == "INTERRUPTED"


def test_a_bug_of_ours_ends_the_job_and_says_so(perform, monkeypatch):
    monkeypatch.setattr(performing, "work_of", lambda *about: 1 / 0)
    job = perform("train", recipe="smoke")
    assert (job.status, job.message.partition(".")[0]) == (
        "FAILED",
        "Internal error: ZeroDivisionError('division by zero')",
    )


def test_a_search_begins_with_a_job_for_each_slot_and_only_once(perform, jobs, paths, sent):
    job = perform("tune", **SMALL_SEARCH)
    search = open_search(paths, job.search)
    assert job.result == {"search": search.id}
    assert sent == [f"{search.id}.s0.0", f"{search.id}.s1.0"]
    assert {one.arguments["search"] for one in jobs.open_jobs()} == {search.id}
    assert search.spec.max_trials == 3


def test_a_search_that_is_begun_again_after_a_kill_is_the_same_one(perform, jobs, sent):
    job = perform("tune", **SMALL_SEARCH)
    (jobs.folder / "ended" / f"{job.id}.json").rename(jobs.folder / f"{job.id}.json")
    jobs.change(job.id, status="QUEUED")
    again = perform("tune")
    assert again.search == job.search
    assert len(sent) == 2


@pytest.mark.parametrize(("task", "arguments"), [("gc", {"dry_run": True}), ("tune", SMALL_SEARCH)])
def test_what_needs_no_process_is_given_up_too_when_workers_die_over_it(perform, jobs, sent, task, arguments):
    about = {"arguments": arguments, "queue": "cpu", "created_utc": "2026-01-31T12:00:00Z"}
    jobs.create(Job(id="job-1", task=task, losses=30, **about))
    job = perform(task, "job-1")
    assert job.status == "FAILED"
    assert job.message.startswith("The worker died 30 times over it")
    assert sent == []


def test_a_trial_that_ends_well_is_followed_by_the_next_of_its_slot(perform, process, sent, jobs):
    search = perform("tune", **SMALL_SEARCH).search
    process("pass")
    assert perform("trial", f"{search}.s0.0", search=search).status == "SUCCEEDED"
    assert sent[2:] == [f"{search}.s0.1"]
    assert jobs.read(f"{search}.s0.1").queue == "gpu"


def test_a_search_of_which_every_slot_is_refused_fails_with_the_reason(perform, process, paths):
    search = perform("tune", **SMALL_SEARCH).search
    process("print('Error: The images are others here.\\nhint'); raise SystemExit(2)")
    for slot in (0, 1):
        job = perform("trial", f"{search}.s{slot}.0", search=search)
        assert (job.status, job.message) == ("FAILED", "The images are others here.\nhint")
    state = load_state(open_search(paths, search))
    assert (state.status, state.message) == ("FAILED", "The images are others here.\nhint")


def test_a_machine_that_cannot_begin_a_trial_leaves_it_to_those_that_can(perform, process, paths, jobs, monkeypatch):
    monkeypatch.setattr(performing, "_PAUSE_AFTER_REFUSAL", 0.01)
    search = perform("tune", **SMALL_SEARCH).search
    workers = {"search": search, "others": ("good", "bad", "worse")}
    process("print('Error: The images are others here.'); raise SystemExit(2)")
    for slot in (0, 1):
        for by in ("bad", "worse"):
            job = perform("trial", f"{search}.s{slot}.0", by=by, **workers)
            assert (job.status, job.attempt, job.message) == ("QUEUED", 0, "The images are others here.")
    process("raise SystemExit(1)")  # no second process to be told the same
    assert perform("trial", f"{search}.s0.0", by="bad", **workers).status == "QUEUED"
    process("pass")
    job = perform("trial", f"{search}.s0.0", by="good", **workers)
    assert (job.status, job.attempt, job.message) == ("SUCCEEDED", 1, "")
    assert load_state(open_search(paths, search)).status == "RUNNING"


def test_a_trial_that_nobody_is_left_for_fails_with_the_reason(perform, process, paths):
    search = perform("tune", **SMALL_SEARCH).search
    workers = {"search": search, "others": ("bad", "worse")}
    process("print('Error: The images are others here.'); raise SystemExit(2)")
    said = [perform("trial", f"{search}.s0.0", by=by, **workers) for by in ("bad", "worse")]
    assert [(job.status, job.message) for job in said] == [
        ("QUEUED", "The images are others here."),
        ("FAILED", "The images are others here."),
    ]


def test_a_trial_of_an_ended_search_needs_no_process(perform, process, paths, jobs):
    search = perform("tune", **SMALL_SEARCH).search
    cancel(paths, search)
    jobs.reopen(f"{search}.s0.0")
    process("raise SystemExit(1)")
    assert perform("trial", f"{search}.s0.0", search=search).status == "CANCELLED"  # to be found by `resume`
    with changing(open_search(paths, search)) as state:
        state.status = "SUCCEEDED"
    assert perform("trial", f"{search}.s0.1", search=search).status == "SUCCEEDED"


def test_a_search_is_cancelled_with_all_its_jobs_and_resumed(perform, paths, jobs, monkeypatch):
    published = []
    monkeypatch.setattr("jobs.sending.publish", lambda job: published.append(job.id))
    job = perform("tune", **SMALL_SEARCH)
    assert cancel(paths, job.search).id == job.id
    assert load_state(open_search(paths, job.search)).status == "CANCELLED"
    assert {one.status for one in jobs.ended_jobs() if one.task == "trial"} == {"CANCELLED"}
    assert resume(paths, job.id).id == job.id
    assert load_state(open_search(paths, job.search)).status == "RUNNING"
    assert published == [one.id for one in jobs.open_jobs()] == [f"{job.search}.s0.0", f"{job.search}.s1.0"]


def test_one_trial_alone_is_not_cancelled(perform, paths):
    search = perform("tune", **SMALL_SEARCH).search
    with pytest.raises(Exception, match="is one trial of search") as error:
        cancel(paths, f"{search}.s0.0")
    assert error.value.hint == f"`python -m jobs cancel {search}` cancels all of it."


def test_the_end_of_a_job_is_written_though_its_record_was_deleted(perform, process, jobs):
    process(f"import pathlib; pathlib.Path({str(jobs.folder / 'job-1.json')!r}).unlink()")
    assert perform("train", recipe="smoke").status == "SUCCEEDED"
    assert jobs.read("job-1").status == "SUCCEEDED"


FULL = """
import logging, resource, sys
from pathlib import Path
from fer_core.paths import Paths
from jobs.owner import this_process
from jobs.performing import Performance
from jobs.record import Jobs

logging.basicConfig(level="ERROR", stream=sys.stdout, format="%(message)s")
paths = Paths.from_environment({}, models=Path(sys.argv[1]))
jobs = Jobs(paths.models / "jobs")
job = jobs.claim("gc-1", task="gc", arguments={}, queue="cpu", owner=this_process()).job
none, all = (0, resource.RLIM_INFINITY), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
resource.setrlimit(resource.RLIMIT_FSIZE, none)

def room_is_made():
    print("while full:", jobs.read("gc-1").status)
    resource.setrlimit(resource.RLIMIT_FSIZE, all)
    return False

done = Performance(paths, jobs, job, is_stop_asked=room_is_made, send=None).carried_out()
print("then:", done.status)
"""


def test_on_a_full_disk_the_end_of_a_job_is_written_when_there_is_room(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    before, told, after = said.stdout.splitlines()
    assert (before, after, said.stderr) == ("while full: RUNNING", "then: SUCCEEDED", "")
    assert told.startswith(
        f"Job gc-1: its end cannot be written yet: No room to write {tmp_path / 'jobs' / 'gc-1.json'}"
    )
