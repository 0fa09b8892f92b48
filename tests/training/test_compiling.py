"""The learning rate at exact steps, and the confusion matrix as a metric."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from fer_core.config import TrainConfig
from fer_core.training.callbacks import Confusion
from fer_core.training.feed import one_hot
from fer_core.training.training_model import Schedule

STEP = {"schedule": "step", "step_epochs": (2, 5), "step_factors": (0.5, 0.1)}


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({}, {0: 0.8, 1: 0.8, 79: 0.8}),
        (STEP, {0: 0.8, 19: 0.8, 20: 0.4, 49: 0.4, 50: 0.08, 79: 0.08}),
        ({"schedule": "cosine"}, {0: 0.8, 20: 0.4 * (1 + math.cos(math.pi / 4)), 40: 0.4, 80: 0, 90: 0}),
        (
            {"schedule": "cosine", "warmup_epochs": 2},
            {0: 0.8 / 20, 9: 0.4, 19: 0.8, 20: 0.8, 50: 0.4, 80: 0},
        ),
        ({"warmup_epochs": 0.5}, {0: 0.16, 4: 0.8, 5: 0.8, 79: 0.8}),
        ({"schedule": "linear"}, {0: 0.8, 20: 0.6, 40: 0.4, 80: 0}),
    ],
    ids=["constant", "step", "cosine", "warm-up, then a cosine", "part of an epoch", "line"],
)
def test_the_learning_rate_is_that_of_its_schedule_at_every_step(settings, rates):
    schedule = Schedule(TrainConfig(learning_rate=0.8, epochs=8, **settings), steps_per_epoch=10)
    assert [float(schedule(step)) for step in rates] == pytest.approx(list(rates.values()), abs=1e-6)


def test_one_cycle_rises_from_a_25th_along_a_cosine_and_falls_to_nothing():
    schedule = Schedule(TrainConfig(learning_rate=0.8, epochs=8, schedule="one_cycle", warmup_epochs=4), 10)
    rates = {0: 0.8 / 25, 19: 0.8 * (0.5 + 0.5 / 25), 39: 0.8, 40: 0.8, 60: 0.4, 80: 0}
    assert [float(schedule(step)) for step in rates] == pytest.approx(list(rates.values()), abs=2e-3)


def test_batches_add_up_to_the_matrix_of_scikit_learn_whatever_their_weights_until_an_epoch_begins():
    random = np.random.default_rng(0)
    labels, probabilities = random.integers(0, 5, 100), random.random((100, 5)).astype(np.float32)
    metric = Confusion(5)
    for part in (slice(0, 64), slice(64, 100)):
        targets = one_hot(labels[part], 5)
        metric.update_state(targets, probabilities[part], sample_weight=np.full(len(targets), 3.0))
    np.testing.assert_array_equal(metric.matrix(), confusion_matrix(labels, probabilities.argmax(axis=1)))
    assert float(metric.result()) == pytest.approx(accuracy_score(labels, probabilities.argmax(axis=1)))
    metric.reset_state()
    assert (metric.matrix().sum(), float(metric.result())) == (0, 0)
    # A mixed label counts as the class that it has most of.
    metric.update_state(0.6 * one_hot(labels, 5) + 0.4 * one_hot(labels[::-1], 5), probabilities)
    np.testing.assert_array_equal(metric.matrix(), confusion_matrix(labels, probabilities.argmax(axis=1)))
