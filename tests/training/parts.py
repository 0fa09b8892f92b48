"""A training that is killed in this process, and what it left."""

import contextlib
import json
import shutil

import numpy as np
import pytest

from fer_core import networks
from fer_core.data.dataset import load_dataset
from fer_core.store.files import write_json
from fer_core.store.runs import create_run
from fer_core.training import callbacks
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.train import record_data, train


def begin_run(paths, session_paths, small_config, *, kind="train", **settings):
    """Returns a run whose settings differ from `small_config` in these, and its images."""
    changed = small_config.model_dump() | {"threads": 0, "network_options": {"filters": (8, 16)}} | settings
    config = networks.with_all_options(small_config.model_validate(changed))
    dataset = load_dataset(config, session_paths, side=48)
    run = create_run(paths, config, recipe="smoke", kind=kind, history_header=HISTORY_HEADER)
    record_data(run, dataset)
    return run, dataset


def change_manifest(run, *, config=None, **fields):
    """Gives a finished run other fields in its manifest, and settings."""
    path = run.folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, manifest | fields | {"config": manifest["config"] | (config or {})})


class Killed(BaseException):
    """Stands for a kill: nothing of the process goes on."""


@contextlib.contextmanager
def killed(epoch, copies=None):
    """What trains in here is killed right after this epoch's checkpoint is written.

    `copies`: by epoch, a folder that gets what the run's folder held then.
    """
    save = callbacks.save_checkpoint

    def save_and_die(folder, model, progress):
        save(folder, model, progress)
        if progress.epoch in (copies or {}):
            shutil.copytree(folder.parent, copies[progress.epoch])
        if progress.epoch == epoch:
            raise Killed

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        patched.setattr(callbacks, "save_checkpoint", save_and_die)
        yield


def killed_after(epoch, run, dataset, paths, *, copies=None):
    """Trains, and is killed after this epoch; returns what is in its checkpoint."""
    with killed(epoch, copies):
        train(run, dataset, paths=paths)
    return in_checkpoint(run)


def in_checkpoint(run):
    """Returns what a run's checkpoint holds, but for times."""
    with np.load(run.checkpoint / "checkpoint.npz") as file:
        return {name: file[name] for name in file.files if name != "progress"}


def assert_same_bits(found, expected):
    """Compares what two checkpoints hold."""
    assert found.keys() == expected.keys()
    assert [name for name in found if not np.array_equal(found[name], expected[name])] == []
