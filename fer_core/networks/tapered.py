"""Four convolutions that narrow from 256 to 64 filters, with average pooling and two dense layers."""

from typing import Annotated

from pydantic import Field

from fer_core.config import FilterCounts, Fraction, Searchable, Settings


class Options(Settings):
    """Settings of the tapered network."""

    filters: Annotated[FilterCounts, Searchable(choices=((128, 64, 64, 32), (256, 128, 128, 64)))] = (256, 128, 128, 64)
    """Of the convolutions, one block each."""
    dense: Annotated[
        tuple[Annotated[int, Field(ge=1, le=8192)], ...],
        Searchable(choices=((128, 64), (256, 64), (512, 64))),
    ] = (512, 64)
    """Units of the hidden layers."""
    dropout: Annotated[Fraction, Searchable(low=0, high=0.5)] = 0.2
    """Before the last layer."""


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns 4 x (Conv 3x3 ReLU, BatchNorm, MaxPool), average pooling, Dense 512, Dense 64, Dropout, softmax."""
    import keras
    from keras import layers

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    x = _blocks.unit_range(pixels)
    for filters in options.filters:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    for units in options.dense:
        x = layers.Dense(units, activation="relu")(x)
    x = layers.Dropout(options.dropout)(x)
    return keras.Model(pixels, _blocks.probabilities(x, labels), name="tapered")
