"""A training that is killed in this process, and what it left."""

import contextlib
import shutil

import numpy as np
import pytest

from fer_core.training import callbacks


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
    from fer_core.training.train import train

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
