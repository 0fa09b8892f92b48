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
from fer_core.errors import ConfigError
from fer_core.paths import Paths
from fer_core.store.artifacts import check_saveable
from fer_core.training.distillation import teachers
from fer_core.training.feed import steps_per_epoch
from fer_core.training.machine import Machine
from fer_core.training.training_model import Augmented, is_fast, make_training_model

_CYCLE_STARTS_AT = 1 / 25
_NOT_DECAYED = ["bias", "gamma", "beta"]


def built(config: TrainConfig, labels: tuple[str, ...]) -> keras.Model:
    """Returns the stock network, untrained; with `train_layers` 'head' only its last layer is trainable.

    Raises ConfigError.
    """
    network = networks.build(config, labels)
    check_saveable(network)
    for layer in network.layers[:-1]:
        layer.trainable = config.train_layers == "all"
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
    optimizer = make_optimizer(
        config, steps_per_epoch(dataset.train, config, devices=model.devices), fast=is_fast(machine)
    )
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(),
        # The rest of the loss is what `Augmented` adds: the distance to the teachers.
        loss_weights=[1 - config.teacher_weight] if asked else None,
        metrics=[Confusion(len(dataset.labels))],
        # Under TensorFlow, XLA makes these convolutions five to ten times slower on a CPU, and cannot compile the warp.
        jit_compile=machine.backend == "jax" or (machine.on_gpu and not augmentation.moves),
    )
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


def make_optimizer(config: TrainConfig, steps_per_epoch: int, *, fast: bool) -> keras.optimizers.Optimizer:
    """Returns the optimizer with its schedule; `fast` takes TensorFlow's fused update (same arithmetic)."""
    schedule = Schedule(config, steps_per_epoch)
    if config.optimizer not in ("adam", "adamw", "sgd"):
        raise ConfigError(f"The optimizer {config.optimizer!r} is not made here yet.", hint="Add it to make_optimizer.")
    adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
    if fast:
        from fer_core.training import fast_tensorflow

        adam, sgd = fast_tensorflow.FusedAdam, fast_tensorflow.FusedSGD
    is_sgd = config.optimizer == "sgd"
    optimizer = sgd(schedule, momentum=config.momentum, nesterov=True) if is_sgd else adam(schedule)
    if config.weight_decay:
        optimizer.weight_decay = config.weight_decay
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Warm-up, then constant, falling in steps, or down to 0 along a cosine or a line, as `TrainConfig` says.

    Source of the cosine: arXiv 1608.03983 (without restarts); of the cycle: arXiv 1708.07120 (momentum stays).
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int):
        super().__init__()
        self.config, self.steps_per_epoch = config, steps_per_epoch

    def __call__(self, step):
        """Returns the learning rate of step `step` (from 0), a float32 scalar."""
        step = ops.cast(step, "float32")
        warmup = self.config.warmup_epochs * self.steps_per_epoch
        return self.config.learning_rate * self._risen(step, warmup) * self._after_warmup(step, warmup)

    def _risen(self, step, warmup: float):
        if not warmup:
            return 1.0
        part = ops.minimum(1.0, (step + 1) / warmup)
        return 1 - (1 - _CYCLE_STARTS_AT) * _cosine(part) if self.config.schedule == "one_cycle" else part

    def _after_warmup(self, step, warmup: float):
        config = self.config
        if config.schedule == "constant":
            return 1.0
        if config.schedule == "step":
            factor = ops.ones(())
            for epoch, value in zip(config.step_epochs, config.step_factors, strict=True):
                factor = ops.where(step >= epoch * self.steps_per_epoch, value, factor)
            return factor
        total = config.epochs * self.steps_per_epoch
        part = ops.clip((step - warmup) / max(total - warmup, 1), 0.0, 1.0)
        return 1 - part if config.schedule == "linear" else _cosine(part)

    def get_config(self):
        """Returns what Keras wants to know of a schedule; a training is never rebuilt from it."""
        return {"config": self.config.model_dump(), "steps_per_epoch": self.steps_per_epoch}


def _cosine(part):
    """Returns 1 at 0, falling to 0 at 1."""
    return 0.5 * (1 + ops.cos(3.141592653589793 * part))
