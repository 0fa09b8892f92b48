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
    """Returns a stem of stride 2, one residual block a stage, global average pooling, softmax."""
    from fer_core.networks._blocks import residual_network

    stages = [(filters, 1, 2 if place else 1) for place, filters in enumerate(options.filters)]
    own = options.model_dump(exclude={"filters"})
    return residual_network("compact", stages, labels=labels, side=side, channels=channels, **own)
