import numpy as np
import pytest

from fer_core.evaluation.metrics import evaluate_probabilities

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
IMAGES = (467, 56, 496, 895, 607, 653, 415)


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    """The labels of as many images as PublicTest has."""
    return np.repeat(np.arange(7), IMAGES)


@pytest.fixture(scope="session")
def probabilities(truth) -> np.ndarray:
    """Outputs of a model that is right in more than half of them."""
    random = np.random.default_rng(3)
    outputs = random.random((len(truth), 7))
    outputs[np.arange(len(truth)), truth] += 0.4
    return (outputs / outputs.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def evaluation(truth, probabilities):
    return evaluate_probabilities(
        probabilities,
        truth,
        label_names=LABELS,
        split="PublicTest",
        is_training_copy=np.arange(len(truth)) % 10 == 0,
        chosen_on="2,871 validation images chose the epoch.",
    )
