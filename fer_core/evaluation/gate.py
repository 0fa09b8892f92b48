"""The gate of a retraining: whether another model is measurably better than the one in use, and why or why not.

On images that are drawn again in pairs (Efron and Tibshirani 1993): what is easy or hard for both cancels out.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fer_core.evaluation import metrics
from fer_core.evaluation.calibration import expected_calibration_error
from fer_core.evaluation.metrics import Interval, wilson_interval

ENOUGH_DIFFERENT = 6
"""Images that the two answer differently. Five that all speak for one of them are chance in 6 % of cases (sign test),
and drawn again they hardly ever speak for the other one."""


class Limits(NamedTuple):
    """What counts as better. All but `confidence` are differences of scores, 0..1."""

    min_gain: float
    """The interval of the gain in macro F1 must lie above this."""
    max_recall_loss: float
    """No class's recall may have an interval that lies wholly further below zero than this."""
    max_calibration_loss: float
    """So much may the expected calibration error rise."""
    confidence: float
    """Of the intervals."""


class Difference(NamedTuple):
    """One score of the model in use and of the challenger, 0..1, and the interval of challenger minus model in use."""

    champion: float
    challenger: float
    interval: Interval

    def sentence(self) -> str:
        """Returns the difference for people: 61.0 % to 64.2 % (+3.2 points, interval +1.1 to +5.2)."""
        low, high = self.interval
        gain = f"{_points(self.challenger - self.champion)} points"
        return f"{self.champion:.1%} to {self.challenger:.1%} ({gain}, interval {_points(low)} to {_points(high)})"


class Comparison(NamedTuple):
    """The differences of macro F1 and of each class's recall."""

    macro_f1: Difference
    recall: tuple[Difference, ...]


class Verdict(NamedTuple):
    """Whether the challenger is better, the sentences that say why or why not, and the figures as JSON takes them."""

    better: bool
    reasons: tuple[str, ...]
    figures: dict[str, Any]


def judge(
    truth: np.ndarray,
    champion: np.ndarray,
    challenger: np.ndarray,
    *,
    labels: Sequence[str],
    limits: Limits,
    seed: int = 0,
) -> Verdict:
    """Returns whether the challenger is measurably better than the champion, the model in use.

    Args:
        truth: integers (n,), positions in `labels`.
        champion, challenger: calibrated probabilities, float (n, classes), of the same images, columns as `labels`.
        seed: of the images that are drawn; the same one gives the same verdict.
    """
    missing = ", ".join(label for number, label in enumerate(labels) if not (truth == number).any())
    if missing:
        return Verdict(False, (f"No image of {missing} is left to compare the two on.",), {"images": len(truth)})
    answers = (champion.argmax(axis=1), challenger.argmax(axis=1))
    found = compare(truth, *answers, classes=len(labels), confidence=limits.confidence, seed=seed)
    errors = (expected_calibration_error(champion, truth), expected_calibration_error(challenger, truth))
    figures = {
        "macro_f1": found.macro_f1._asdict(),
        "recall": {label: recall._asdict() for label, recall in zip(labels, found.recall, strict=True)},
        "calibration_error": {"champion": errors[0], "challenger": errors[1]},
        "limits": limits._asdict(),
        "resamples": metrics.RESAMPLES,
        "images": len(truth),
        "seed": seed,
    }
    objections = tuple(_objections(found, errors, labels, limits))
    gain = f"Macro F1 rises from {found.macro_f1.sentence()} on {len(truth):,} images; no class is measurably worse."
    return Verdict(not objections, objections or (gain,), figures)


def compare(
    truth: np.ndarray, champion: np.ndarray, challenger: np.ndarray, *, classes: int, confidence: float, seed: int
) -> Comparison:
    """Returns how two models' predictions differ, with intervals from drawing the images 2,000 times.

    What counts in an image is its cell (truth, one prediction, other prediction): to draw images is to draw cells from
    a multinomial, which takes milliseconds. Where the two answer hardly any image differently, the intervals are
    Newcombe's for two sets of images, which are wider.

    Args:
        truth, champion, challenger: integers (n,), 0..classes-1.
    """
    shape = (classes, classes, classes)
    cells, counts = np.unique(np.ravel_multi_index((truth, champion, challenger), shape), return_counts=True)
    truths, *guesses = np.unravel_index(cells, shape)
    drawn = np.random.default_rng(seed).multinomial(len(truth), counts / len(truth), size=metrics.RESAMPLES)
    # The first row is what was seen, so that it is scored in the same way as what was drawn.
    rows = np.concatenate([counts[np.newaxis], drawn]).astype(np.float64)
    first, second = (metrics.resampled_scores(rows, truths, of_model, classes) for of_model in guesses)
    outside = (1 - confidence) / 2
    low, high = np.quantile((second - first)[1:], (outside, 1 - outside), axis=0)
    differences = [
        Difference(float(one), float(other), (float(least), float(most)))
        for one, other, least, most in zip(first[0], second[0], low, high, strict=True)
    ]
    alike = _intervals_where_alike(truth, champion, challenger, classes=classes, confidence=confidence)
    of_macro_f1, *recall = (
        one._replace(interval=alike.get(place, one.interval)) for place, one in enumerate(differences)
    )
    return Comparison(of_macro_f1, tuple(recall))


def _intervals_where_alike(
    truth: np.ndarray, champion: np.ndarray, challenger: np.ndarray, *, classes: int, confidence: float
) -> dict[int, Interval]:
    """Returns Newcombe's intervals where the two answer hardly any image differently, so that drawing shows no spread.

    By place: 0 for macro F1, 1 and the class's number for a recall.
    """
    is_different = np.bincount(truth[champion != challenger], minlength=classes)
    matrices = [metrics.confusion_matrix(truth, predictions, classes) for predictions in (challenger, champion)]
    intervals = {}
    if is_different.sum() < ENOUGH_DIFFERENT:
        scores = (
            (metrics.summary(one).macro_f1, metrics.macro_f1_interval(one, confidence=confidence)) for one in matrices
        )
        intervals[0] = metrics.difference_interval(*scores)
    for number in np.flatnonzero(is_different < ENOUGH_DIFFERENT):
        found = [(int(one[number, number]), int(one[number].sum())) for one in matrices]
        shares = ((right / max(images, 1), wilson_interval(right, images, confidence)) for right, images in found)
        intervals[1 + int(number)] = metrics.difference_interval(*shares)
    return intervals


def _objections(found: Comparison, errors: tuple[float, float], labels: Sequence[str], limits: Limits) -> Iterator[str]:
    if found.macro_f1.interval[0] <= limits.min_gain:
        wanted = f" by more than {_points(limits.min_gain)} points" if limits.min_gain else ""
        yield f"Macro F1 is not measurably higher{wanted}: {found.macro_f1.sentence()}."
    for label, recall in zip(labels, found.recall, strict=True):
        if recall.champion > 0 and recall.challenger == 0:
            yield f"The class {label} is lost: none of its images is recognised any more."
        elif recall.interval[1] < -limits.max_recall_loss:
            yield f"The recall of {label} falls from {recall.sentence()}."
    if errors[1] - errors[0] > limits.max_calibration_loss:
        yield (
            f"Calibration is worse: the expected calibration error rises from {errors[0]:.3f} to {errors[1]:.3f}, "
            f"by more than {limits.max_calibration_loss:g}."
        )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
