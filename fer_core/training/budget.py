"""`--time-budget`: measures the first steps on this machine, and plans the epochs that fit into the time.

What is measured on is thrown away, so that the training is the one that `--epochs` with the same number gives.
"""

import re
import shutil
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

from fer_core.config import MOST_EPOCHS, TrainConfig
from fer_core.data.dataset import Split
from fer_core.errors import ConfigError
from fer_core.evaluation.predict import BATCH, predict
from fer_core.interruption import check_interrupted
from fer_core.store.files import temporary_beside
from fer_core.training.callbacks import EpochBegin
from fer_core.training.checkpoint import Progress, save_checkpoint
from fer_core.training.compiling import built, compiled
from fer_core.training.feed import TrainingBatches, for_backend, steps_per_epoch, whole_batch

if TYPE_CHECKING:
    from fer_core.training.fit import Training

_STEPS = 8
"""In each epoch that is measured."""
_RESERVE = 1.05
"""Epochs take a little longer than planned where the machine has other work too."""


class Plan(NamedTuple):
    """How many epochs fit into the time, and what that was reckoned from."""

    epochs: int
    seconds_per_epoch: float
    budget_seconds: float
    end_seconds: float
    """Of the scoring after the last epoch."""


class Seconds(NamedTuple):
    """What takes how long."""

    start: float
    """Compiling: once for each size of the pictures."""
    epoch: float
    """With its validation and its checkpoint."""
    end: float
    """Predicting all splits again."""


def budget_seconds(text: str) -> float:
    """Returns the seconds of '2h', '90m', '1h30m' or '45s'."""
    hours, minutes, seconds = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text).groups(default="0")
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds)


def planned(training: "Training", config: TrainConfig, soft_labels: np.ndarray | None) -> Plan:
    """Returns the plan for `config.time_budget`; leaves the random generators as they were set up.

    What is over by now counts, and so does the scoring of the kept weights; plots and exports, some seconds, do not.

    Raises:
        ConfigError: the time is too short for the warm-up, or for the sizes that the pictures are to have.
    """
    took = measured(training, config, soft_labels)
    keras.utils.set_random_seed(config.seed)
    budget = budget_seconds(config.time_budget)
    fewest = max(int(config.warmup_epochs) + 1, len(config.progressive_sizes), 1)
    left = budget - took.start - took.end - (time.perf_counter() - training.began)
    epochs = min(int(left / (_RESERVE * took.epoch)), MOST_EPOCHS)
    if epochs < fewest:
        raise ConfigError(
            f"In {config.time_budget} this machine trains {max(epochs, 0)} epochs of {took.epoch:,.1f} s; "
            f"these settings need at least {fewest}.",
            hint="Give more --time-budget, or take a smaller network.",
        )
    return Plan(epochs, round(took.epoch, 3), budget, round(took.end, 3))


def measured(training: "Training", config: TrainConfig, soft_labels: np.ndarray | None = None) -> Seconds:
    """Fits a model that is thrown away: two short epochs for each size of the pictures, the first of which compiles."""
    began, dataset, paths = time.perf_counter(), training.dataset, training.paths
    epochs = 2 * max(len(config.progressive_sizes), 1)
    short = {"epochs": epochs, "warmup_epochs": 0.0, "annealing": 0.0, "time_budget": None}
    trial = config.model_copy(update=short)
    model = compiled(built(trial, dataset.labels), trial, dataset, training.machine, paths=paths)
    few = slice(0, _STEPS * whole_batch(dataset.train, config, devices=model.devices))
    given = {"devices": model.devices, "soft_labels": None if soft_labels is None else soft_labels[few]}
    batches = TrainingBatches(dataset.train.part(few), trial, class_weights=training.class_weights, **given)
    stopwatch = _Stopwatch(temporary_beside(paths.models / "runs" / "checkpoint"))
    callbacks = [EpochBegin(batches), stopwatch]
    try:
        model.fit(for_backend(batches), epochs=trial.epochs, shuffle=False, verbose=0, callbacks=callbacks)
    finally:
        shutil.rmtree(stopwatch.folder, ignore_errors=True)
    image, validation = _prediction_seconds(model, dataset.test), len(dataset.validation or ())
    start = time.perf_counter() - began
    steps = steps_per_epoch(dataset.train, config, devices=model.devices)
    epoch = steps * stopwatch.step_seconds() + stopwatch.beside_steps + image * validation
    return Seconds(start, epoch, image * (len(dataset.test) + validation))


class _Stopwatch(keras.callbacks.Callback):
    """Times the steps, and what an epoch takes beside them: it sets up its images, and leaves a checkpoint."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self.beside_steps = 0.0
        self._epochs: list[list[float]] = []
        self._began = self._last = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = self._last = time.perf_counter()
        self._epochs.append([])

    def on_train_batch_end(self, batch, logs=None):
        check_interrupted()
        now = time.perf_counter()
        self._epochs[-1].append(now - self._last)
        self._last = now

    def on_epoch_end(self, epoch, logs=None):
        """The last epoch's figure stays."""
        save_checkpoint(self.folder, self.model, Progress(best_weights=self.model.kept_weights()))
        steps = self._epochs[-1]
        self.beside_steps = time.perf_counter() - self._began - len(steps) * statistics.median(steps)

    def step_seconds(self) -> float:
        """Returns the mean over the sizes of the median step of their second epochs."""
        return statistics.mean(statistics.median(steps) for steps in self._epochs[1::2])


def _prediction_seconds(model: keras.Model, split: Split) -> float:
    """Returns the seconds for one image."""
    few = split.part(slice(0, 2 * BATCH))
    predict(model, few)
    began = time.perf_counter()
    predict(model, few)
    return (time.perf_counter() - began) / len(few)
