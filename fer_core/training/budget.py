"""`--time-budget`: measures the first steps on this machine, plans the epochs that fit into the time, and ends in time.

What is measured on is thrown away, so that the training is the one that `--epochs` with the same number gives.
"""

import re
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from fer_core.config import MOST_EPOCHS, TrainConfig
from fer_core.data.dataset import Dataset, Split
from fer_core.errors import ConfigError
from fer_core.evaluation.predict import BATCH, predict
from fer_core.paths import Paths
from fer_core.store.files import temporary_beside
from fer_core.training.checkpoint import Progress, save_checkpoint
from fer_core.training.class_weights import class_weights
from fer_core.training.compiling import built, compiled
from fer_core.training.feed import Epoch
from fer_core.training.fit import for_backend
from fer_core.training.machine import Machine
from fer_core.training.training_model import Augmented

_WARM_UP_STEPS, _TIMED_STEPS = 2, 6
"""The first ones compile."""
_RESERVE = 1.05
"""Epochs take a little longer than planned where the machine has other work too."""


class Plan(NamedTuple):
    """How many epochs fit into the time, and what that was reckoned from."""

    epochs: int
    seconds_per_epoch: float
    budget_seconds: float
    end_seconds: float
    """Of the scoring after the last epoch."""


class TimeBudget(NamedTuple):
    """The time that a training has, over all its attempts."""

    budget_seconds: float
    end_seconds: float
    began: float
    """When this attempt began, by `time.perf_counter`."""
    earlier_seconds: float
    """What earlier attempts took."""

    def is_spent(self, rows: Sequence[dict]) -> bool:
        """Returns whether another epoch like the last one, and the end, would take longer than there is time."""
        spent = self.earlier_seconds + time.perf_counter() - self.began
        return spent + rows[-1]["seconds"] + self.end_seconds > self.budget_seconds


def time_left(plan: dict[str, float] | None, rows: Sequence[dict], *, began: float) -> TimeBudget | None:
    """Returns the budget of an attempt that goes on after the epochs `rows`; None where nothing was planned."""
    if plan is None:
        return None
    earlier = sum(row["seconds"] for row in rows)
    return TimeBudget(plan["budget_seconds"], plan.get("end_seconds", 0.0), began, earlier)


def budget_seconds(text: str) -> float:
    """Returns the seconds of '2h', '90m', '1h30m' or '45s'."""
    hours, minutes, seconds = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text).groups(default="0")
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds)


def planned(
    config: TrainConfig,
    dataset: Dataset,
    machine: Machine,
    *,
    paths: Paths,
    began: float,
    soft_labels: np.ndarray | None = None,
) -> Plan:
    """Returns the plan for `config.time_budget`; leaves the random generators as they were set up.

    What is over by now counts, and so does the scoring of the kept weights; plots and exports, some seconds, do not.

    Args:
        began: when the training began, by `time.perf_counter`. soft_labels: as `fit` takes them.

    Raises:
        ConfigError: the time is too short for the warm-up, or for the sides that the pictures are to have.
    """
    measured = _measured(config, dataset, machine, paths=paths, soft_labels=soft_labels)
    keras.utils.set_random_seed(config.seed)
    budget, fewest = budget_seconds(config.time_budget), max(int(config.warmup_epochs) + 1, len(config.train_sides), 1)
    left = budget - measured.start - measured.end - (time.perf_counter() - began)
    epochs = min(int(left / (_RESERVE * measured.epoch)), MOST_EPOCHS)
    if epochs < fewest:
        raise ConfigError(
            f"In {config.time_budget} this machine trains {max(epochs, 0)} epochs of {measured.epoch:,.1f} s; "
            f"these settings need at least {fewest}.",
            hint="Give more --time-budget, or take a smaller network.",
        )
    return Plan(epochs, round(measured.epoch, 3), budget, round(measured.end, 3))


class _Seconds(NamedTuple):
    """What takes how long."""

    start: float
    """Compiling: once for each size of the pictures."""
    epoch: float
    """With its validation and its checkpoint."""
    end: float
    """Answering all parts again."""


def _measured(
    config: TrainConfig, dataset: Dataset, machine: Machine, *, paths: Paths, soft_labels: np.ndarray | None
) -> _Seconds:
    began = time.perf_counter()
    sides = range(1, max(len(config.train_sides), 1) + 1)
    # As many epochs as sides, so that each has one.
    trial = config.model_copy(update={"epochs": len(sides), "warmup_epochs": 0.0, "fade": 0.0, "time_budget": None})
    model = compiled(built(trial, dataset.labels), trial, dataset, machine, paths=paths)
    weights = class_weights(trial, dataset.train.labels, dataset.labels)
    fed = {"class_weights": weights, "devices": model.devices, "soft_labels": soft_labels}
    epochs = [Epoch(dataset.train, trial, epoch=epoch, **fed) for epoch in sides]
    training = statistics.mean([_step_seconds(model, batches) for batches in epochs]) * len(epochs[0])
    answer, validation = _answer_seconds(model, dataset.test), len(dataset.validation or ())
    start = time.perf_counter() - began
    few = slice(0, epochs[0].batch_size)
    fed["soft_labels"] = None if soft_labels is None else soft_labels[few]
    one_step = Epoch(dataset.train.part(few), trial, epoch=1, **fed)
    beside = _seconds_beside_steps(model, one_step, temporary_beside(paths.models / "runs" / "checkpoint"))
    return _Seconds(start, training + beside + answer * validation, answer * (len(dataset.test) + validation))


def _step_seconds(model: Augmented, batches: Epoch) -> float:
    """Returns the median of some steps, on real batches."""
    model.begin_epoch(batches.epoch)
    seconds = []
    for step in range(_WARM_UP_STEPS + _TIMED_STEPS):
        began = time.perf_counter()
        pixels, targets, weights = batches[step % len(batches)]
        model.train_on_batch(pixels, targets, sample_weight=weights)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[_WARM_UP_STEPS:])


def _seconds_beside_steps(model: Augmented, one_step: Epoch, folder: Path) -> float:
    """Returns what an epoch takes beside its steps and answers: it sets up its images, and leaves a checkpoint.

    One step is among it, which only matters where an epoch has few.
    """
    progress = Progress(best_weights=model.kept_weights())
    try:
        for _ in range(2):  # the first time, more is set up
            began = time.perf_counter()
            model.fit(for_backend(one_step), verbose=0, shuffle=False)
            save_checkpoint(folder, model, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return time.perf_counter() - began


def _answer_seconds(model: Augmented, split: Split) -> float:
    """Returns the seconds for one image."""
    few = split.part(slice(0, 2 * BATCH))
    predict(model, few)
    began = time.perf_counter()
    predict(model, few)
    return (time.perf_counter() - began) / len(few)
