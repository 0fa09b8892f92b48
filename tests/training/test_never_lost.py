"""The short form of benchmarks/soak.py: what is killed, stopped or out of room goes on, and comes to the same bits."""

import itertools
import os
import shutil
import signal

from kills import leftovers, only_run, outcome, torn_files
from soak import SETTINGS, Moment, Soak

from fer_core.cli import ended
from fer_core.cli.train import main, parse
from fer_core.store.promotion import promote
from fer_core.store.run import Run
from fer_core.store.runs import latest_unfinished
from fer_core.training import callbacks
from fer_core.training.train import train
from tests.conftest import paths_in
from tests.store.conftest import largest_file
from tests.training.parts import change_manifest

LARGEST_FILE = 180_000
"""Bytes: less than a checkpoint, more than the plots that come before it."""
CALLS_OF_A_FILE = 3
MOMENT = 12
"""One of the calls at the end of a training, long before its last state is saved."""
SHORT = (*SETTINGS, "--sample-per-class=20", "--epochs=5", "--network-options.filters", "8", "16")


def test_a_training_killed_out_of_room_and_stopped_ends_with_the_bits_of_one_that_was_not(
    begun, paths, tmp_path, monkeypatch, capfd
):
    training, (undisturbed, dataset) = Soak(tmp_path, SHORT), begun(kind="trial", **parse(SHORT).config.model_dump())
    train(undisturbed, dataset, paths=paths)
    paths = training.paths("hit")
    folders = (f"--models-dir={paths.models}", f"--history-dir={paths.history}")
    monkeypatch.setenv("FER_CACHE_DIR", str(paths.cache))
    assert training.train("hit", *SHORT, moment=Moment(line="epoch   2", seconds=0.0)).status == -signal.SIGKILL
    run = only_run(paths)
    assert run.state.status == "RUNNING"

    with largest_file(LARGEST_FILE):
        assert ended(lambda: main(["--resume=latest", *folders])) == 2
    problem, hint = capfd.readouterr().err.splitlines()[-2:]
    assert problem.startswith(f"Error: No room to write {run.checkpoint / 'checkpoint.npz'}: ")
    assert problem.endswith("What was saved before is kept.")
    assert "--resume latest" in hint
    assert torn_files(paths) == []
    assert latest_unfinished(paths) == run

    with monkeypatch.context() as patch:
        save = callbacks.save_checkpoint
        patch.setattr(callbacks, "save_checkpoint", lambda *of: (save(*of), os.kill(os.getpid(), signal.SIGTERM)))
        assert (ended(lambda: main(["--resume=latest", *folders])), run.state.status) == (143, "INTERRUPTED")
    said = capfd.readouterr().out
    assert f"Interrupted after epoch {run.state.epoch}. Nothing before it is lost. Go on with: python" in said
    assert f"--resume {run.id} --models-dir {paths.models} --history-dir {paths.history}" in said

    assert ended(lambda: main(["--resume", run.id, *folders])) == 0
    assert run.state.attempt == 4
    assert outcome(run) == outcome(undisturbed)
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
    change_manifest(copied, scores=None, litert=None)
    copied.update_state(status="RUNNING")
    return copied


def test_a_kill_at_any_call_of_the_end_leaves_whole_files_from_which_it_is_done_again(
    trained_run, small_dataset, paths, tmp_path_factory, before_every_call, monkeypatch
):
    run = copy_without_its_end(trained_run, paths)
    calls, again = itertools.count(1), paths_in(tmp_path_factory.mktemp("moment") / "copy")

    def look():
        call = next(calls)
        if call % CALLS_OF_A_FILE == 0:
            assert torn_files(paths) == []
        if call == MOMENT:
            shutil.copytree(paths.models.parent, again.models.parent)

    before_every_call(look)
    train(run, small_dataset, paths=paths)
    promote(paths, run)
    monkeypatch.undo()
    assert (outcome(run), next(calls) > 3 * MOMENT) == (outcome(trained_run), True)

    train(only_run(again), small_dataset, paths=again)
    promote(again, only_run(again))
    assert outcome(only_run(again)) == outcome(trained_run)
    assert torn_files(again) == []
