"""The short form of benchmarks/soak.py: what is killed, stopped or out of room goes on, and comes to the same bits."""

import json
import os
import random
import shutil
import signal
import sys

import pytest
from kills import leftovers, only_run, outcome, torn_files
from soak import SETTINGS, Moment, Soak

from fer_core.store.promotion import promote
from fer_core.store.run import Run
from fer_core.store.runs import latest_unfinished
from fer_core.training.train import train
from tests.conftest import paths_in

LARGEST_FILE = 180_000
"""Bytes: less than a checkpoint, more than the plots that come before it."""
_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execv(sys.argv[2], sys.argv[2:])
"""
WITH_SMALL_FILES_ONLY = [sys.executable, "-c", _LIMITED, str(LARGEST_FILE)]


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return Soak(tmp_path_factory.mktemp("soak"))


@pytest.fixture(scope="module")
def reference(training):
    return training.reference()


def test_a_training_killed_and_killed_again_while_resumed_ends_with_the_bits_of_one_that_was_not(training, reference):
    chance = random.Random(20260131)
    moments = [
        Moment(line="epoch   2", seconds=chance.uniform(0, 0.3)),
        Moment(line="Goes on after epoch", seconds=chance.uniform(0, 0.5)),
    ]
    verdict = training.kill_and_resume("killed", moments, reference.outcome)
    assert (verdict.problems, verdict.kills) == ((), 2)


def test_a_training_killed_while_it_saves_its_model_ends_with_the_bits_of_one_that_was_not(training, reference):
    late = random.Random(20260131).choice(reference.calls[-60:])
    verdict = training.kill_and_resume("killed_late", [Moment(call=late)], reference.outcome)
    assert (verdict.problems, verdict.kills) == ((), 1)
    assert verdict.epoch == len(reference.outcome.history)


def test_a_training_stopped_by_sigterm_full_disk_and_ctrl_c_ends_with_the_bits_of_one_that_was_not(training, reference):
    paths = training.paths("stopped")
    middle = Moment(line="epoch   1", seconds=0.0)
    ended = training.train("stopped", *SETTINGS, moment=middle, signal_number=signal.SIGTERM)
    run = only_run(paths)
    assert (ended.status, run.state.status) == (143, "INTERRUPTED")
    assert f"Interrupted after epoch {run.state.epoch}. Nothing before it is lost. Go on with: python" in ended.output
    assert f"--resume {run.id} --models-dir {paths.models} --history-dir {paths.history}" in ended.output

    ended = training.train("stopped", "--resume=latest", prefix=WITH_SMALL_FILES_ONLY)
    assert ended.status == 2
    problem, hint = ended.output.splitlines()[-2:]
    assert problem.startswith(f"Error: No room to write {run.checkpoint / 'checkpoint.npz'}: ")
    assert problem.endswith("What was saved before is kept.")
    assert "--resume latest" in hint
    assert torn_files(paths) == []
    assert latest_unfinished(paths) == run

    again = Moment(line="Goes on after epoch", seconds=0.02)
    ended = training.train("stopped", "--resume=latest", moment=again, signal_number=signal.SIGINT)
    assert (ended.status, run.state.status) == (130, "INTERRUPTED")

    ended = training.train("stopped", "--resume", run.id)
    assert (ended.status, run.state.attempt) == (0, 4)
    assert outcome(run) == reference.outcome
    assert (torn_files(paths), leftovers(paths)) == ([], [])


def copy_without_its_end(run, paths):
    """Returns the run as it was when its last checkpoint had been saved."""
    folder = paths.models / "runs" / run.id
    folder.mkdir(parents=True)
    paths.history.mkdir()
    for name in ("manifest.json", "state.json", "checkpoint", "training_images.bin"):
        copy = shutil.copytree if (run.folder / name).is_dir() else shutil.copyfile
        copy(run.folder / name, folder / name)
    copied = Run(folder, paths.history)
    metadata = json.loads((folder / "manifest.json").read_text()) | {"scores": None, "litert": None}
    (folder / "manifest.json").write_text(json.dumps(metadata))
    copied.update_state(status="RUNNING")
    return copied


@pytest.fixture
def before_every_call(monkeypatch):
    """A function that has `look` called before every call that puts a file in place: it sees what a kill leaves."""

    def install(look):
        checking = []

        def watched(function):
            def call(*arguments, **options):
                if not checking:
                    checking.append(True)
                    look()
                    checking.clear()
                return function(*arguments, **options)

            return call

        for name in ("fsync", "replace", "rename", "link", "mkdir", "unlink"):
            monkeypatch.setattr(os, name, watched(getattr(os, name)))

    return install


def test_a_kill_at_any_call_of_the_end_leaves_whole_files_from_which_it_is_done_again(
    trained_run, small_dataset, paths, tmp_path_factory, before_every_call, monkeypatch
):
    run = copy_without_its_end(trained_run, paths)
    moments = tmp_path_factory.mktemp("moments")
    copies = []

    def look():
        assert torn_files(paths) == []
        copies.append(shutil.copytree(paths.models.parent, moments / str(len(copies))))

    before_every_call(look)
    train(run, small_dataset, paths=paths)
    promote(paths, run)
    monkeypatch.undo()
    assert (outcome(run), len(copies) > 50) == (outcome(trained_run), True)

    for copy in copies[10:-1:25]:
        again = paths_in(copy)
        if only_run(again).state.status != "SUCCEEDED":
            train(only_run(again), small_dataset, paths=again)
        promote(again, only_run(again))
        assert outcome(only_run(again)) == outcome(trained_run)
        assert torn_files(again) == []
