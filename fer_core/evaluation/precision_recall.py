"""How precision falls as recall rises, for each class by itself. NumPy only; draws nothing."""

from typing import NamedTuple

import numpy as np


class PrecisionRecall(NamedTuple):
    """Precision (m,) at each recall (m,), rising, 0..1; `average_precision` is None for a class without images."""

    recall: np.ndarray
    precision: np.ndarray
    average_precision: float | None


def precision_recall(probabilities: np.ndarray, labels: np.ndarray) -> list[PrecisionRecall]:
    """Returns one curve for each class against all others, a point for every different probability that occurs.

    The average precision is the sum of precision times the step in recall, as scikit-learn's: nothing is interpolated.

    Args:
        probabilities: float (n, classes).
        labels: integers (n,), 0..classes-1.
    """
    return [_curve(column, np.asarray(labels) == number) for number, column in enumerate(np.asarray(probabilities).T)]


def _curve(scores: np.ndarray, is_class: np.ndarray) -> PrecisionRecall:
    images = int(is_class.sum())
    if images == 0:
        return PrecisionRecall(np.empty(0), np.empty(0), None)
    order = np.argsort(-scores, kind="stable")
    # Images of one probability come under any threshold together: only the last of them is a point.
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(is_class[order])[ends]
    recall, precision = hits / images, hits / (ends + 1)
    return PrecisionRecall(recall, precision, float((np.diff(recall, prepend=0.0) * precision).sum()))
