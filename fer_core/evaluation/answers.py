"""What a model answers on the test images, in its own order of classes, with the temperature that calibrates it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fer_core.data.dataset import Dataset, Split
from fer_core.errors import ArtifactError
from fer_core.evaluation.analysis_data import Copies, class_numbers, copies_in_test, remark_on, training_hashes
from fer_core.evaluation.calibration import ENOUGH_IMAGES, MANY_IMAGES, meaning_of, useful_temperature, with_temperature
from fer_core.evaluation.metrics import check_outputs
from fer_core.store.model_files import ModelFiles

Classify = Callable[[Split], np.ndarray]
"""Returns the model's probabilities, float32 (images, classes), in the order of the split and of its outputs."""

SAME_TEMPERATURE = 0.02
"""Two temperatures that differ by less give the same percentages."""

_OWN = "so the temperature is the model's own."


class Temperature(NamedTuple):
    """A temperature, and which images chose it."""

    value: float
    message: str


@dataclass(frozen=True)
class Answers:
    """Outputs float32 (n, classes) on the test images, the truth int64 (n,) as positions in the model's labels."""

    outputs: np.ndarray
    truth: np.ndarray
    temperature: Temperature
    copies: Copies
    chosen_on: str
    remark: str

    @cached_property
    def predictions(self) -> np.ndarray:
        """The most probable classes, int64 (n,)."""
        return self.outputs.argmax(axis=1)

    @cached_property
    def calibrated(self) -> np.ndarray:
        """The outputs after temperature scaling, float32 (n, classes)."""
        return with_temperature(self.outputs, self.temperature.value)


def answers_of(model: ModelFiles, dataset: Dataset, probabilities: Classify) -> Answers:
    """Returns what the model says of the test images. Raises DatasetError, ArtifactError as `analyse` does."""
    numbers = class_numbers(model.labels, dataset.labels)
    remark = remark_on(model.manifest, dataset)
    scores = model.manifest.scores if model.manifest and not remark else None
    return Answers(
        outputs=_probabilities(model, dataset.test, probabilities),
        truth=numbers[dataset.test.labels],
        temperature=_temperature(model, dataset, probabilities, numbers),
        copies=copies_in_test(model, dataset),
        chosen_on=str((scores or {}).get("chosen_on", "")),
        remark=remark,
    )


def _temperature(model: ModelFiles, dataset: Dataset, probabilities: Classify, numbers: np.ndarray) -> Temperature:
    part = dataset.validation
    if part is None or part is dataset.test:
        which = "There are no validation images" if part is None else "The validation images are the test images"
        return Temperature(model.temperature, f"{which}, {_OWN}")
    unseen, caveat = _unseen(model, dataset)
    if unseen.sum() < min(ENOUGH_IMAGES, len(part)):
        return Temperature(model.temperature, f"{part.name} may be known from training, {_OWN}")
    value = useful_temperature(_probabilities(model, part, probabilities)[unseen], numbers[part.labels][unseen])
    sentence = fitted_on(value, int(unseen.sum()), f"{part.name}{caveat}")
    is_same = abs(value - model.temperature) <= SAME_TEMPERATURE
    return Temperature(value, f"{sentence}." if is_same else f"{sentence}; readings use {model.temperature:.2f}.")


def fitted_on(temperature: float, images: int, part: str) -> str:
    """Returns, without its full stop, the sentence of how many images of which part chose a temperature."""
    of_part = f"{images:,} images of {part}"
    if temperature != 1:
        return f"The temperature was fitted on {of_part}"
    few = f"; at least {MANY_IMAGES:,} would tell more" if images < MANY_IMAGES else ""
    return f"The temperature stays 1, since no other one surely helps on {of_part}{few}"


def _unseen(model: ModelFiles, dataset: Dataset) -> tuple[np.ndarray, str]:
    """Returns which validation images were not trained on, bool (n,), and a remark on them."""
    part = dataset.validation
    if model.manifest is None:
        return np.ones(len(part), bool), ", which is too low if the model was trained on them"
    if model.manifest.split_fingerprint == dataset.split_fingerprint:
        return np.ones(len(part), bool), ""
    seen = training_hashes(model, dataset)
    if seen is None:
        return np.zeros(len(part), bool), ""
    return ~np.isin(part.hashes, seen), " that do not occur in training"


def _probabilities(model: ModelFiles, part: Split, probabilities: Classify) -> np.ndarray:
    """Returns the outputs; a model from elsewhere may end without softmax, and its scores look like confidences."""
    outputs = np.asarray(probabilities(part), np.float32)
    check_outputs(outputs, part.labels, model.labels)
    if meaning_of(outputs) != "probabilities":
        sums = outputs.sum(axis=1)
        raise ArtifactError(
            f"The outputs of {model.name} are no probabilities: they are {outputs.min():.2f} to {outputs.max():.2f}, "
            f"and add up to {sums.min():.2f} to {sums.max():.2f}.",
            hint="Its last layer must be a softmax.",
        )
    return outputs
