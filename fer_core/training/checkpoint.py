"""The checkpoint: everything that the next epoch depends on, in one file that is replaced at each epoch's end.

`.keras` and `save_weights` leave out the state of the random generators; a training resumed from them is another one.
This file has all variables of model and optimizer, the weights of the best epoch, and the history so far, so that a
training killed at any moment and resumed ends with the same bits as one that was not.
"""

import io
import json
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import ArtifactError
from fer_core.store.files import DiskFullError, replacing

if TYPE_CHECKING:
    import keras

FILE_NAME = "checkpoint.npz"
_ROOM_FOR_LOGS_AND_PLOTS = 20 * 2**20


@dataclass
class Progress:
    """How far a training is. Epochs count from 1."""

    epoch: int = 0
    """The last finished one."""
    best_epoch: int = 0
    best_value: float | None = None
    rows: list[dict] = field(default_factory=list)
    """One for each finished epoch, as in the history CSV."""
    best_weights: list[np.ndarray] = field(default_factory=list)
    """Of the network, in the order of `get_weights`."""

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights are saved: the best, where validation chose one."""
        return self.best_epoch if self.best_weights else self.epoch


def save_checkpoint(folder: Path, model: "keras.Model", progress: Progress) -> None:
    """Replaces the checkpoint in one instant. Raises DiskFullError; the one before is then still whole."""
    folder.mkdir(exist_ok=True)
    arrays = {name: np.asarray(variable) for name, variable in _variables(model).items()}
    arrays |= {f"best{place:05d}": array for place, array in enumerate(progress.best_weights)}
    metadata = {name: value for name, value in vars(progress).items() if name != "best_weights"}
    arrays["progress"] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    # Not np.savez(file): on a full disk its zip writer fails again while closing, and hides the reason.
    content = io.BytesIO()
    np.savez(content, **arrays)
    with replacing(folder / FILE_NAME) as temporary:
        temporary.write_bytes(content.getbuffer())


def check_room(folder: Path, model: "keras.Model") -> None:
    """Raises DiskFullError, before the first epoch, if the disk cannot hold what the training will write.

    That is the checkpoint twice (the old one goes when the new one is whole), the best weights, and the saved forms.
    """
    state = sum(int(np.prod(variable.shape)) * 4 for variable in _variables(model).values())
    network = sum(int(np.prod(weight.shape)) * 4 for weight in model.network.weights)
    needed = 2 * (state + network) + 4 * network + _ROOM_FOR_LOGS_AND_PLOTS
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFullError(
            f"The training needs about {needed / 2**20:,.0f} MB in {folder}, and {free / 2**20:,.0f} MB are free.",
            hint="Make room there, or put the runs on another disk with --models-dir.",
        )


def load_checkpoint(folder: Path, model: "keras.Model") -> Progress:
    """Puts the checkpoint into the model and its optimizer, and returns how far it was; a new Progress without one.

    Raises:
        ArtifactError: for a file that is damaged or of another network.
    """
    arrays = _read(folder)
    if arrays is None:
        return Progress()
    model.optimizer.build(model.trainable_variables)
    metadata = json.loads(arrays.pop("progress").tobytes())
    best = [arrays.pop(name) for name in sorted(name for name in arrays if name.startswith("best"))]
    wanted = _variables(model)
    if {name: array.shape for name, array in arrays.items()} != {n: tuple(v.shape) for n, v in wanted.items()}:
        path = folder / FILE_NAME
        raise ArtifactError(f"{path} is a checkpoint of another network or optimizer.", hint="Start a new run.")
    for name, variable in wanted.items():
        variable.assign(arrays[name])
    return Progress(**metadata, best_weights=best)


def read_progress(folder: Path) -> Progress:
    """Returns how far the checkpoint in `folder` is, without weights; a new Progress where there is none."""
    arrays = _read(folder)
    return Progress() if arrays is None else Progress(**json.loads(arrays["progress"].tobytes()))


def _read(folder: Path) -> dict[str, np.ndarray] | None:
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"The checkpoint {path} is damaged ({error}).",
            hint="Remove it, and --resume starts this run again from its first epoch.",
        ) from error


def _variables(model: "keras.Model") -> "dict[str, keras.Variable]":
    """Returns every variable by place: names that Keras makes up depend on what else the process has built."""
    both = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{kind}{place:05d}": v for kind, variables in both.items() for place, v in enumerate(variables)}
