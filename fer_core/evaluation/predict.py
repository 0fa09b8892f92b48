"""Asks a Keras model about many images, in batches of one size (one compiled step; every device gets its share)."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

    from fer_core.data.dataset import Split

BATCH = 256


def predict(model: "keras.Model", split: "Split", *, devices: int = 1) -> np.ndarray:
    """Returns the model's probabilities, float32 (images, labels), in the order of the split."""
    size = -(-BATCH // devices) * devices
    starts = range(0, len(split), size)
    return np.concatenate([_batch(model, split.images(slice(start, start + size)), size) for start in starts])


def _batch(model: "keras.Model", images: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(images)
    padded = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else images
    return np.asarray(model.predict_on_batch(padded), np.float32)[: len(images)]
