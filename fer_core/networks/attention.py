"""Four blocks with spatial attention after the second: the network looks where a face moves."""

from typing import Annotated

from pydantic import Field

from fer_core.config import FilterCounts, Fraction, Searchable, Settings


class Options(Settings):
    """Settings of the attention network."""

    filters: Annotated[
        FilterCounts, Searchable(choices=((16, 32, 64, 128), (32, 64, 128, 256), (64, 128, 256, 512)))
    ] = (32, 64, 128, 256)
    """Of the convolutions, one block each."""
    l2: Annotated[float, Field(ge=0, le=1), Searchable(low=1e-6, high=1e-2, log=True)] = 1e-4
    """Weight penalty of the convolutions and the hidden layer."""
    block_dropout: Annotated[Fraction, Searchable(low=0, high=0.5)] = 0.25
    """After each block."""
    dense: Annotated[int, Field(ge=1, le=8192), Searchable(choices=(64, 128, 256))] = 128
    """Units of the hidden layer."""


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns 4 x (Conv 3x3 ReLU L2, BatchNorm, MaxPool, Dropout) with attention after the second, pooling, Dense."""
    import keras
    from keras import layers

    from fer_core.networks import _blocks

    l2 = keras.regularizers.L2(options.l2)
    pixels = _blocks.gray_input(side, channels)
    x = _blocks.unit_range(pixels)
    for block, filters in enumerate(options.filters, start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_regularizer=l2)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(options.block_dropout)(x)
        if block == 2:
            x = _blocks.spatial_attention(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(options.dense, activation="relu", kernel_regularizer=l2)(x)
    return keras.Model(pixels, _blocks.probabilities(x, labels), name="attention")
