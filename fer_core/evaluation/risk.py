"""What a model is worth where it may be unsure: how often it is right, by how much of the images it answers.

Source: Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks" (arXiv 1705.08500).
"""

from typing import NamedTuple

import numpy as np

RIGHT = 0.85
"""So many of the answers that are not unsure shall be right."""
_POINTS = 50


class Answered(NamedTuple):
    """The images whose confidence is at least the threshold."""

    threshold: float
    coverage: float
    """Their share of all images, 0..1."""
    accuracy: float
    """The share of them that is right, 0..1."""


def risk_coverage(probabilities: np.ndarray, labels: np.ndarray) -> list[Answered]:
    """Returns a row for each confidence that occurs, the surest first, so that coverage rises to 1.

    Args:
        probabilities: float (n, classes), calibrated. labels: integers (n,), 0..classes-1.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(probabilities.argmax(axis=1)[order] == labels[order])
    # Images of the same confidence are answered together, or not at all.
    ends = np.flatnonzero(np.diff(confidence[order], append=-1.0))
    images = ends + 1
    columns = (confidence[order][ends], images / len(labels), right[ends] / images)
    return [Answered(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def answered_at(rows: list[Answered], right: float = RIGHT) -> Answered | None:
    """Returns the row with the most images of which this share is right; None where there is none."""
    return next((row for row in reversed(rows) if row.accuracy >= right), None)


def thinned(rows: list[Answered]) -> list[Answered]:
    """Returns about fifty rows, evenly over the images: enough to draw."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(_POINTS, len(rows))).round().astype(int))
    return [rows[place] for place in places]
