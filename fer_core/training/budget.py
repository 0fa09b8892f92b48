"""`--time-budget`: measures the first steps on this machine and plans the epochs that fit into the time.

What is measured on is thrown away, so that the training is the one that `--epochs` with the same number gives.
"""

import re
import statistics
import time
from typing import NamedTuple

import keras

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset
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


def planned(config: TrainConfig, dataset: Dataset, machine: Machine, *, places: Places) -> Plan:
    """Returns the plan for `config.time_budget`; leaves the random generators as they were set up.

    Raises:
        ConfigError: the time is too short for the warm-up, or for the sides that the pictures are to have.
    """
    began = time.perf_counter()
    seconds_per_epoch = _seconds_per_epoch(config, dataset, machine, places)
    keras.utils.set_random_seed(config.seed)
    budget = budget_seconds(config.time_budget)
    epochs = int((budget - (time.perf_counter() - began)) / seconds_per_epoch)
    fewest = max(int(config.warmup_epochs) + 1, len(config.train_sides), 1)
    if epochs < fewest:
        raise ConfigError(
            f"In {config.time_budget} this machine trains {max(epochs, 0)} epochs of {seconds_per_epoch:,.0f} s; "
            f"these settings need at least {fewest}.",
            hint="Give more --time-budget, or take a smaller network.",
        )
    return Plan(epochs, round(seconds_per_epoch, 3), budget)


def _seconds_per_epoch(config: TrainConfig, dataset: Dataset, machine: Machine, places: Places) -> float:
    sides = range(1, max(len(config.train_sides), 1) + 1)
    # As many epochs as sides, so that each has one.
    trial = config.model_copy(update={"epochs": len(sides), "warmup_epochs": 0.0, "fade": 0.0, "time_budget": None})
    model = compiled(built(trial, dataset.labels), trial, dataset, machine, places=places)
    weights = class_weights(trial, dataset.train.labels, dataset.labels)
    steps = [_step_seconds(model, Epoch(dataset.train, trial, epoch=e, class_weights=weights), e) for e in sides]
    batches = Epoch(dataset.train, trial, epoch=1, class_weights=weights, devices=model.devices)
    validation = _validation_seconds(model, dataset)
    return statistics.mean(steps) * len(batches) + validation


def _step_seconds(model: Augmented, batches: Epoch, epoch: int) -> float:
    """Returns the median of some steps, on real batches."""
    model.begin_epoch(epoch)
    seconds = []
    for step in range(_WARM_UP_STEPS + _TIMED_STEPS):
        began = time.perf_counter()
        pixels, targets, weights = batches[step % len(batches)]
        model.train_on_batch(pixels, targets, sample_weight=weights)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[_WARM_UP_STEPS:])


def _validation_seconds(model: Augmented, dataset: Dataset) -> float:
    if dataset.validation is None:
        return 0.0
    few = dataset.validation.part(slice(0, 2 * BATCH))
    predict(model, few)
    began = time.perf_counter()
    predict(model, few)
    return (time.perf_counter() - began) * len(dataset.validation) / len(few)
