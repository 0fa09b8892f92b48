"""The training twin: the same network with the same weights in the form that trains fastest here.

What is built is stock Keras in float32, and so is what is saved; in between, the twin has the precision of the run and,
on TensorFlow's CPU, faster layers. Imports Keras: only imported by training itself.
"""

from collections.abc import Callable

import keras

from fer_core.training.machine import Machine


class Augmented(keras.Model):
    """The network behind an augmentation that only training sees. Takes pixels 0..255 (batch, side, side, channels)."""

    def __init__(self, network: keras.Model, augmentation: Callable, *, devices: int = 1):
        super().__init__(name="augmented")
        self.devices = devices
        self.augmentation = augmentation
        self.network = network

    def build(self, input_shape):
        """Has nothing to make: the network has its weights."""
        self.built = True

    def call(self, pixels, training=False):
        """Returns probabilities (batch, labels), float32."""
        return self.network(self.augmentation(pixels, training=training), training=training)


def training_twin(network: keras.Model, machine: Machine) -> keras.Model:
    """Returns a copy of `network`, weights included, for training on `machine`."""
    faster = _faster_layers(machine)

    def copy_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        settings = layer.get_config()
        # The last softmax needs float32: bfloat16 has three decimal digits.
        settings["dtype"] = "float32" if settings.get("activation") == "softmax" else machine.policy
        return faster.get(type(layer), type(layer)).from_config(settings)

    twin = keras.models.clone_model(network, clone_function=copy_of)
    twin.set_weights(network.get_weights())
    for mine, theirs in zip(twin.layers, network.layers, strict=True):
        mine.trainable = theirs.trainable
    return twin


def is_fast(machine: Machine) -> bool:
    """Whether this machine trains with the faster parts: TensorFlow on one CPU."""
    return machine.backend == "tensorflow" and not machine.on_gpu and len(machine.devices) == 1


def _faster_layers(machine: Machine) -> dict[type, type]:
    if not is_fast(machine):
        return {}
    from fer_core.training import fast_tensorflow

    return {
        keras.layers.BatchNormalization: fast_tensorflow.FusedBatchNormalization,
        keras.layers.Dropout: fast_tensorflow.ByteDropout,
    }
