"""Labels that are probably wrong, by confident learning: a network that never saw an image disagrees with its label."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SuspiciousLabel:
    """An image whose label is probably wrong. `confidence` is the probability (0..1) of its own label, `prediction`
    the label that is most probable, with `probability`."""

    name: str
    label: str
    confidence: float
    prediction: str
    probability: float


def suspicious_labels(
    probabilities: np.ndarray, labels: np.ndarray, *, names: list[str], label_names: tuple[str, ...]
) -> list[SuspiciousLabel]:
    """Returns the images whose labels are probably wrong, the most suspicious first.

    Source: Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv 1911.00068, through
    the library cleanlab: as many of each class as its joint distribution of given and true labels says, by confidence.

    Args:
        probabilities: float (n, labels), of networks that were not trained on the image (out of fold).
        labels: int64 (n,), each class at least once.
    """
    from cleanlab.filter import find_label_issues

    sums = probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    ranked = find_label_issues(labels, probabilities / sums, return_indices_ranked_by="self_confidence", n_jobs=1)
    best = probabilities.argmax(axis=1)
    return [
        SuspiciousLabel(
            name=names[i],
            label=label_names[labels[i]],
            confidence=float(probabilities[i, labels[i]]),
            prediction=label_names[best[i]],
            probability=float(probabilities[i, best[i]]),
        )
        for i in ranked
    ]
