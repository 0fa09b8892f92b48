"""Scores of a classifier, each with its sample size and 95 % interval. Draws and prints nothing.

Macro averages as scikit-learn has them: what is undefined counts as 0; a class without images is left out.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from fer_core.errors import ArtifactError, DatasetError
from fer_core.store.manifest import Count, checked

Interval = tuple[float, float]
RESAMPLES = 2000
SMALLEST_PROBABILITY = 1e-7
"""As in Keras: a probability of 0 for the true class gives a loss of 16.1 instead of infinity."""


class MacroScores(NamedTuple):
    """Accuracy and macro averages, 0..1."""

    accuracy: float
    precision: float
    recall: float
    macro_f1: float


class PrecisionRecall(NamedTuple):
    """Precision (m,) at each recall (m,), rising, 0..1; `average_precision` is None for a class without images."""

    recall: np.ndarray
    precision: np.ndarray
    average_precision: float | None


class ClassScore(BaseModel):
    """How one class was recognised, 0..1; `images` is how many of it there are."""

    model_config = ConfigDict(frozen=True)

    precision: float
    recall: float
    f1: float
    images: Count


class SubsetScore(BaseModel):
    """The accuracy on a part of the split."""

    model_config = ConfigDict(frozen=True)

    images: Count
    accuracy: float
    accuracy_interval: Interval


class Evaluation(BaseModel):
    """What a model scores on one split. Intervals of 95 %: Wilson's for accuracies, for macro F1 see its function."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    split: str
    """The images' name: PublicTest, PrivateTest, test …"""
    images: Count
    loss: float
    """Mean cross-entropy of the model's own probabilities (before any temperature), without class weights and L2."""
    accuracy: float
    accuracy_interval: Interval
    precision: float
    recall: float
    macro_f1: float
    macro_f1_interval: Interval
    per_class: dict[str, ClassScore]
    """In the order of the model's outputs."""
    confusion: tuple[tuple[Count, ...], ...]
    """Images; rows are the truth, columns the predictions."""
    without_training_copies: SubsetScore | None = None
    """The score on images that do not also occur in training; None where that is not known or no image is left."""
    chosen_on: str = ""
    """A sentence: which images chose the epoch and the temperature."""
    model_sha256: str | None = None
    analysis: dict[str, Any] | None = None
    """What `analysis.py` adds to evaluation.json; `saved_analysis` reads it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the model's outputs."""
        return tuple(self.per_class)

    def to_json(self) -> dict:
        """Returns plain values that `json.dumps` takes."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, values: dict) -> "Evaluation":
        """Returns what `to_json` wrote; raises ArtifactError where a field is missing or wrong."""
        return checked(cls, values, otherwise="This is no evaluation of ours", hint="Evaluate the model again.")


def evaluate_probabilities(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    label_names: tuple[str, ...],
    split: str,
    is_training_copy: np.ndarray | None = None,
    chosen_on: str = "",
    model_sha256: str | None = None,
) -> Evaluation:
    """Returns the scores of a model's outputs.

    Args:
        probabilities: float (n, classes), each row sums to 1. ArtifactError where a value is NaN or the shape is wrong.
        labels: integers (n,), 0..classes-1. DatasetError otherwise, and where there are none.
        is_training_copy: bool (n,): the image also occurs in training; None if that is not known.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    check_outputs(probabilities, labels, label_names)
    predictions = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predictions, len(label_names))
    return Evaluation(
        split=split,
        images=len(labels),
        loss=cross_entropy(probabilities, labels),
        accuracy_interval=wilson_interval(int(np.trace(confusion)), len(labels)),
        macro_f1_interval=macro_f1_interval(confusion),
        per_class=dict(zip(label_names, class_scores(confusion), strict=True)),
        confusion=tuple(map(tuple, confusion.tolist())),
        without_training_copies=_without_copies(labels == predictions, is_training_copy),
        chosen_on=chosen_on,
        model_sha256=model_sha256,
        **summary(confusion)._asdict(),
    )


def check_outputs(probabilities: np.ndarray, labels: np.ndarray, label_names: tuple[str, ...]) -> None:
    """Raises ArtifactError unless there is a row of finite numbers for each label, DatasetError where there is none."""
    if labels.size == 0:
        raise DatasetError("There are no images to evaluate on.", hint="Give data with a test split.")
    if probabilities.shape != (labels.size, len(label_names)):
        found = " × ".join(map(str, probabilities.shape))
        expected = f"{labels.size} images × {len(label_names)} classes"
        raise ArtifactError(
            f"The model gave {found} probabilities for {expected} ({', '.join(label_names)}).",
            hint="Evaluate with data of the same classes that the model was trained on.",
        )
    bad = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if bad:
        raise ArtifactError(
            f"The model gave probabilities that are no numbers (NaN or infinite) for {bad} of {labels.size} images.",
            hint="Train again with a smaller --learning-rate, or take an earlier run.",
        )


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean negative logarithm of the true class's probability; each is taken as 1e-7 at least."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1)).mean())


def _without_copies(is_right: np.ndarray, is_training_copy: np.ndarray | None) -> SubsetScore | None:
    if is_training_copy is None or is_training_copy.all():
        return None
    rest = is_right[~is_training_copy]
    right, images = int(rest.sum()), len(rest)
    return SubsetScore(images=images, accuracy=right / images, accuracy_interval=wilson_interval(right, images))


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Returns int64 (classes, classes): images of class `row` that were taken for class `column`.

    Args:
        labels, predictions: integers (n,), 0..classes-1; anything else raises DatasetError.
    """
    from sklearn import metrics

    for values in map(np.asarray, (labels, predictions)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise DatasetError(f"Class numbers are 0 to {classes - 1}, found {values.min()} to {values.max()}.")
    return metrics.confusion_matrix(labels, predictions, labels=np.arange(classes))


def summary(confusion: np.ndarray) -> MacroScores:
    """Returns accuracy and macro averages of a confusion matrix (rows are the truth); zeros if it is empty."""
    if not confusion.any():
        return MacroScores(0.0, 0.0, 0.0, 0.0)
    accuracy = np.trace(confusion) / confusion.sum()
    measured = np.flatnonzero(confusion.sum(axis=1))
    return MacroScores(float(accuracy), *map(float, _averaged(confusion, average="macro", labels=measured)[:3]))


def class_scores(confusion: np.ndarray) -> list[ClassScore]:
    """Returns one score per class of a confusion matrix (rows are the truth); what is undefined is 0."""
    columns = _averaged(confusion, average=None, labels=np.arange(len(confusion)))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [ClassScore(precision=row[0], recall=row[1], f1=row[2], images=int(row[3])) for row in rows]


def _averaged(confusion: np.ndarray, **options: Any) -> tuple:
    """Returns precision, recall, F1 and images of a confusion matrix, as scikit-learn has them."""
    from sklearn.metrics import precision_recall_fscore_support

    truth, predicted = np.nonzero(confusion)
    counts = confusion[truth, predicted]
    return precision_recall_fscore_support(truth, predicted, sample_weight=counts, zero_division=0, **options)


def precision_recall(probabilities: np.ndarray, labels: np.ndarray) -> list[PrecisionRecall]:
    """Returns one curve for each class against all others, a point for every different probability that occurs.

    Args:
        probabilities: float (n, classes). labels: integers (n,), 0..classes-1.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    curves = []
    for number, column in enumerate(probabilities.T):
        is_class = labels == number
        if not is_class.any():
            curves.append(PrecisionRecall(np.empty(0), np.empty(0), None))
            continue
        # scikit-learn's curve falls, and ends with a point of its own at a recall of 0.
        precision, recall = (values[-2::-1] for values in precision_recall_curve(is_class, column)[:2])
        curves.append(PrecisionRecall(recall, precision, float(average_precision_score(is_class, column))))
    return curves


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Returns Wilson's interval of the share `successes / n` (Wilson 1927); (0, 1) where nothing was observed."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    low, high = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(low), float(high)


def difference_interval(first: tuple[float, Interval], second: tuple[float, Interval]) -> Interval:
    """Returns the interval of the first score minus the second (Newcombe 1998, his tenth method; Zou and Donner 2008).

    Args:
        first, second: each with its own interval, of two different sets of images.
    """
    (one, (low_one, high_one)), (other, (low_other, high_other)) = first, second
    gap = one - other
    return gap - math.hypot(one - low_one, high_other - other), gap + math.hypot(high_one - one, other - low_other)


def macro_f1_interval(confusion: np.ndarray, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Returns the interval of macro F1: by bootstrap, and for classes that are always or never right by Wilson's.

    Drawing the images again never draws an error that was not made, so it knows no spread of such classes. The two are
    put together as in Zou and Donner 2008.
    """
    confusion = np.asarray(confusion)
    low, high = _bootstrap_interval(confusion, confidence=confidence, seed=seed)
    scores = [score for score in class_scores(confusion) if score.f1 in (0, 1) and score.images]
    if not scores:
        return low, high
    middle = summary(confusion).macro_f1
    ends = np.array([wilson_interval(round(score.f1) * score.images, score.images, confidence) for score in scores])
    spreads = np.abs(ends - [[score.f1] for score in scores]) / np.count_nonzero(confusion.sum(axis=1))
    down, up = math.hypot(middle - low, *spreads[:, 0]), math.hypot(high - middle, *spreads[:, 1])
    return max(0.0, middle - down), min(1.0, middle + up)


def _bootstrap_interval(confusion: np.ndarray, *, confidence: float, seed: int) -> Interval:
    """Returns the interval from drawing the images again with replacement, 2,000 times.

    Drawing images is drawing cells of the confusion matrix from a multinomial, which takes milliseconds.
    """
    images = int(confusion.sum())
    if images == 0:
        return 0.0, 1.0
    truths, guesses = np.nonzero(confusion)
    shares = confusion[truths, guesses] / images
    drawn = np.random.default_rng(seed).multinomial(images, shares, size=RESAMPLES)
    outside = (1 - confidence) / 2
    scores = resampled_scores(drawn, truths, guesses, len(confusion))[:, 0]
    return tuple(np.quantile(scores, (outside, 1 - outside)).tolist())


def resampled_scores(counts: np.ndarray, truths: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    """Returns macro F1 and the recall of each class of many resamples at once, float64 (resamples, 1 + classes).

    Args:
        counts: (resamples, cells), how many images of each cell were drawn.
        truths, guesses: integers (cells,), what those images are and what they are taken for.
    """
    of_truth, of_guess = np.eye(classes)[truths], np.eye(classes)[guesses]
    images, guessed, right = counts @ of_truth, counts @ of_guess, counts @ (of_truth * of_guess)
    recall, f1 = (
        np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
        for part, whole in ((right, images), (2 * right, images + guessed))
    )
    measured = np.isin(np.arange(classes), truths)
    macro_f1 = f1[:, measured].sum(axis=1) / np.maximum((images + guessed > 0)[:, measured].sum(axis=1), 1)
    return np.column_stack([macro_f1, recall])
