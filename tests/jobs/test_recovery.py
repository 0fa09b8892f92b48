"""Whatever dies: the job goes on, ends with the same weights, and nothing is left behind."""

import contextlib
import signal
from datetime import timedelta
from types import SimpleNamespace

import h5py
import numpy as np
import psutil
import pytest

from fer_core.errors import ArtifactError, JobError
from fer_core.store.clock import utc_now, utc_text
from fer_core.store.runs import open_run
from jobs.job import Job
from jobs.owner import this_process
from jobs.record import Jobs
from jobs.recovery import needs_message, note_received, note_waiting, recover
from jobs.server import client
from tests.jobs.conftest import TINY_TRAINING, wait_until

TRAINING = TINY_TRAINING | {"epochs": 12, "batch_size": 16}
"""Long enough to be disturbed four times."""


def weights(path) -> dict[str, np.ndarray]:
    """Returns every array in a .h5."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


class Watched:
    """A job that is disturbed again and again, each time after its trainer has finished an epoch."""

    def __init__(self, jobs, paths, job_id):
        self._jobs, self._paths, self._id = jobs, paths, job_id
        self.processes: list[psutil.Process] = []

    def begun(self, *workers) -> psutil.Process:
        """Waits until a new process has finished an epoch, and returns it."""
        trainer = wait_until(lambda: self._new_trainer(workers), 60)
        for worker in workers:
            self.processes += worker.pool_children()
        self.processes.append(trainer)
        before = self._epoch()
        wait_until(lambda: self._epoch() > before, 60)
        return trainer

    def _new_trainer(self, workers) -> psutil.Process | None:
        found = [trainer for worker in workers for trainer in worker.trainers()]
        return next((trainer for trainer in found if trainer not in self.processes), None)

    def _epoch(self) -> int:
        with contextlib.suppress(ArtifactError, TypeError):
            return open_run(self._paths, self._jobs.read(self._id).run).state.epoch
        return 0


@pytest.fixture(scope="module")
def disturbed(worker, submit, jobs, job_paths, redis_server, ended):
    """Two trainings of the same settings: one in peace, and one over which all dies; returns what came of them."""
    first = worker(name="first")
    sent = submit("train", **TRAINING)
    watched = Watched(jobs, job_paths, sent.id)
    watched.begun(first).kill()
    second = worker(name="second")
    trainer = watched.begun(first)
    peaceful = submit("train", **TRAINING)
    wait_until(second.trainers, 30)  # so it is busy for the next ten seconds, and does not take the other one
    trainer.parent().kill()
    trainer = watched.begun(first)
    trainer.suspend()  # else it may have ended before the other one has
    ended(peaceful.id)
    watched.processes += [psutil.Process(first.pid), *second.trainers()]
    first.send(signal.SIGKILL)
    trainer.resume()
    watched.begun(second)
    redis_server.stop()
    ended_without_redis = ended(sent.id)
    redis_server.start()
    return {
        "jobs": (jobs.read(peaceful.id), ended_without_redis),
        "processes": [one for one in watched.processes if one not in second.pool_children()],
        "second": second,
    }


def test_a_training_over_which_all_dies_is_the_same_as_one_in_peace(disturbed, job_paths):
    assert [job.status for job in disturbed["jobs"]] == ["SUCCEEDED", "SUCCEEDED"]
    one, other = (weights(open_run(job_paths, job.run).model_h5) for job in disturbed["jobs"])
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_no_process_is_left(disturbed):
    def living():
        return [one for one in disturbed["processes"] if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    wait_until(lambda: not living(), 15)


def test_deaths_of_workers_are_no_crashes_of_the_job(disturbed):
    _, job = disturbed["jobs"]
    assert (job.crashes, job.losses, job.attempt) == (0, 0, 4)


def test_a_job_that_ended_while_redis_was_away_is_told_of_when_it_is_back(disturbed, celery):
    _, job = disturbed["jobs"]
    wait_until(lambda: f"[{job.id}] succeeded in" in disturbed["second"].log, 30)
    said = celery("result", job.id)
    assert job.run in said.stdout, said.stderr


def test_a_lost_message_is_sent_again(disturbed, submit, jobs, ended, redis_server, redis_url):
    second = disturbed["second"]
    second.send(signal.SIGSTOP)
    with client(redis_server.socket) as server:
        wait_until(lambda: server.info("clients")["blocked_clients"] == 0, 10)  # it takes no message any more
        job = submit("gc", dry_run=True)
        server.flushall()
    jobs.change(job.id, sent_utc=utc_text(utc_now() - timedelta(minutes=2)))
    second.send(signal.SIGCONT)
    assert ended(job.id, 30).status == "SUCCEEDED"
    assert f"Job {job.id}: its message is lost" in second.log


NOW = utc_now()
DEAD = this_process().model_copy(update={"started": 1.0})


def record(**fields) -> Job:
    return Job(**{"id": "j", "task": "train", "queue": "gpu", "created_utc": utc_text(NOW)} | fields)


def ago(seconds: float) -> str:
    return utc_text(NOW - timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"created_utc": ago(2)}, False),  # whoever wrote it sends it now
        ({"created_utc": ago(10)}, True),
        ({"created_utc": ago(999), "sent_utc": ago(30)}, False),
        ({"created_utc": ago(999), "sent_utc": ago(90)}, True),
        ({"status": "RUNNING", "owner": this_process(), "sent_utc": ago(999), "started_utc": ago(998)}, False),
        ({"status": "RUNNING", "owner": DEAD, "sent_utc": ago(999), "started_utc": ago(998)}, True),
        (
            {"status": "RUNNING", "owner": DEAD, "sent_utc": ago(5), "started_utc": ago(998)},
            False,
        ),  # sent again already
        ({"status": "RUNNING", "owner": DEAD, "sent_utc": ago(90), "started_utc": ago(998)}, True),
        ({"status": "INTERRUPTED", "sent_utc": ago(999)}, False),
    ],
)
def test_which_jobs_need_a_message(fields, needs):
    assert needs_message(record(**fields), NOW) is needs


def test_what_waits_in_a_queue_is_not_sent_again_and_what_does_not_is_sent_once(tmp_path):
    jobs = Jobs(tmp_path)
    for job_id in ("waiting", "lost"):
        jobs.create(record(id=job_id, sent_utc=ago(90)))
    sent = []
    look = {"publish": lambda job: sent.append(job.id), "waiting_ids": lambda: {"waiting"}, "clock": lambda: NOW}
    assert recover(jobs, **look) == ["lost"]
    assert recover(jobs, **look) == []
    assert sent == ["lost"]


def test_a_queue_that_nobody_knows_keeps_no_other_job_from_being_sent(tmp_path):
    jobs = Jobs(tmp_path)
    for job_id in ("a", "b"):
        jobs.create(record(id=job_id, sent_utc=ago(90), queue={"a": "h200", "b": "cpu"}[job_id]))
    sent = []

    def publish(job):
        if job.queue == "h200":
            raise JobError("not known here")
        sent.append(job.id)

    assert recover(jobs, publish=publish, waiting_ids=set, clock=lambda: NOW) == ["b"] == sent


def received(job_id: str, *, name: str = "gc", args: tuple = (), **kwargs) -> SimpleNamespace:
    """What Celery tells of a message that a worker has received."""
    return SimpleNamespace(id=job_id, name=name, args=args, kwargs=kwargs, delivery_info={"routing_key": "cpu"})


def test_what_celery_call_has_sent_is_written_down_when_it_is_received_and_so_it_is_never_lost(tmp_path):
    jobs = Jobs(tmp_path, clock=lambda: NOW)
    messages = received("a", keep_days=7), received("a", keep_days=8), received("b", args=(1,)), received("c", name="?")
    for request in messages:
        note_received(jobs, request, clock=lambda: NOW - timedelta(seconds=90))
    assert [(job.id, job.arguments, job.queue) for job in jobs.open_jobs()] == [("a", {"keep_days": 7}, "cpu")]
    assert recover(jobs, publish=lambda job: None, waiting_ids=set, clock=lambda: NOW) == ["a"]


def test_what_waits_while_all_workers_are_busy_is_written_down(tmp_path):
    jobs = Jobs(tmp_path)
    jobs.create(record(id="known", sent_utc=ago(5)))
    messages = received("known"), received("new", dry_run=True), received("../outside"), received("d", name="?")
    note_waiting(jobs, messages)
    assert [(job.id, job.task, job.arguments, job.status) for job in jobs.open_jobs()] == [
        ("known", "train", {}, "QUEUED"),
        ("new", "gc", {"dry_run": True}, "QUEUED"),
    ]


def test_what_a_kill_left_half_done_is_completed(tmp_path):
    jobs = Jobs(tmp_path)
    jobs.create(record(id="ended", status="SUCCEEDED"))
    jobs.create(record(id="to-cancel", status="RUNNING", owner=DEAD, cancel_requested=True))
    recover(jobs, publish=None, waiting_ids=None)
    assert jobs.open_jobs() == []
    assert {job.id: job.status for job in jobs.ended_jobs()} == {"ended": "SUCCEEDED", "to-cancel": "CANCELLED"}
