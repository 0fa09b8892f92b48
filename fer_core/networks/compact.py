"""A small residual network: three stages of plain 3x3 convolutions, which CPUs run near their peak. Under 3 MB."""

from typing import Annotated

from pydantic import Field

from fer_core.config import FilterCounts, Fraction, Searchable, Settings


class Options(Settings):
    """Settings of the compact network."""

    stem: Annotated[int, Field(ge=1, le=2048)] = 32
    """Filters of the first convolution, which halves the side."""
    filters: Annotated[FilterCounts, Searchable(choices=((32, 64, 128), (48, 96, 192), (64, 128, 256)))] = (48, 96, 192)
    """Of the stages; each but the first halves the side."""
    dropout: Annotated[Fraction, Searchable(low=0, high=0.5)] = 0.2
    """Before the last layer."""


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns a stem of stride 2, one residual block a stage (arXiv 1512.03385), global average pooling, softmax."""
    import keras
    from keras import layers

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    x = _blocks.unit_range(pixels)
    x = _blocks.convolved(x, options.stem, strides=2)
    for stage, filters in enumerate(options.filters):
        x = _blocks.residual(x, filters, strides=1 if stage == 0 else 2)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(options.dropout)(x)
    return keras.Model(pixels, _blocks.probabilities(x, labels), name="compact")
