"""The prior of a model: how often it saw each class in training, and how far that is taken out of its answers.

A network that saw neutral faces most says neutral when in doubt. Its probabilities divided by a power of the prior find
rare emotions more often: a power of 0 leaves them, 1 takes all classes for equally frequent.

Source: Menon and others 2021, "Long-tail learning via logit adjustment" (arXiv 2007.07314), there of logits.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_core.data.dataset import Split
from fer_core.errors import ArtifactError
from fer_core.store.model_files import ModelFiles

POWERS = np.linspace(0, 1, 21)


def prior_of(train: Split, class_weights: np.ndarray, *, is_of_votes: bool) -> np.ndarray:
    """Returns how often each class is the target of a training, float64 (labels,), which sum to 1.

    Args:
        class_weights: float (labels,), of the loss: a class that weighs twice is as good as seen twice.
        is_of_votes: the shares of the votes are trained on, or emotions drawn by them, not labels.
    """
    counts = np.bincount(train.labels, minlength=len(class_weights)).astype(np.float64)
    if is_of_votes and train.shares is not None:
        counts = train.shares.sum(axis=0, dtype=np.float64)
    weighted = counts * class_weights
    return weighted / weighted.sum()


def without_prior(probabilities: np.ndarray, prior: np.ndarray, power: float) -> np.ndarray:
    """Returns the probabilities divided by prior ** power, of the same shape, float32; each row sums to 1 again."""
    return divided(probabilities, _factors(prior, power))


def divided(probabilities: np.ndarray, factors: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns the probabilities, float (..., classes), divided by a factor for each class; each row sums to 1 again."""
    shares = np.asarray(probabilities, np.float64) / np.asarray(factors)
    return (shares / shares.sum(axis=-1, keepdims=True)).astype(np.float32)


def useful_power(probabilities: np.ndarray, labels: np.ndarray, prior: np.ndarray) -> float:
    """Returns the power, 0 to 1 in steps of 0.05, with the best mean recall that costs no accuracy.

    Args:
        probabilities: float (n, classes), as they were trained, of validation images. labels: integers (n,).
    """
    present = np.unique(labels)

    def scores(power: float) -> tuple[float, float]:
        is_right = without_prior(probabilities, prior, power).argmax(axis=1) == labels
        return float(is_right.mean()), float(np.mean([is_right[labels == label].mean() for label in present]))

    each = [(power, *scores(power)) for power in POWERS]
    allowed = [(recall, -power) for power, accuracy, recall in each if accuracy >= each[0][1]]
    return -max(allowed)[1]


def with_prior(model: ModelFiles, power: float) -> ModelFiles:
    """Returns the model, to be used with its prior taken out to this power instead of the one it has been saved with.

    Raises:
        ArtifactError: it does not say what it was trained on.
    """
    manifest = model.manifest
    if manifest is None or manifest.prior is None:
        raise ArtifactError(
            f"{model.name} does not say how often it saw each emotion in training, so --prior cannot change it.",
            hint="Leave --prior out, or train the model again.",
        )
    prior = np.array([manifest.prior[label] for label in model.labels])
    return replace(model, divided_by=tuple(_factors(prior, power - manifest.prior_power).tolist()))


def _factors(prior: np.ndarray, power: float) -> np.ndarray:
    return np.maximum(prior, np.finfo(np.float32).tiny) ** power
