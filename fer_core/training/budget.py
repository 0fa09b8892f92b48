"""`--time-budget`: measures the first steps on this machine and plans the epochs that fit into the time.

What is measured on is thrown away, so that the training is the one that `--epochs` with the same number gives.
"""

import re
import statistics
import time
from typing import NamedTuple

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset, Split
from fer_core.errors import ConfigError
from fer_core.evaluation.predict import BATCH, predict
from fer_core.places import Places
from fer_core.training.class_weights import class_weights
from fer_core.training.compiling import built, compiled
from fer_core.training.feed import Epoch
from fer_core.training.machine import Machine
from fer_core.training.twin import Augmented

_WARM_UP_STEPS, _TIMED_STEPS = 2, 6
"""The first ones compile."""


class Plan(NamedTuple):
    """How many epochs fit into the time, and what that was reckoned from."""

    epochs: int
    seconds_per_epoch: float
    budget_seconds: float


def budget_seconds(text: str) -> float:
    """Returns the seconds of '2h', '90m', '1h30m' or '45s'."""
    hours, minutes, seconds = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text).groups(default="0")
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds)


def planned(
    config: TrainConfig,
    dataset: Dataset,
    machine: Machine,
    *,
    places: Places,
    began: float,
    lessons: np.ndarray | None = None,
) -> Plan:
    """Returns the plan for `config.time_budget`; leaves the random generators as they were set up.

    What is over by now counts, and so does the scoring of the kept weights; plots and exports, some seconds, do not.

    Args:
        began: when the training began, by `time.perf_counter`. lessons: as `fit` takes them.

    Raises:
        ConfigError: the time is too short for the warm-up, or for the sides that the pictures are to have.
    """
    seconds_per_epoch, end = _measured(config, dataset, machine, places=places, lessons=lessons)
    keras.utils.set_random_seed(config.seed)
    budget, fewest = budget_seconds(config.time_budget), max(int(config.warmup_epochs) + 1, len(config.train_sides), 1)
    epochs = int((budget - end - (time.perf_counter() - began)) / seconds_per_epoch)
    if epochs < fewest:
        raise ConfigError(
            f"In {config.time_budget} this machine trains {max(epochs, 0)} epochs of {seconds_per_epoch:,.0f} s; "
            f"these settings need at least {fewest}.",
            hint="Give more --time-budget, or take a smaller network.",
        )
    return Plan(epochs, round(seconds_per_epoch, 3), budget)


def _measured(
    config: TrainConfig, dataset: Dataset, machine: Machine, *, places: Places, lessons: np.ndarray | None
) -> tuple[float, float]:
    """Returns the seconds of an epoch with its validation, and those of the end, which answers all parts again."""
    sides = range(1, max(len(config.train_sides), 1) + 1)
    # As many epochs as sides, so that each has one.
    trial = config.model_copy(update={"epochs": len(sides), "warmup_epochs": 0.0, "fade": 0.0, "time_budget": None})
    model = compiled(built(trial, dataset.labels), trial, dataset, machine, places=places)
    weights = class_weights(trial, dataset.train.labels, dataset.labels)
    fed = {"class_weights": weights, "devices": model.devices, "lessons": lessons}
    epochs = [Epoch(dataset.train, trial, epoch=epoch, **fed) for epoch in sides]
    training = statistics.mean([_step_seconds(model, batches) for batches in epochs]) * len(epochs[0])
    answer, validation = _answer_seconds(model, dataset.test), len(dataset.validation or ())
    return training + answer * validation, answer * (len(dataset.test) + validation)


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


def _answer_seconds(model: Augmented, split: Split) -> float:
    """Returns the seconds for one image."""
    few = split.part(slice(0, 2 * BATCH))
    predict(model, few)
    began = time.perf_counter()
    predict(model, few)
    return (time.perf_counter() - began) / len(few)
