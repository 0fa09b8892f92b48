"""What a model's outputs mean, and probabilities from them."""

import numpy as np
import pytest

from fer_core.evaluation.outputs import as_probabilities, meaning_of


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


@pytest.mark.parametrize(
    ("outputs", "meaning"),
    [
        (row(0.2, 0.3, 0.5), "probabilities"),
        (row(0.2, 0.3, 0.505), "probabilities"),
        (row(0.9, 0.8, 0.1), "scores"),
        (row(-0.1, 0.6, 0.5), "logits"),
        (row(4.0, 0.0, 1.0), "logits"),
    ],
)
def test_what_outputs_are_is_told_from_their_values(outputs, meaning):
    assert meaning_of(outputs) == meaning


@pytest.mark.parametrize("outputs", [row(900, 899, -900), row(0, 0, 0), row(-1, 2, 0.5)])
def test_logits_become_probabilities_by_softmax(outputs):
    assert np.allclose(as_probabilities(outputs, "logits"), softmax(outputs.astype(np.float64)), atol=1e-6)


def test_scores_become_probabilities_by_their_sum_and_no_score_at_all_does_no_harm():
    assert np.allclose(as_probabilities(row(0.5, 0.3, 0.2) * 1.5, "scores"), row(0.5, 0.3, 0.2))
    assert np.array_equal(as_probabilities(row(0, 0, 0), "scores"), row(0, 0, 0))
