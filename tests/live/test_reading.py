"""A reading: plain numbers under plain names."""

import json

import numpy as np
import pytest

from fer_core.faces.face import Box
from fer_core.live.prediction import Prediction, ShownLabel, make_prediction, shown_of

LABELS = ("angry", "happy", "sad")
SHARES = np.array([0.1, 0.55, 0.35], np.float32)


def prediction(**more) -> Prediction:
    box = Box(np.float32(1.25), np.float64(-2), 30, 40)
    return make_prediction(box, SHARES, shown_of(SHARES, 0.4), labels=LABELS, **more)


@pytest.mark.parametrize(("threshold", "is_unsure"), [(0.0, False), (0.55, False), (0.56, True), (1.0, True)])
def test_unsure_means_less_confidence_than_the_threshold(threshold, is_unsure):
    assert shown_of(np.array([0.55, 0.45]), threshold) == ShownLabel(0, is_unsure)


def test_a_confidence_that_is_no_number_is_unsure_whatever_the_threshold():
    assert shown_of(np.full(2, np.nan), 0.0) == ShownLabel(0, True)


def test_the_confidence_is_that_of_the_label_shown_also_where_another_leads():
    found = make_prediction(Box(0, 0, 1, 1), SHARES, ShownLabel(2, True), labels=LABELS)
    assert (found.label, found.unsure) == ("sad", True)
    assert found.confidence == pytest.approx(0.35)


def test_a_reading_as_json_is_rounded_and_can_be_read_again():
    plain = json.loads(json.dumps(prediction(person=1).to_json()))
    assert plain == {
        "person": 1,
        "box": {"x": 1.2, "y": -2.0, "width": 30.0, "height": 40.0},
        "label": "happy",
        "confidence": 0.55,
        "unsure": False,
        "probabilities": {"angry": 0.1, "happy": 0.55, "sad": 0.35},
    }
