"""A job on disk: what is asked for becomes a run, a search or a task; cancelled, resumed, locked by who works."""

import multiprocessing
import os
import signal

import pytest

from fer_core.errors import ArtifactError, ConfigError, JobError
from fer_core.job.arguments import queues, validate
from fer_core.job.broker import VISIBILITY_SECONDS, Broker, BrokerAwayError, models_id, visibility_seconds
from fer_core.job.job import find_job, job_ids, open_ids, open_job
from fer_core.job.lifecycle import cancel_job, create_job, job_of_message, resume_job
from fer_core.locks import is_taken, read_notes, taken
from fer_core.store.files import utc_now
from fer_core.store.runs import latest_unfinished
from fer_core.tuning.state import load_state
from tests.conftest import paths_in
from tests.jobs.conftest import wait_until
from tests.jobs.parts import end_job, make_job, make_run, make_search


def test_what_is_asked_for_is_a_run_a_search_or_a_task_from_that_moment(paths):
    job = make_job(paths, epochs=3)
    assert job.id.startswith("20260131-120000-smoke-")
    assert (job.run.state.status, job.run.manifest.config.epochs, job.run.manifest.promote) == ("QUEUED", 3, False)
    assert (job.status, job.queue, open_ids(paths)) == ("QUEUED", "gpu", {job.id: "gpu"})
    assert latest_unfinished(paths) is None  # it is not for who types --resume latest
    search = make_job(paths, "tune", max_trials=4)
    assert (search.search.spec.max_trials, search.status) == (4, "QUEUED")
    analysis = make_job(paths, "evaluate", queue="gpu.high")
    assert (analysis.run, analysis.search, analysis.queue) == (None, None, "gpu.high")
    assert job_ids(paths) == sorted((job.id, search.id, analysis.id))


@pytest.mark.parametrize(
    ("task", "arguments", "sentence"),
    [
        ("dance", {}, "There is no task 'dance'"),
        ("train", {"epoch": 3}, "there is no setting 'epoch'"),
        ("train", {"settings": {"network_options": 5}}, "not options by name"),
        ("train", {"network": 5}, "network is 5, not the name of one"),
        ("train", {"queue": "gpux"}, "There is no queue 'gpux'"),
        ("train", {"run": "20260131-120000-none-3f9a"}, "There is no run"),
        ("train", {"teacher": ["none"]}, "none"),
        ("tune", {"warm_start": "none"}, "There is no search"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(paths, task, arguments, sentence):
    with pytest.raises((ConfigError, JobError, ArtifactError), match=sentence):
        create_job(paths, task, arguments, environ={})
    assert (job_ids(paths), open_ids(paths)) == ([], {})


def test_of_several_who_make_one_job_one_does_and_what_a_killed_one_leaves_the_next_one_completes(paths):
    first = make_job(paths, job_id="nightly-20260131T0230")
    (first.folder / "manifest.json").unlink()
    again = make_job(paths, job_id="nightly-20260131T0230", epochs=99)
    assert again.order == first.order and again.run.manifest.recipe == "smoke"


def test_a_job_is_found_by_its_id_its_beginning_and_celery_s_id(paths):
    job = make_job(paths)
    assert find_job(paths, job.id[:-2]).id == job.id
    assert job_of_message(paths, job.id + "~2", "train", {}).id == job.id
    with pytest.raises(JobError, match="no job 'nothing'"):
        find_job(paths, "nothing")
    message = "0b0c3a52-ccf0-4b9a-9d5e-5c3e6f6a0001"
    made = job_of_message(paths, message, "gc", {})
    for name in (message, f"{message}~1"):  # it was resumed
        assert job_of_message(paths, name, "gc", {}).id == find_job(paths, name).id == made.id


def test_hundreds_of_jobs_of_one_second_are_as_many_jobs(paths):
    now = utc_now()
    assert len({create_job(paths, "gc", {}, clock=lambda: now).id for _ in range(600)}) == 600


def test_a_relative_path_is_found_from_any_folder(paths, tmp_path, monkeypatch):
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path)
    job = make_job(paths, data="faces")
    assert job.order.arguments["data"] == str(tmp_path / "faces") == job.run.manifest.config.data
    search = make_job(paths, "tune", data="faces").search
    assert search.spec.data == search.plan.base.data == str(tmp_path / "faces")
    assert make_job(paths, more_images="faces").run.manifest.config.more_images == str(tmp_path / "faces")
    (tmp_path / "yunet.onnx").touch()
    study = make_job(paths, "read", source="faces", detector_model="yunet.onnx")
    assert study.order.arguments["detector_model"] == str(tmp_path / "yunet.onnx")
    no_file_s = "x" * 300  # longer than a name may be
    assert make_job(paths, "evaluate", run=no_file_s).order.arguments["run"] == no_file_s


def test_what_waits_is_cancelled_at_once_and_resumed_under_a_new_message_and_what_runs_is_asked(paths):
    job, search, running = make_job(paths), make_job(paths, "tune"), make_job(paths)
    with taken(running.lock):
        for one in (job, search, running):
            cancel_job(one)
        assert (running.status, running.cancel_file.exists()) == ("RUNNING", True)
    assert (job.status, job.run.state.status, job.end.message) == ("CANCELLED", "CANCELLED", "Cancelled.")
    assert (search.status, load_state(search.search).status) == ("CANCELLED", "CANCELLED")
    with pytest.raises(JobError, match="has ended: it is CANCELLED"):
        cancel_job(job)
    again = resume_job(paths, job.id)
    assert (again.status, again.order.message_id, again.run.state.status) == ("QUEUED", f"{job.id}~1", "INTERRUPTED")
    assert not again.cancel_file.exists()
    with pytest.raises(JobError, match="is QUEUED"):
        resume_job(paths, job.id)
    assert resume_job(paths, search.id).status == "QUEUED"
    assert load_state(search.search).status == "RUNNING"


def test_what_succeeded_is_not_resumed_and_what_was_begun_by_hand_gets_a_job_then(paths):
    run, search, job = make_run(paths, status="SUCCEEDED"), make_search(paths, [0.4]), end_job(make_job(paths), run="x")
    for name in (run.id, search.id, job.id):
        with pytest.raises(JobError, match="is finished"):
            resume_job(paths, name)
    with pytest.raises(JobError, match="is finished"):
        make_job(paths, "train", recipe=None, run=run.id)
    assert (job_ids(paths), open_ids(paths)) == ([job.id], {})
    begun = make_run(paths, minutes=1, status="INTERRUPTED")
    with begun.hold(), pytest.raises(JobError, match="is being trained"):
        resume_job(paths, begun.id)
    job = resume_job(paths, begun.id)
    assert (job.id, job.task, job.status, job.order.arguments) == (begun.id, "train", "QUEUED", {"run": begun.id})


def hold(path, ready):
    with taken(path) as held:
        held.note(worker="w0", crashes=2)
        ready.set()
        signal.pause()


def test_a_lock_is_freed_by_the_kernel_and_keeps_its_notes(paths, tmp_path):
    path, ready = tmp_path / ".job.lock", multiprocessing.Event()
    process = multiprocessing.Process(target=hold, args=(path, ready))
    process.start()
    assert ready.wait(20) and is_taken(path)
    with taken(path, patience_seconds=0) as held:
        assert held is None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    wait_until(lambda: not is_taken(path))
    with taken(path) as held:
        assert (held.notes.worker, held.notes.crashes) == ("w0", 2)  # it has died over it
    path.write_text('{"worker": "w')
    assert read_notes(path).worker == ""


def test_the_few_settings_that_come_from_the_environment_and_the_id_of_a_models_folder(paths, tmp_path):
    assert queues({"FER_QUEUES": "gpu.80gb, gpu"}) == ("gpu.high", "gpu", "cpu", "gpu.80gb")
    with pytest.raises(ConfigError, match="no queue"):
        queues({"FER_QUEUES": "a b"})
    assert visibility_seconds({}) == VISIBILITY_SECONDS
    with pytest.raises(ConfigError, match="FER_VISIBILITY_SECONDS"):
        visibility_seconds({"FER_VISIBILITY_SECONDS": "soon"})
    assert models_id(paths) == models_id(paths) != models_id(paths_in(tmp_path / "other"))


def test_an_order_that_is_torn_is_named_and_a_job_without_a_broker_waits(paths, tmp_path):
    job = make_job(paths, "gc")
    with pytest.raises(BrokerAwayError, match="cannot be reached"):
        Broker(paths, {"FER_BROKER_URL": f"redis+socket://{tmp_path}/none.sock"}).send(job)
    assert not job.has_message
    whole = job.job_json.read_text()
    for torn in ("{", whole.replace('"created_utc": "2026', '"created_utc": "some day in 2026')):
        job.job_json.write_text(torn)
        with pytest.raises(JobError, match="is not whole"):
            open_job(paths, job.id)


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("train", {"data": "faces\0.zip"}),
        ("train", {"recipe": "\x1b[2Jsmoke"}),
        ("train", {"settings": {"network_options": {"l2\x9b": 1}}}),
        ("tune", {"space": ["learning_rate", "l2\n"]}),
        ("evaluate", {"run": "x\x07"}),
        ("gc", {"queue": "\x7fcpu"}),
    ],
)
def test_text_that_no_file_is_called_and_terminals_obey_is_refused(task, arguments):
    with pytest.raises(ConfigError, match="has a control character in it") as error:
        validate(task, arguments)
    assert str(error.value).isprintable()
