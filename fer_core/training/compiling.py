"""From settings to a model that is ready to train: the network, its training model, loss, optimizer and metric.

Imports Keras: only imported by training itself.
"""

import keras
import numpy as np
from keras import ops

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.data.dataset import Dataset
from fer_core.paths import Paths
from fer_core.store.artifacts import check_saveable
from fer_core.training.distillation import teachers
from fer_core.training.feed import steps_per_epoch
from fer_core.training.machine import Machine
from fer_core.training.optimizers import make_optimizer
from fer_core.training.starting import freeze_all_but_head
from fer_core.training.training_model import Augmented, is_fast, make_training_model


def built(config: TrainConfig, labels: tuple[str, ...]) -> keras.Model:
    """Returns the stock network, untrained. Raises ConfigError."""
    network = networks.build(config, labels)
    check_saveable(network)
    freeze_all_but_head(network, config)
    return network


def compiled(
    network: keras.Model, config: TrainConfig, dataset: Dataset, machine: Machine, *, paths: Paths
) -> Augmented:
    """Returns the training model of `network`, compiled, with the optimizer's variables made.

    Raises:
        ConfigError: the settings do not go with the network. ArtifactError: a teacher is not there, or does not fit.
    """
    augmentation = Augmentation(config)
    training_model = make_training_model(network, machine, any_size=bool(config.crop or config.progressive_sizes))
    asked = teachers(config, dataset, paths) if config.teacher and not config.teacher_views else []
    model = Augmented(training_model, augmentation, devices=len(machine.devices), teachers=asked)
    model.build((None, *network.input_shape[1:]))
    steps = steps_per_epoch(dataset.train, config, devices=model.devices)
    optimizer = make_optimizer(config, steps, fast=is_fast(machine))
    # Under TensorFlow, XLA makes these convolutions five to ten times slower on a CPU, and it cannot compile the warp.
    jit = machine.backend == "jax" or (machine.on_gpu and not augmentation.moves)
    loss = keras.losses.CategoricalCrossentropy()
    # The rest of the loss is what `Augmented` adds: the distance to the teachers.
    of_labels = [1 - config.teacher_weight] if asked else None
    counts = [Confusion(len(dataset.labels))]
    model.compile(optimizer=optimizer, loss=loss, loss_weights=of_labels, metrics=counts, jit_compile=jit)
    optimizer.build(model.trainable_variables)
    return model


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


def training_counts(model: keras.Model) -> np.ndarray:
    """Returns the confusion matrix of the training images of this epoch, int64 (classes, classes)."""
    metrics = (inner for metric in model.metrics for inner in getattr(metric, "metrics", [metric]))
    return next(metric for metric in metrics if isinstance(metric, Confusion)).matrix()
