"""Asks a model about many images: Keras in batches of one size (one compiled step), small runtimes side by side."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.views import view

if TYPE_CHECKING:
    import keras

    from fer_core.data.dataset import Split

BATCH = 256


def predict(model: "keras.Model", split: "Split", *, devices: int = 1) -> np.ndarray:
    """Returns the model's probabilities, float32 (images, labels), in the order of the split."""
    size = -(-BATCH // devices) * devices
    answers = []
    for start in range(0, len(split), size):
        images = split.images(slice(start, start + size))
        padded = np.pad(images, [(0, size - len(images)), (0, 0), (0, 0), (0, 0)])
        answers.append(np.asarray(model.predict_on_batch(padded), np.float32)[: len(images)])
    return np.concatenate(answers)


def predict_side_by_side(classifiers: Sequence[Callable[[np.ndarray], np.ndarray]], split: "Split") -> np.ndarray:
    """Returns probabilities, float32 (images, labels), in the order of the split; each classifier has its own thread.

    Args:
        classifiers: of one model, e.g. `[LiteRTModel(path).probabilities for _ in range(cores)]`; each takes uint8
            (n, side, side, channels).
    """
    shares = [share for share in np.array_split(np.arange(len(split)), len(classifiers)) if len(share)]
    with ThreadPoolExecutor(len(classifiers)) as pool:
        return np.concatenate(list(pool.map(partial(_share, split), classifiers, shares)))


def over_views(classify: Callable[[np.ndarray], np.ndarray], count: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a classifier that answers with the mean of the probabilities of the first `count` fixed views."""
    if count == 1:
        return classify
    return lambda images: np.mean([classify(view(images, number)) for number in range(count)], axis=0)


def _share(split: "Split", ask: Callable[[np.ndarray], np.ndarray], positions: np.ndarray) -> np.ndarray:
    parts = np.array_split(positions, -(-len(positions) // BATCH))
    return np.concatenate([ask(split.images(part)) for part in parts])
