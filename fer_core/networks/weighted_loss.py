"""Three plain blocks and global max pooling: few weights, for a loss that weighs the rare emotions."""

from typing import Annotated

from pydantic import Field

from fer_core.config import FilterCounts, Searchable, Settings


class Options(Settings):
    """Settings of the network of the weighted loss."""

    filters: Annotated[FilterCounts, Searchable(choices=((16, 32, 64), (32, 64, 128), (64, 128, 256)))] = (32, 64, 128)
    """Of the convolutions, one block each."""
    dense: Annotated[int, Field(ge=1, le=8192), Searchable(choices=(64, 128, 256))] = 128
    """Units of the hidden layer."""


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns 3 x (Conv 3x3 ReLU, BatchNorm, MaxPool), global max pooling, Dense ReLU, softmax."""
    import keras
    from keras import layers

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    x = _blocks.unit_range(pixels)
    for filters in options.filters:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(options.dense, activation="relu")(x)
    return keras.Model(pixels, _blocks.probabilities(x, labels), name="weighted_loss")
