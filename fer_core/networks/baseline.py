"""Three convolutions and a wide dense layer: the network that tutorials on FER-2013 begin with."""

from typing import Annotated

from pydantic import Field

from fer_core.config import FilterCounts, Fraction, Searchable, Settings


class Options(Settings):
    """Settings of the baseline network."""

    filters: Annotated[FilterCounts, Searchable(choices=((16, 32, 64), (32, 64, 128), (64, 128, 256)))] = (32, 64, 128)
    """Of the convolutions, one block each."""
    block_dropout: Annotated[Fraction, Searchable(low=0, high=0.5)] = 0.25
    """After each block."""
    dense: Annotated[int, Field(ge=1, le=8192), Searchable(choices=(128, 256, 512))] = 256
    """Units of the hidden layer."""
    dropout: Annotated[Fraction, Searchable(low=0.2, high=0.7)] = 0.5
    """Before the last layer."""


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns 3 x (Conv 3x3 ReLU, BatchNorm, MaxPool, Dropout), Dense ReLU, BatchNorm, Dropout, softmax."""
    import keras
    from keras import layers

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    x = _blocks.unit_range(pixels)
    for filters in options.filters:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(options.block_dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(options.dense, activation="relu")(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.Dropout(options.dropout)(x)
    return keras.Model(pixels, _blocks.probabilities(x, labels), name="baseline")
