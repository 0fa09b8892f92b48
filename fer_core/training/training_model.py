"""The training model: the network with its loss, optimizer and metric, in the form that trains fastest here.

What is built is stock Keras in float32, and so is what is saved; in between, the training model has the precision of
the run and, on TensorFlow's CPU, faster layers. Imports Keras: only imported by training itself.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.data.dataset import Dataset
from fer_core.errors import ConfigError
from fer_core.paths import Paths
from fer_core.training.callbacks import Confusion
from fer_core.training.distillation import Teacher, teachers
from fer_core.training.feed import steps_per_epoch
from fer_core.training.machine import Machine
from fer_core.training.starting import Stage, choose_layers, stages

_CYCLE_STARTS_AT = 1 / 25
_NOT_DECAYED = ["bias", "gamma", "beta"]


def built(config: TrainConfig, labels: tuple[str, ...]) -> keras.Model:
    """Returns the stock network, untrained; with `train_layers` 'head' only its last layer is trainable.

    Raises ConfigError.
    """
    network = networks.build(config, labels)
    for layer in network.layers[:-1]:
        layer.trainable = config.train_layers == "all"
    return network


def compiled(
    network: keras.Model,
    config: TrainConfig,
    dataset: Dataset,
    machine: Machine,
    *,
    paths: Paths,
    stage: Stage | None = None,
) -> "Augmented":
    """Returns the training model of `network`, compiled, with the optimizer's variables made.

    `stage`: the last one if None.

    Raises:
        ConfigError: the settings do not go with the network. ArtifactError: a teacher is not there, or does not fit.
    """
    augmentation, devices = Augmentation(config), len(machine.devices)
    training_model = make_training_model(network, machine, any_size=bool(config.crop or config.progressive_sizes))
    asked = teachers(config, dataset, paths) if config.teacher and not config.teacher_views else []
    asked = [teacher._replace(model=make_training_model(teacher.model, machine)) for teacher in asked]
    model = Augmented(training_model, augmentation, devices=devices, teachers=asked)
    model.build((None, *network.input_shape[1:]))
    compile_for(model, stage or stages(config)[-1], config, dataset, machine)
    return model


def compile_for(model: "Augmented", stage: Stage, config: TrainConfig, dataset: Dataset, machine: Machine) -> None:
    """Gives the training model what a stage of the training needs: its layers, and a new optimizer."""
    choose_layers(model.network, config, stage)
    steps = steps_per_epoch(dataset.train, config, devices=model.devices)
    optimizer = make_optimizer(stage.config, steps, fast=is_fast(machine))
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(),
        # The rest of the loss is what `Augmented` adds: the distance to the teachers.
        loss_weights=[1 - config.teacher_weight] if model.teachers else None,
        metrics=[Confusion(len(dataset.labels))],
        # Under TensorFlow, XLA makes these convolutions five to ten times slower on a CPU, and cannot compile the warp.
        jit_compile=machine.backend == "jax" or (machine.on_gpu and not model.augmentation.moves),
    )
    optimizer.build(model.trainable_variables)


def make_optimizer(config: TrainConfig, steps_per_epoch: int, *, fast: bool) -> keras.optimizers.Optimizer:
    """Returns the optimizer with its schedule; `fast` takes TensorFlow's fused update (same arithmetic)."""
    schedule = Schedule(config, steps_per_epoch)
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
        risen = ops.minimum(1.0, (step + 1) / warmup) if warmup else 1.0
        if warmup and self.config.schedule == "one_cycle":
            risen = 1 - (1 - _CYCLE_STARTS_AT) * _cosine(risen)
        return self.config.learning_rate * risen * self._after_warmup(step, warmup)

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


class Augmented(keras.Model):
    """The network behind what only training sees: augmentation, mixup, size, teachers, the average of its weights.

    Takes pixels 0..255 (batch, side, side, channels); while training with mixup, what `TrainingBatches` gives.
    """

    def __init__(
        self, network: keras.Model, augmentation: Augmentation, *, devices: int = 1, teachers: Sequence[Teacher] = ()
    ):
        """`teachers` predict for every picture that the network is trained on."""
        super().__init__(name="augmented")
        self.devices = devices
        self.augmentation = augmentation
        self.network = network
        self.teachers = [teacher.model for teacher in teachers]
        self._temperatures = tuple(teacher.temperature for teacher in teachers)
        self.average = MovingAverage(network, augmentation.config.ema) if augmentation.config.ema else None
        self._config = augmentation.config
        self._side = None

    def build(self, input_shape):
        """Has nothing to make: the network has its weights."""
        self.built = True

    def begin_epoch(self, epoch: int) -> None:
        """Sets strength and size of the pictures for this epoch (from 1)."""
        self.augmentation.begin_epoch(epoch)
        side = side_of(self._config, epoch)
        if side != self._side:
            # The size is a constant of the compiled step, which is compiled again with the next batch.
            self._side = side
            self.make_train_function(force=True)

    def call(self, inputs, training=False):
        """Returns probabilities (batch, labels), float32."""
        mixes = isinstance(inputs, dict)
        pixels = self.augmentation(inputs["pixels"] if mixes else inputs, training=training)
        if not training:
            return self.network(pixels, training=False)
        if self.average is not None:
            self.average.update()
        if mixes:
            # Under TensorFlow a device sees its part of the batch alone, under JAX the whole; partners are of the same.
            partner = inputs["partner"] % ops.shape(pixels)[0]
            share = ops.reshape(ops.cast(inputs["share"], "float32"), (-1, 1, 1, 1))
            pixels = share * pixels + (1 - share) * ops.take(pixels, partner, axis=0)
        small = _resized(pixels, self._side) if self._side else pixels
        predictions = self.network(small, training=True)
        if self.teachers:
            self.add_loss(self._config.teacher_weight * self._distance_to_teachers(pixels, predictions))
        return predictions

    def _distance_to_teachers(self, pixels, predictions):
        """Returns the cross-entropy with what the teachers predict for the same pictures, a scalar.

        Without class weights: they are about the labels that the data has.
        """
        pixels = _resized(pixels, self.teachers[0].input_shape[1])
        each = zip(self.teachers, self._temperatures, strict=True)
        answers = [(ops.cast(model(pixels, training=False), "float32"), temperature) for model, temperature in each]
        smallest = keras.config.epsilon()
        theirs = [ops.softmax(ops.log(ops.maximum(answer, smallest)) / temperature) for answer, temperature in answers]
        theirs = ops.stop_gradient(sum(theirs) / len(theirs))
        return ops.mean(keras.losses.categorical_crossentropy(theirs, predictions))

    def kept_weights(self) -> list[np.ndarray]:
        """Returns the weights to validate and to save, in the order of the network's `get_weights`."""
        if self.average is not None:
            return self.average.arrays()
        return [np.array(weight) for weight in self.network.get_weights()]


def _resized(pixels, side: int):
    if pixels.shape[1] == side:
        return pixels
    return ops.image.resize(pixels, (side, side), antialias=True, data_format="channels_last")


def side_of(config: TrainConfig, epoch: int) -> int | None:
    """Returns the side that pictures are shrunk to in an epoch (from 1); None: they stay as they are."""
    if not config.progressive_sizes:
        return None
    return config.progressive_sizes[(epoch - 1) * len(config.progressive_sizes) // config.epochs]


class MovingAverage(keras.layers.Layer):
    """An exponential moving average of all weights of a network, BatchNorm statistics among them.

    A layer, so that its values are in the checkpoint and its update is in the compiled step of every backend. Each
    update takes in what the step before has left.
    """

    def __init__(self, network: keras.Model, decay: float):
        super().__init__(name="average", dtype="float32")
        self._decay = decay
        # A function, so that Keras does not count the weights as this layer's: they are the network's.
        self._present = lambda: network.weights
        self.updates = self.add_weight(name="updates", initializer="zeros", trainable=False)
        self.values = []
        for place, weight in enumerate(network.weights):
            value = self.add_weight(name=f"value{place}", shape=weight.shape, initializer="zeros", trainable=False)
            # By way of NumPy: JAX would share the memory, and give it away twice.
            value.assign(np.array(ops.convert_to_numpy(weight.value)))
            self.values.append(value)

    def update(self) -> None:
        """Takes the present weights in; the first updates count more, so that the start is soon forgotten."""
        count = self.updates + 1
        kept = ops.minimum(self._decay, count / (count + 9))
        for value, weight in zip(self.values, self._present(), strict=True):
            present = ops.stop_gradient(ops.convert_to_tensor(weight))
            value.assign(value + (present - value) * (1 - kept))
        self.updates.assign(count)

    def arrays(self) -> list[np.ndarray]:
        """Returns the averages, in the order of the network's `get_weights`."""
        return [np.array(ops.convert_to_numpy(value)) for value in self.values]


def make_training_model(network: keras.Model, machine: Machine, *, any_size: bool = False) -> keras.Model:
    """Returns a copy of `network`, weights included, for training on `machine`.

    Args:
        any_size: the copy takes pictures of every size. Raises ConfigError if the network cannot.
    """
    faster = {}
    if is_fast(machine):
        from fer_core.training import fast_tensorflow

        faster = {
            keras.layers.BatchNormalization: fast_tensorflow.FusedBatchNormalization,
            keras.layers.Dropout: fast_tensorflow.ByteDropout,
        }

    def copy_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        settings = layer.get_config()
        # The last softmax needs float32: bfloat16 has three decimal digits.
        settings["dtype"] = "float32" if settings.get("activation") == "softmax" else machine.policy
        return faster.get(type(layer), type(layer)).from_config(settings)

    pixels = keras.Input((None, None, network.input_shape[-1]), name="pixels") if any_size else None
    try:
        training_model = keras.models.clone_model(network, input_tensors=pixels, clone_function=copy_of)
    except ValueError as error:
        if not any_size:
            raise
        raise ConfigError(
            f"The network {network.name} takes pictures of {network.input_shape[1]} pixels alone.",
            hint="Leave crop and progressive_sizes out, or take a network with global pooling such as resnet.",
        ) from error
    training_model.set_weights(network.get_weights())
    for mine, theirs in zip(training_model.layers, network.layers, strict=True):
        mine.trainable = theirs.trainable
    return training_model


def is_fast(machine: Machine) -> bool:
    """Whether this machine trains with the faster parts: TensorFlow on one CPU."""
    return machine.backend == "tensorflow" and not machine.on_gpu and len(machine.devices) == 1
