"""Risk and coverage: how many images are answered above a confidence, and how many of those answers are right."""

import numpy as np

from fer_core.evaluation.calibration import Answered, answered_at, risk_coverage, thinned


def test_coverage_rises_with_each_confidence_that_occurs():
    confidence = np.array([0.9, 0.8, 0.8, 0.6])
    probabilities, labels = np.stack([confidence, 1 - confidence], axis=1), np.array([0, 0, 1, 1])
    rows = risk_coverage(probabilities, labels)
    assert rows == [Answered(0.9, 0.25, 1.0), Answered(0.8, 0.75, 2 / 3), Answered(0.6, 1.0, 0.5)]
    assert answered_at(rows, 0.6) == rows[1]
    assert answered_at(rows, 0.5) == rows[2]
    assert answered_at(rows[1:], 0.85) is None


def test_a_drawn_curve_keeps_both_ends():
    confidence = np.linspace(0.99, 0.51, 997)
    rows = risk_coverage(np.stack([confidence, 1 - confidence], axis=1), np.zeros(997, int))
    few = thinned(rows)
    assert (few[0], few[-1]) == (rows[0], rows[-1]) and 40 <= len(few) <= 60
