"""The records: what of several processes at once, of dead ones and of broken files comes out."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from fer_core.errors import JobError
from fer_core.store.clock import utc_text
from jobs.job import Job, owner_is_alive
from jobs.owner import seconds_started, this_process
from jobs.record import Jobs, JobTakenError
from tests.jobs.conftest import wait_until

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def jobs(tmp_path) -> Jobs:
    return Jobs(tmp_path / "jobs", clock=lambda: NOON)


@pytest.fixture
def stranger():
    """A process that lives and is not this one."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield child
    child.kill()
    child.wait()


def new_job(job_id: str = "train-1", **fields) -> Job:
    return Job(**{"id": job_id, "task": "train", "queue": "gpu", "created_utc": utc_text(NOON)} | fields)


def claimed(jobs: Jobs, job_id: str = "train-1", owner=None):
    return jobs.claim(job_id, task="train", arguments={"recipe": "smoke"}, queue="gpu", owner=owner or this_process())


def owner_of(child: subprocess.Popen):
    return this_process().model_copy(update={"pid": child.pid, "started": seconds_started(child.pid)})


def test_a_job_is_read_as_it_was_written(jobs):
    job = new_job(arguments={"learning_rate": 1e-4}, schedule="nightly")
    assert jobs.create(job)
    assert jobs.read("train-1") == job
    assert jobs.open_jobs() == [job]


def test_an_id_is_taken_once(jobs):
    assert jobs.create(new_job())
    assert not jobs.create(new_job(queue="cpu"))
    jobs.change("train-1", status="SUCCEEDED")
    assert not jobs.create(new_job())
    assert jobs.read("train-1").queue == "gpu"


@pytest.mark.parametrize("name", ["../etc/passwd", "a/b", ".hidden", "", "x" * 200, "a\nb"])
def test_what_is_no_id_never_becomes_a_path(jobs, name):
    for ask in (jobs.read, jobs.log, jobs.find, jobs.ask_to_cancel, jobs.reopen):
        with pytest.raises(JobError, match="is no job id"):
            ask(name)
    with pytest.raises(JobError, match="is no job id"):
        claimed(jobs, name)


def test_a_job_that_there_is_not_is_named_with_the_nearest(jobs):
    with pytest.raises(JobError, match="There is no job 'train-2'") as error:
        jobs.read("train-2")
    assert "no jobs yet" in error.value.hint
    jobs.create(new_job())
    with pytest.raises(JobError) as error:
        jobs.read("train-2")
    assert error.value.hint == "Did you mean 'train-1'?"


def test_a_job_is_found_by_the_beginning_of_its_id_and_by_its_run(jobs):
    jobs.create(new_job("train-20260131-1", run="run-7"))
    jobs.create(new_job("train-20260131-2", run="run-7", created_utc=utc_text(NOON + timedelta(seconds=1))))
    jobs.create(new_job("gc-20260131-1"))
    assert jobs.find("gc").id == "gc-20260131-1"
    assert jobs.find("run-7").id == "train-20260131-2"
    with pytest.raises(JobError, match="2 jobs begin with 'train'"):
        jobs.find("train")


def test_a_job_that_ends_is_put_to_the_others_that_have(jobs):
    jobs.create(new_job())
    jobs.change("train-1", status="FAILED", message="No room.")
    assert jobs.open_jobs() == []
    assert [job.message for job in jobs.ended_jobs()] == ["No room."]
    assert (jobs.folder / "ended" / "train-1.json").is_file()


def test_the_last_that_ended_are_listed_the_first_to_end_first(jobs):
    for number in range(5):
        jobs.create(new_job(f"train-{number}"))
        jobs.change(f"train-{number}", status="SUCCEEDED")
        os.utime(jobs.folder / "ended" / f"train-{number}.json", (number, number))
    assert [job.id for job in jobs.ended_jobs(2)] == ["train-3", "train-4"]


def test_claiming_takes_a_job_and_counts(jobs):
    jobs.create(new_job(arguments={"recipe": "compact"}))
    outcome, job = claimed(jobs)
    assert (outcome, job.status, job.attempt, job.losses) == ("taken", "RUNNING", 1, 0)
    assert job.owner == this_process()
    assert job.arguments == {"recipe": "compact"}  # the record's, not the message's


def test_claiming_what_celery_call_has_sent_makes_its_record(jobs):
    outcome, job = claimed(jobs, "0a1b2c3d-uuid")
    assert outcome == "taken"
    assert jobs.read("0a1b2c3d-uuid").arguments == {"recipe": "smoke"}
    assert job.sent_utc == job.created_utc


def test_of_many_who_claim_at_once_one_gets_it(jobs, stranger):
    jobs.create(new_job())
    owners = [this_process(f"w{number}").model_copy(update=vars(owner_of(stranger))) for number in range(8)]
    owners = [owner.model_copy(update={"worker": f"w{number}"}) for number, owner in enumerate(owners)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda owner: claimed(jobs, owner=owner).outcome, owners))
    assert sorted(outcomes) == ["running"] * 7 + ["taken"]


def test_a_living_process_keeps_its_job_and_a_dead_one_does_not(jobs, stranger):
    jobs.create(new_job())
    claimed(jobs, owner=owner_of(stranger))
    assert claimed(jobs).outcome == "running"
    stranger.kill()  # a zombie now: nobody has waited for it
    wait_until(lambda: claimed(jobs).outcome == "taken", 5)
    assert (jobs.read("train-1").attempt, jobs.read("train-1").losses) == (2, 1)


def test_a_later_process_of_the_same_number_is_another_one(jobs):
    jobs.create(new_job())
    claimed(jobs, owner=this_process().model_copy(update={"started": 1.0}))
    assert claimed(jobs).outcome == "taken"


@pytest.mark.parametrize(("silent_seconds", "outcome"), [(30, "running"), (61, "taken")])
def test_a_process_elsewhere_lives_as_long_as_it_gives_signs(jobs, silent_seconds, outcome):
    jobs.create(new_job())
    claimed(jobs, owner=this_process().model_copy(update={"host": "elsewhere"}))
    later = Jobs(jobs.folder, clock=lambda: NOON + timedelta(seconds=silent_seconds))
    assert claimed(later).outcome == outcome


def test_a_container_of_the_same_name_is_elsewhere(jobs):
    other = this_process().model_copy(update={"place": "another pid:[7]"})
    job = new_job(owner=other, heartbeat_utc=utc_text(NOON))
    assert owner_is_alive(job, now=NOON)
    assert not owner_is_alive(job, now=NOON + timedelta(minutes=2))


def test_an_ended_job_is_never_carried_out_again(jobs):
    jobs.create(new_job())
    jobs.change("train-1", status="SUCCEEDED", result={"run": "r"})
    outcome, job = claimed(jobs)
    assert (outcome, job.result) == ("ended", {"run": "r"})


def test_who_has_lost_a_job_changes_it_no_more(jobs, stranger):
    jobs.create(new_job())
    claimed(jobs, owner=owner_of(stranger))
    with pytest.raises(JobTakenError, match="not carried out by this process"):
        jobs.change("train-1", as_owner=this_process(), status="FAILED")
    with pytest.raises(JobTakenError):
        jobs.hand_on("train-1", as_owner=this_process())
    assert jobs.read("train-1").status == "RUNNING"


def test_a_job_that_is_handed_on_waits_again_unless_it_was_to_be_cancelled(jobs):
    for job_id in ("train-1", "train-2"):
        jobs.create(new_job(job_id))
        claimed(jobs, job_id)
    jobs.ask_to_cancel("train-2")
    assert jobs.hand_on("train-1", as_owner=this_process()).status == "QUEUED"
    assert jobs.hand_on("train-2", as_owner=this_process()).status == "CANCELLED"
    assert jobs.read("train-1").owner is None


def test_cancelling_ends_what_waits_and_asks_what_runs(jobs, stranger):
    for job_id in ("waiting", "running", "lost"):
        jobs.create(new_job(job_id))
    claimed(jobs, "running", owner=owner_of(stranger))
    claimed(jobs, "lost", owner=this_process().model_copy(update={"started": 1.0}))
    assert jobs.ask_to_cancel("waiting").status == "CANCELLED"
    assert jobs.ask_to_cancel("lost").status == "CANCELLED"
    running = jobs.ask_to_cancel("running")
    assert (running.status, running.cancel_requested) == ("RUNNING", True)
    with pytest.raises(JobError, match="waiting has ended: it is CANCELLED"):
        jobs.ask_to_cancel("waiting")


def test_a_job_is_resumed_as_if_new_but_with_its_run(jobs):
    jobs.create(new_job(run="run-7"))
    claimed(jobs)
    jobs.change("train-1", status="FAILED", message="crashed", crashes=3, epoch=4, finished_utc=utc_text(NOON))
    job = jobs.reopen("train-1")
    assert (job.status, job.run, job.crashes, job.message, job.epoch) == ("QUEUED", "run-7", 0, "", 4)
    assert [found.id for found in jobs.open_jobs()] == ["train-1"]
    assert jobs.ended_jobs() == []
    with pytest.raises(JobError, match="train-1 is QUEUED"):
        jobs.reopen("train-1")


def test_a_finished_job_is_not_resumed(jobs):
    jobs.create(new_job())
    jobs.change("train-1", status="SUCCEEDED")
    with pytest.raises(JobError, match="is SUCCEEDED: there is nothing to resume"):
        jobs.reopen("train-1")


def test_of_several_who_see_a_lost_message_one_sends_it(jobs):
    jobs.create(new_job())
    with ThreadPoolExecutor(8) as pool:
        noted = list(pool.map(lambda _: jobs.note_sent("train-1", instead_of=None), range(8)))
    assert sorted(noted) == [False] * 7 + [True]


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": "train-1"}', b"[]", b"\xff"])
def test_a_broken_record_is_one_clear_sentence_and_hides_no_other(jobs, content):
    jobs.create(new_job())
    jobs.create(new_job("train-2"))
    path = jobs.folder / "train-1.json"
    path.write_bytes(content)
    with pytest.raises(JobError, match=f"The record {path} is not whole") as error:
        jobs.read("train-1")
    assert "Delete it" in error.value.hint
    assert [job.id for job in jobs.open_jobs()] == ["train-2"]


def test_who_carries_a_job_out_writes_its_lost_record_again(jobs):
    jobs.create(new_job())
    job = claimed(jobs).job
    path = jobs.folder / "train-1.json"
    path.unlink()
    jobs.restore(job)
    assert jobs.read("train-1") == job
    path.write_text("{")
    jobs.restore(job)
    assert jobs.read("train-1") == job


def test_a_record_says_nothing_that_json_does_not_know(jobs):
    jobs.create(new_job())
    jobs.change("train-1", result={"accuracy": float("nan"), "labels": ("a", "b")})
    content = json.loads((jobs.folder / "train-1.json").read_text())
    assert content["result"] == {"accuracy": None, "labels": ["a", "b"]}


def test_thousands_of_jobs_leave_a_handful_of_locks(jobs):
    for number in range(100):
        jobs.create(new_job(f"s.s0.{number}"))
    assert len([path for path in jobs.folder.iterdir() if path.suffix == ".lock"]) <= 16


def test_asking_for_records_needs_no_celery():
    code = "import jobs.record, jobs.wishes, jobs.settings, jobs.cancelling, sys; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"celery", "kombu", "redis", "tensorflow", "keras", "cv2", "numpy", "pandas"} & set(loaded) == set()
