"""A very small residual network for live use: under 0.5 M weights and under 60 MFLOPs for a face. To be distilled."""

from typing import Annotated

from pydantic import Field

from fer_core.config import Fraction, Searchable, Settings

Filters = Annotated[int, Field(ge=1, le=512)]


class Options(Settings):
    """Settings of the tiny network."""

    stem: Filters = 16
    """Filters of the first convolution, which halves the side."""
    filters: Annotated[tuple[Filters, ...], Searchable(choices=((24, 48, 96), (32, 64, 104)))] = (32, 64, 104)
    """Of the stages; each but the first halves the side."""
    blocks: tuple[Annotated[int, Field(ge=1, le=8)], ...] = (1, 1, 2)
    """Residual blocks, one number for each stage. Few where the picture is large: they cost most there."""
    squeeze: Annotated[int, Field(ge=0, le=64), Searchable(choices=(0, 4, 8))] = 8
    """Squeeze and excitation in each block through so many times fewer channels; 0 = none."""
    dropout: Annotated[Fraction, Searchable(low=0, high=0.5)] = 0.1
    """Before the last layer."""


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns a stem of stride 2, stages of residual blocks, global average pooling, softmax."""
    from fer_core.networks._blocks import residual_network

    strides = [1, *[2] * (len(options.filters) - 1)]
    stages = list(zip(options.filters, options.blocks, strides, strict=True))
    own = options.model_dump(exclude={"filters", "blocks"})
    return residual_network("tiny", stages, labels=labels, side=side, channels=channels, **own)
