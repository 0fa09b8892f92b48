"""Weights of the classes in the loss. NumPy only, so that a command line can check them before Keras is imported."""

import numpy as np

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError, did_you_mean


def class_weights(config: TrainConfig, train_labels: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Returns a weight for each label, float32 (labels,).

    'balanced' is n / (classes x images of the class), as in scikit-learn.

    Args:
        train_labels: integers (n,), 0..labels-1, every class at least once.

    Raises:
        ConfigError: for a weight of a class that the data does not have.
    """
    if config.class_weights == "balanced":
        counts = np.bincount(train_labels, minlength=len(labels))
        return (len(train_labels) / (len(labels) * counts)).astype(np.float32)
    table = config.class_weight_table()
    unknown = next((name for name in table if name not in labels), None)
    if unknown is not None:
        raise ConfigError(
            f"class_weights names {unknown!r}; the data has no such class.", hint=did_you_mean(unknown, labels)
        )
    return np.array([table.get(label, 1.0) for label in labels], np.float32)
