import os
import socket
import subprocess
import sys
import threading

import pytest
from pydantic import ValidationError

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError, RunHeldError
from fer_core.store.manifest import LiteRTMetadata
from fer_core.store.runs import create_run, open_run


@pytest.fixture
def run(paths, noon):
    return create_run(paths, TrainConfig(), recipe="smoke", clock=lambda: noon)


HOLD = """
import os, signal, sys
from pathlib import Path
from fer_core.store.files import temporary_beside
from fer_core.store.run import Run
run = Run(Path(sys.argv[1]), Path(sys.argv[1]))
with run.hold():
    run.checkpoint.mkdir()
    for path in (run.model_h5, run.checkpoint / "state.npz"):
        temporary_beside(path).write_bytes(b"half")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_holder(run, project):
    """A process that holds the run until its input is closed or it is killed."""
    command = [sys.executable, "-c", HOLD, str(run.folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=project, text=True, **pipes) as child:
        assert child.stdout.readline() == "held\n"
        yield child


def test_a_second_trainer_is_told_who_holds_the_run(run, other_holder):
    assert run.is_held()
    message = f"is being trained by process {other_holder.pid} on {socket.gethostname()}"
    with pytest.raises(RunHeldError, match=message) as caught, run.hold():
        pass
    assert caught.value.exit_code == 75
    other_holder.communicate()
    assert not run.is_held()


def test_a_killed_trainer_holds_nothing_and_what_it_left_is_swept(run, other_holder):
    other_holder.kill()
    other_holder.wait()
    left = list(run.folder.rglob("*.part.*"))
    assert len(left) == 2
    of_history = run.history / left[0].name
    of_history.write_bytes(b"epoch,lo")
    with run.hold():
        assert list(run.folder.rglob("*.part.*")) == []
        assert not of_history.exists()
        assert (run.state.pid, run.state.host) == (os.getpid(), socket.gethostname())


def test_one_process_cannot_hold_a_run_twice(run, paths):
    with run.hold():
        with pytest.raises(RunHeldError), open_run(paths, run.id).hold():
            pass
        assert run.is_held()
    with run.hold():
        pass


def test_looking_whether_a_run_is_held_turns_no_trainer_away(run, at_once):
    stop = threading.Event()

    def look():
        while not stop.wait(0.001):
            run.is_held()

    def train():
        for _ in range(20):
            with run.hold():
                pass
        stop.set()

    at_once(look, train)
    assert stop.is_set()


def test_the_state_changes_field_by_field(run):
    run.update_state(status="RUNNING", attempt=1, message="epoch 1 of 3")
    state = run.update_state(epoch=1)
    assert (state.status, state.attempt, state.message, state.epoch) == ("RUNNING", 1, "epoch 1 of 3", 1)
    assert run.state == state
    for fields in ({"status": "DONE"}, {"progress": 1}, {"epoch": "many"}):
        with pytest.raises(ValidationError):
            run.update_state(**fields)
    assert run.state == state


def test_two_that_change_the_state_at_once_lose_nothing(run, at_once):
    def change(field):
        for number in range(1, 31):
            run.update_state(**{field: number})

    at_once(lambda: change("epoch"), lambda: change("attempt"))
    assert (run.state.epoch, run.state.attempt) == (30, 30)


def test_the_manifest_is_completed_while_training(run):
    run.update_manifest(labels=["angry", "happy"], side=48, scores={"test": {"loss": float("nan"), "images": 3589}})
    manifest = run.update_manifest(backend="tensorflow")
    assert (manifest.labels, manifest.side, manifest.backend) == (("angry", "happy"), 48, "tensorflow")
    assert manifest.scores == {"test": {"loss": None, "images": 3589}}
    assert run.manifest == manifest
    config = manifest.config.model_copy(update={"epochs": 90})
    assert run.update_manifest(config=config).config.epochs == 90


def test_the_manifest_of_a_finished_run_takes_a_later_export_and_nothing_else(run):
    run.update_state(status="SUCCEEDED")
    with pytest.raises(ArtifactError, match="is finished: its manifest does not change any more"):
        run.update_manifest(temperature=2.0)
    metadata = LiteRTMetadata(sha256="ab", largest_difference=1e-7)
    assert run.update_manifest(litert=metadata).litert == metadata
