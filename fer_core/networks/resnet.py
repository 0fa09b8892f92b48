"""A residual network of plain 3x3 convolutions, in a size for a CPU or, with other options, for a GPU.

Global pooling makes it take pictures of any size while it trains: smaller crops cost less.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fer_core.config import Fraction, Searchable, Settings

Filters = Annotated[int, Field(ge=1, le=2048)]
Blocks = Annotated[int, Field(ge=1, le=16)]
Strides = Literal[1, 2]


class Options(Settings):
    """Settings of the residual network."""

    stem: Filters = 32
    """Filters of the first convolution."""
    stem_strides: Strides = 1
    """2: the first convolution halves the side."""
    filters: Annotated[tuple[Filters, ...], Searchable(choices=((48, 96, 192), (64, 128, 256)))] = (48, 96, 192)
    """Of the stages."""
    blocks: tuple[Blocks, ...] = (1, 2, 2)
    """Residual blocks, one number for each stage."""
    strides: tuple[Strides, ...] = (2, 2, 2)
    """2: the first block of the stage halves the side."""
    squeeze: Annotated[int, Field(ge=0, le=64), Searchable(choices=(0, 4, 8))] = 8
    """Squeeze and excitation in each block through so many times fewer channels; 0 = none."""
    activation: Annotated[Literal["relu", "silu"], Searchable(choices=("relu", "silu"))] = "relu"
    """silu is smoother, and slow on a CPU."""
    head: Annotated[int, Field(ge=0, le=8192), Searchable(choices=(0, 384, 512))] = 384
    """Filters of a last 1x1 convolution; 0 = none."""
    stochastic_depth: Annotated[Fraction, Searchable(low=0, high=0.2)] = 0.05
    """How often training leaves the last block out; earlier ones less, the first never."""
    dropout: Annotated[Fraction, Searchable(low=0, high=0.5)] = 0.2
    """Before the last layer."""

    @model_validator(mode="after")
    def _one_of_each_for_a_stage(self) -> "Options":
        if not len(self.filters) == len(self.blocks) == len(self.strides):
            raise ValueError("filters, blocks and strides differ in length")
        return self


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns a stem, stages of residual blocks, a 1x1 convolution, global average pooling, softmax."""
    from fer_core.networks._blocks import residual_network

    stages = list(zip(options.filters, options.blocks, options.strides, strict=True))
    own = options.model_dump(exclude={"filters", "blocks", "strides"})
    return residual_network("resnet", stages, labels=labels, side=side, channels=channels, **own)
