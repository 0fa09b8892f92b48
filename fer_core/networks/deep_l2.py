"""Four blocks up to 512 filters, with L2 in the dense layer and strong dropout."""

from typing import Annotated

from pydantic import Field, model_validator

from fer_core.config import FilterCounts, Fraction, Searchable, Settings


class Options(Settings):
    """Settings of the deep network."""

    filters: Annotated[FilterCounts, Searchable(choices=((32, 64, 128, 256), (64, 128, 256, 512)))] = (
        64,
        128,
        256,
        512,
    )
    """Of the convolutions, one block each."""
    block_dropouts: Annotated[
        tuple[Fraction, ...],
        Searchable(choices=((0.1, 0.1, 0.2, 0.2), (0.2, 0.2, 0.3, 0.3), (0.3, 0.3, 0.4, 0.4))),
    ] = (0.3, 0.3, 0.4, 0.4)
    """After each block, one for each of the filters."""
    dense: Annotated[int, Field(ge=1, le=8192), Searchable(choices=(256, 512, 1024))] = 512
    """Units of the hidden layer."""
    l2: Annotated[float, Field(ge=0, le=1), Searchable(low=1e-6, high=1e-2, log=True)] = 1e-4
    """Weight penalty of the hidden layer."""
    dropout: Annotated[Fraction, Searchable(low=0.2, high=0.7)] = 0.5
    """Before the last layer."""

    @model_validator(mode="after")
    def _one_dropout_for_each_block(self) -> "Options":
        if len(self.filters) != len(self.block_dropouts):
            raise ValueError("filters and block_dropouts differ in length")
        return self


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns 4 x (Conv 3x3, BatchNorm, ReLU, MaxPool, Dropout), pooling, Dense L2, BatchNorm, ReLU, Dropout."""
    import keras
    from keras import layers

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    x = _blocks.unit_range(pixels)
    for filters, block_dropout in zip(options.filters, options.block_dropouts, strict=True):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(block_dropout)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(options.dense, kernel_regularizer=keras.regularizers.L2(options.l2))(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.ReLU()(x)
    x = layers.Dropout(options.dropout)(x)
    return keras.Model(pixels, _blocks.probabilities(x, labels), name="deep_l2")
