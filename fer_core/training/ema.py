"""The moving average of a network's weights: what is validated and saved in place of the last step's.

Imports Keras: only imported by training itself.
"""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops


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
        self.values = [self._copy(place, weight) for place, weight in enumerate(network.weights)]

    def _copy(self, place: int, weight: keras.Variable) -> keras.Variable:
        copy = self.add_weight(name=f"value{place}", shape=weight.shape, initializer="zeros", trainable=False)
        # By way of NumPy: JAX would share the memory, and give it away twice.
        copy.assign(np.array(ops.convert_to_numpy(weight.value)))
        return copy

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
