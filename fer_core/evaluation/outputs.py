"""What a model's outputs are: probabilities, or, where a model is from elsewhere, something to make them of."""

from typing import Literal

import numpy as np

Outputs = Literal["probabilities", "scores", "logits"]

_SUM_TOLERANCE = 1e-2


def meaning_of(outputs: np.ndarray) -> Outputs:
    """Returns what a model's outputs (float (n, labels)) are: probabilities, scores that do not sum to 1, or logits."""
    if outputs.min() < 0 or outputs.max() > 1 + _SUM_TOLERANCE:
        return "logits"
    sums = outputs.sum(axis=1)
    return "probabilities" if np.abs(sums - 1).max() <= _SUM_TOLERANCE else "scores"


def as_probabilities(outputs: np.ndarray, meaning: Outputs) -> np.ndarray:
    """Returns probabilities, float32 (n, labels), of outputs that mean this."""
    if meaning == "probabilities":
        return outputs
    if meaning == "scores":
        return outputs / np.maximum(outputs.sum(axis=1, keepdims=True), np.float32(1e-9))
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
