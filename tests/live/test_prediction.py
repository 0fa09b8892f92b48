"""Predictions: plain numbers under plain names, and steadied over time so that they can be read."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.faces import Box
from fer_core.live.prediction import ShownLabel, make_prediction, shown_of
from fer_core.live.predictor import SHORTEST_SECONDS, SteadyBox, SteadyLabel, SteadyProbabilities
from tests.live.fakes import LABELS


@pytest.mark.parametrize(
    ("probabilities", "threshold", "is_unsure"),
    [([0.55, 0.45], 0.55, False), ([0.55, 0.45], 0.56, True), ([0.55, 0.45], 1.0, True), ([np.nan] * 2, 0.0, True)],
)
def test_unsure_means_less_confidence_than_the_threshold(probabilities, threshold, is_unsure):
    assert shown_of(np.array(probabilities), threshold) == ShownLabel(0, is_unsure)


def test_a_reading_as_json_is_rounded_and_its_confidence_is_that_of_the_label_shown():
    box = Box(np.float32(1.25), np.float64(-2), 30, 40)
    shares = np.array([0.1, 0.55, 0.35], np.float32)
    found = make_prediction(box, shares, ShownLabel(2, True), labels=LABELS, person=1)
    assert json.loads(json.dumps(found.to_json())) == {
        "person": 1,
        "box": {"x": 1.2, "y": -2.0, "width": 30.0, "height": 40.0},
        "label": "sad",
        "confidence": 0.35,
        "unsure": True,
        "probabilities": {"angry": 0.1, "happy": 0.55, "sad": 0.35},
    }


SAD, HAPPY = np.array([0.9, 0.1], np.float32), np.array([0.1, 0.9], np.float32)
PAUSES = st.lists(st.floats(0.001, 0.4), min_size=1, max_size=60)
ALMOST = 1e-6


def step(smoothing_seconds: float, times: list[float]) -> list[float]:
    """Returns how much of a step from SAD to HAPPY is passed at each time; SAD is seen until 0, HAPPY afterwards."""
    steady = SteadyProbabilities(smoothing_seconds)
    for time in (-2.0, -1.0, 0.0):
        steady.update(SAD, time)
    return [float((steady.update(HAPPY, time)[1] - 0.1) / 0.8) for time in times]


@pytest.mark.parametrize("rate", [5, 30, 120])
@pytest.mark.parametrize("smoothing_seconds", [0.2, 0.5, 2.0])
def test_a_step_has_passed_half_its_height_within_the_smoothing_time(rate, smoothing_seconds):
    times = [number / rate for number in range(1, 3 * rate * math.ceil(smoothing_seconds))]
    passed = step(smoothing_seconds, times)
    assert all(share > 0.5 for share, time in zip(passed, times, strict=True) if time >= smoothing_seconds - ALMOST)
    assert passed[0] < 0.5 or times[0] >= 0.9 * smoothing_seconds - ALMOST


@settings(deadline=None)
@given(pauses=PAUSES, smoothing_seconds=st.floats(0, 3), seed=st.integers(0, 99), labels=st.integers(2, 8))
def test_smoothed_probabilities_sum_to_one_and_stay_within_what_came_in(pauses, smoothing_seconds, seed, labels):
    steady = SteadyProbabilities(smoothing_seconds)
    rows = np.random.default_rng(seed).dirichlet(np.full(labels, 0.3), len(pauses)).astype(np.float32)
    for row, time in zip(rows, itertools.accumulate(pauses), strict=True):
        smooth = steady.update(row, time)
        assert smooth.sum() == pytest.approx(1, abs=1e-5)
        assert (smooth >= rows.min(axis=0) - ALMOST).all()
        assert (smooth <= rows.max(axis=0) + ALMOST).all()


def spells(shown: list[ShownLabel], times: list[float]) -> list[tuple[ShownLabel, float, float]]:
    """Returns what was shown one after the other, with the time of the first and of the last frame that showed it."""
    groups = itertools.groupby(zip(shown, times, strict=True), key=lambda pair: pair[0])
    found = [(key, [time for _, time in group]) for key, group in groups]
    return [(key, frames[0], frames[-1]) for key, frames in found]


VERDICTS = st.tuples(st.builds(ShownLabel, st.integers(0, 3), st.booleans()), st.floats(0.001, 0.25))


@settings(deadline=None)
@given(st.lists(VERDICTS, min_size=1, max_size=300))
def test_nothing_is_shown_for_less_than_0_3_seconds_whatever_comes(verdicts):
    steady = SteadyLabel()
    times = list(itertools.accumulate(pause for _, pause in verdicts))
    shown = [steady.update(right, time) for (right, _), time in zip(verdicts, times, strict=True)]
    assert all(last - first >= SHORTEST_SECONDS for _, first, last in spells(shown, times)[:-1])


@settings(deadline=None)
@given(st.lists(VERDICTS, min_size=1, max_size=300))
def test_what_is_shown_lags_by_0_3_seconds_and_two_frames_at_most(verdicts):
    steady, right_last = SteadyLabel(), 0.0
    longest = max(pause for _, pause in verdicts)
    for (right, _), time in zip(verdicts, itertools.accumulate(pause for _, pause in verdicts), strict=True):
        if steady.update(right, time) == right:
            right_last = time
        assert time - right_last <= SHORTEST_SECONDS + 2 * longest


A, B = ShownLabel(0, False), ShownLabel(1, False)


@pytest.mark.parametrize(
    ("rights", "first_b"),
    [
        ([A] * 30 + [B] * 2 + [A] * 30, None),  # it leads for a moment
        ([A] * 30 + [B] * 30, 30 + 3),  # for good: after a tenth of a second
        ([A] + [B] * 60, 10),  # right after the first one: when that could be read
    ],
)
def test_a_label_that_leads_for_good_is_shown_after_a_tenth_of_a_second(rights, first_b):
    steady = SteadyLabel()
    shown = [steady.update(right, number / 30) for number, right in enumerate(rights)]
    assert (shown.index(B) if B in shown else None) == first_b


def boxes(times: np.ndarray, *, speed: float = 0.0, tremble: float = 0.0) -> list[Box]:
    noise = np.random.default_rng(5).normal(0, tremble, (len(times), 4)) if tremble else np.zeros((len(times), 4))
    return [
        Box(100 + speed * time + n[0], 80 + n[1], 200 + n[2], 220 + n[3]) for time, n in zip(times, noise, strict=True)
    ]


def steadied(raw: list[Box], times: np.ndarray) -> np.ndarray:
    steady = SteadyBox()
    return np.array([steady.update(box, time) for box, time in zip(raw, times, strict=True)])


@pytest.mark.parametrize("rate", [10, 30, 120])
def test_the_box_of_a_still_face_trembles_far_less(rate):
    times = np.arange(0, 4, 1 / rate)
    raw = boxes(times, tremble=3)
    before, after = (np.abs(np.diff(each, axis=0)).mean() for each in (np.array(raw), steadied(raw, times)))
    assert after < before / (2 if rate == 10 else 3)


def test_the_box_of_a_face_that_moves_fast_lags_by_less_than_a_tenth_of_it():
    times = np.arange(0, 2, 1 / 30)
    raw = boxes(times, speed=400)
    assert np.abs(steadied(raw, times) - np.array(raw)).max() < 20


@settings(deadline=None)
@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=30), st.integers(0, 99))
def test_a_steadied_box_stays_within_what_came_in_at_any_times(pauses, seed):
    times = np.array(list(itertools.accumulate(pauses)))
    rows = np.random.default_rng(seed).uniform((0, 0, 50, 50), (500, 300, 250, 250), (len(times), 4))
    steady = steadied([Box(*row) for row in rows.tolist()], times)
    assert (steady[:, 2:] >= rows[:, 2:].min(axis=0) - ALMOST).all()
    assert (steady[:, 2:] <= rows[:, 2:].max(axis=0) + ALMOST).all()
