"""The learning rate at exact steps."""

import math

import pytest

from fer_core.config import TrainConfig
from fer_core.training.optimizers import Schedule

STEPS = 10
"""In an epoch."""


def rates(steps, **settings):
    schedule = Schedule(TrainConfig(learning_rate=0.8, epochs=8, **settings), STEPS)
    return [float(schedule(step)) for step in steps]


def test_constant_stays():
    assert rates((0, 1, 79)) == pytest.approx([0.8] * 3)


def test_steps_fall_after_their_epochs_and_are_factors_of_the_start():
    settings = {"schedule": "step", "step_epochs": (2, 5), "step_factors": (0.5, 0.1)}
    assert rates((0, 19, 20, 49, 50, 79), **settings) == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.08, 0.08])


def test_a_cosine_falls_to_half_in_the_middle_and_to_nothing_at_the_end():
    assert rates((0, 20, 40, 80, 90), schedule="cosine") == pytest.approx(
        [0.8, 0.4 * (1 + math.cos(math.pi / 4)), 0.4, 0, 0], abs=1e-6
    )


def test_warm_up_rises_from_the_first_step_and_the_cosine_begins_after_it():
    settings = {"schedule": "cosine", "warmup_epochs": 2}
    expected = [0.8 / 20, 0.4, 0.8, 0.8, 0.4, 0]
    assert rates((0, 9, 19, 20, 50, 80), **settings) == pytest.approx(expected, abs=1e-6)


def test_part_of_an_epoch_is_a_warm_up_too():
    assert rates((0, 4, 5, 79), warmup_epochs=0.5) == pytest.approx([0.16, 0.8, 0.8, 0.8])


def test_a_line_falls_to_half_in_the_middle_and_to_nothing_at_the_end():
    assert rates((0, 20, 40, 80), schedule="linear") == pytest.approx([0.8, 0.6, 0.4, 0], abs=1e-6)


def test_one_cycle_rises_from_a_25th_along_a_cosine_and_falls_to_nothing():
    settings = {"schedule": "one_cycle", "warmup_epochs": 4}
    found = rates((0, 19, 39, 40, 60, 80), **settings)
    assert found == pytest.approx([0.8 / 25, 0.8 * (0.5 + 0.5 / 25), 0.8, 0.8, 0.4, 0], abs=2e-3)
