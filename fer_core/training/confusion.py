"""The confusion matrix as a Keras metric: accuracy, precision, recall and macro F1 of an epoch come from it alone.

Imports Keras: only imported by training itself.
"""

import keras
import numpy as np
from keras import ops


class Confusion(keras.metrics.Metric):
    """Counts images by true class (rows) and predicted class (columns). Its result is the accuracy so far."""

    def __init__(self, classes: int):
        super().__init__(name="accuracy", dtype="float32")
        self.classes = classes
        self.counts = self.add_weight(shape=(classes, classes), initializer="zeros", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: labels and probabilities, both (batch, classes). Weights do not count.

        A mixed or distilled label counts as the class that it has most of.
        """
        truths, guesses = (ops.one_hot(ops.argmax(y, axis=-1), self.classes, dtype="float32") for y in (y_true, y_pred))
        self.counts.assign_add(ops.matmul(ops.transpose(truths), guesses))

    def result(self):
        """Returns the accuracy, a scalar."""
        return ops.trace(self.counts) / ops.maximum(ops.sum(self.counts), 1.0)

    def matrix(self) -> np.ndarray:
        """Returns the counts, int64 (classes, classes)."""
        return np.rint(np.asarray(self.counts)).astype(np.int64)
