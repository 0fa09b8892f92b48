"""Probabilities from a model's outputs, how far they can be believed, and what makes them more so.

One temperature: Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599).

The prior, how often a model saw each class in training: a network that saw neutral faces most says neutral when in
doubt. Its probabilities divided by a power of the prior find rare emotions more often: a power of 0 leaves them, 1
takes all classes for equally frequent. Menon and others 2021, "Long-tail learning via logit adjustment"
(arXiv 2007.07314), there of logits.

Leaving unsure answers out: how often a model is right, by how much of the images it answers. Geifman and El-Yaniv 2017,
"Selective Classification for Deep Neural Networks" (arXiv 1705.08500).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from fer_core.errors import ArtifactError, DatasetError

if TYPE_CHECKING:
    from fer_core.data.dataset import Split
    from fer_core.store.model_files import ModelFiles

Outputs = Literal["probabilities", "scores", "logits"]

BINS = 15  # of equal width, as in the paper
COLDEST, HOTTEST = 0.25, 10.0
"""A few validation images that are all right (or all wrong) would ask for a temperature of 0 (or infinity)."""

_SUM_TOLERANCE = 1e-2
_SMALLEST = float(np.finfo(np.float32).tiny)  # float32 rounds what is less to 0, of which there is no logarithm
_HALVINGS = 60
IMAGINED = 20  # images that speak for a temperature of 1
ENOUGH_IMAGES, MANY_IMAGES = 100, 2000
"""Of validation: fewer than the first tell nothing; with fewer than the second, only a clear gain counts."""

_FOLDS = 5
_CLEAR = 3.0
"""Standard errors. Of two networks with 861 images each, gains of 2.5 and 2.2 were those images' own: both became worse
calibrated on others."""

RIGHT = 0.85
"""So many of the answers that are not unsure shall be right."""
_POINTS = 50
POWERS = np.linspace(0, 1, 21)


class Bin(NamedTuple):
    """The images of one range of confidences; 0.0 where there are none."""

    confidence: float
    """Mean of the highest probabilities, 0..1."""
    accuracy: float
    """Share of the images that are right, 0..1."""
    images: int


def meaning_of(outputs: np.ndarray) -> Outputs:
    """Returns what a model's outputs (float (n, labels)) are: probabilities, scores that do not sum to 1, or logits."""
    if outputs.min() < 0 or outputs.max() > 1 + _SUM_TOLERANCE:
        return "logits"
    sums = outputs.sum(axis=1)
    return "probabilities" if np.abs(sums - 1).max() <= _SUM_TOLERANCE else "scores"


def as_probabilities(outputs: np.ndarray, meaning: Outputs) -> np.ndarray:
    """Returns probabilities, float32 (n, labels), of outputs that mean this: a model from elsewhere may give others."""
    if meaning == "scores":
        return outputs / np.maximum(outputs.sum(axis=1, keepdims=True), np.float32(1e-9))
    return _softmax(outputs) if meaning == "logits" else outputs


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns softmax(logits / temperature), from softmax(logits): float32 of the same shape.

    Above 1 the confidence falls, below it rises; the most probable class stays the same.

    Args:
        probabilities: float (..., classes), each row sums to 1.

    Raises:
        ArtifactError: the temperature is no positive number.
    """
    probabilities = np.asarray(probabilities, np.float32)
    if not (math.isfinite(temperature) and temperature > 0):
        raise ArtifactError(
            f"The model's temperature is {temperature}; it must be above 0.", hint="Train the model again."
        )
    if temperature == 1:
        return probabilities
    return _softmax(_logits(probabilities) / temperature).astype(np.float32)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Returns the temperature with the lowest negative log-likelihood, 0.25 to 10: fit it on validation images only.

    Beside the images stand some imagined ones for which the confidence is right as it is: a few images say little.

    Args:
        probabilities: float (n, classes), each row sums to 1.
        labels: integers (n,), 0..classes-1. DatasetError where there are none.
    """
    labels = np.asarray(labels)
    if labels.size == 0:
        raise DatasetError("There are no images to fit a temperature on.", hint="Give data with validation images.")
    logits = _logits(np.asarray(probabilities))
    logits -= logits.max(axis=1, keepdims=True)
    of_truth = logits[np.arange(len(labels)), labels].sum()
    mean_of_truth = (of_truth + IMAGINED * _mean_expected(logits, 1.0)) / (len(labels) + IMAGINED)
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # The log-likelihood is concave in 1 / T, so its slope changes its sign once.
        if _mean_expected(logits, middle) < mean_of_truth:
            low = middle
        else:
            high = middle
    return float(2 / (low + high))


def useful_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Returns the fitted temperature if it helps on images that it was not fitted on, otherwise 1.0.

    That is found by cross-validation over five parts. Of few images, a gain that may be chance does not count.

    Args:
        probabilities, labels: of validation images, as `fit_temperature` takes them.
    """
    if 0 < len(labels) < ENOUGH_IMAGES:
        return 1.0
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    temperature = fit_temperature(probabilities, labels)
    order = np.random.default_rng(0).permutation(len(labels))
    gains = np.empty(len(labels))
    for fold in np.array_split(order, _FOLDS):
        others, rows = np.setdiff1d(order, fold), (np.arange(len(fold)), labels[fold])
        tempered = with_temperature(probabilities[fold], fit_temperature(probabilities[others], labels[others]))
        gains[fold] = _logits(tempered)[rows] - _logits(probabilities[fold])[rows]
    chance = _CLEAR * gains.std() / math.sqrt(len(gains)) if len(gains) < MANY_IMAGES else 0.0
    return temperature if gains.mean() > chance else 1.0


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Returns, for equally wide ranges of confidence from 0 to 1, how confident the model was and how often right."""
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    images, confidences, rights = (
        np.bincount(places, weights=weights, minlength=bins) for weights in (None, confidence, is_right)
    )
    whole = np.maximum(images, 1)
    columns = (confidences / whole, rights / whole, images)
    return [Bin(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def fitted_on(temperature: float, images: int, part: str) -> str:
    """Returns, without its full stop, the sentence of how many images of which part chose a temperature."""
    of_part = f"{images:,} images of {part}"
    if temperature != 1:
        return f"The temperature was fitted on {of_part}"
    few = f"; at least {MANY_IMAGES:,} would tell more" if images < MANY_IMAGES else ""
    return f"The temperature stays 1, since no other one surely helps on {of_part}{few}"


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Returns the mean gap between confidence and accuracy over the bins, weighted by their images: 0 is perfect.

    "ECE" of the paper, of the highest probability alone, in 15 bins of equal width by default.
    """
    return error_of(reliability(probabilities, labels, bins))


def error_of(bins: list[Bin]) -> float:
    """Returns the expected calibration error of these bins; 0.0 without any image."""
    images = sum(part.images for part in bins)
    return sum(part.images * abs(part.accuracy - part.confidence) for part in bins) / max(images, 1)


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


def prior_of(train: "Split", class_weights: np.ndarray, *, is_of_votes: bool) -> np.ndarray:
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


def with_prior(model: "ModelFiles", power: float) -> "ModelFiles":
    """Returns the model, to be used with its prior taken out to this power instead of the one it has been saved with.

    Raises:
        ArtifactError: it does not say what it was trained on.
    """
    manifest = model.manifest
    if manifest is None or manifest.prior is None or not manifest.prior.keys() >= set(model.labels):
        raise ArtifactError(
            f"{model.name} does not say how often it saw each emotion in training, so --prior cannot change it.",
            hint="Leave --prior out, or train the model again.",
        )
    prior = np.array([manifest.prior[label] for label in model.labels])
    return replace(model, divided_by=tuple(_factors(prior, power - manifest.prior_power).tolist()))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Returns the logits but for a constant per row, float64."""
    return np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))


def _mean_expected(logits: np.ndarray, inverse_temperature: float) -> float:
    """Returns the mean over the images of the logit that the tempered model expects: the slope's other half."""
    weights = np.exp(inverse_temperature * logits)
    return float(((weights * logits).sum(axis=1) / weights.sum(axis=1)).mean())


def _factors(prior: np.ndarray, power: float) -> np.ndarray:
    return np.maximum(prior, np.finfo(np.float32).tiny) ** power
