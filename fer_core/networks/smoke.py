"""A very small network: for trying the program, and for tests."""

from typing import Annotated

from fer_core.config import FilterCounts, Searchable, Settings


class Options(Settings):
    """Settings of the smoke network."""

    filters: Annotated[FilterCounts, Searchable(choices=((8, 16, 32), (16, 32, 64), (32, 64, 128)))] = (16, 32, 64)
    """Of the convolutions, one block each."""


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns 3 x (Conv 3x3 stride 2, BatchNorm, ReLU), Flatten, Dropout, softmax."""
    import keras
    from keras import layers

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    x = _blocks.unit_range(pixels)
    for filters in options.filters:
        x = layers.Conv2D(filters, 3, strides=2, padding="same")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(pixels, _blocks.probabilities(x, labels), name="smoke")
