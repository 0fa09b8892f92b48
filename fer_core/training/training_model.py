"""The training model: the same network with the same weights in the form that trains fastest here.

What is built is stock Keras in float32, and so is what is saved; in between, the training model has the precision of
the run and, on TensorFlow's CPU, faster layers. Imports Keras: only imported by training itself.
"""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import ops

from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.errors import ConfigError
from fer_core.training.distillation import Teacher
from fer_core.training.machine import Machine


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
            pixels = _mixed(pixels, inputs["share"], inputs["partner"])
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
        theirs = [_calibrated(teacher(pixels, training=False), temperature) for teacher, temperature in each]
        theirs = ops.stop_gradient(sum(theirs) / len(theirs))
        return ops.mean(keras.losses.categorical_crossentropy(theirs, predictions))

    def kept_weights(self) -> list[np.ndarray]:
        """Returns the weights to validate and to save, in the order of the network's `get_weights`."""
        if self.average is not None:
            return self.average.arrays()
        return [np.array(weight) for weight in self.network.get_weights()]


def _calibrated(probabilities, temperature: float):
    logits = ops.log(ops.maximum(ops.cast(probabilities, "float32"), keras.config.epsilon()))
    return ops.softmax(logits / temperature)


def _resized(pixels, side: int):
    if pixels.shape[1] == side:
        return pixels
    return ops.image.resize(pixels, (side, side), antialias=True, data_format="channels_last")


def side_of(config: TrainConfig, epoch: int) -> int | None:
    """Returns the side that pictures are shrunk to in an epoch (from 1); None: they stay as they are."""
    if not config.progressive_sizes:
        return None
    return config.progressive_sizes[(epoch - 1) * len(config.progressive_sizes) // config.epochs]


def _mixed(pixels, share, partner):
    # Under TensorFlow a device sees its share of the batch alone, under JAX the whole; partners are of the same share.
    partner = partner % ops.shape(pixels)[0]
    share = ops.reshape(ops.cast(share, "float32"), (-1, 1, 1, 1))
    return share * pixels + (1 - share) * ops.take(pixels, partner, axis=0)


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


@contextlib.contextmanager
def swapped_in(network: keras.Model, weights: list[np.ndarray]) -> Iterator[None]:
    """Inside, the network has other weights."""
    own = network.get_weights()
    network.set_weights(weights)
    try:
        yield
    finally:
        network.set_weights(own)


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
