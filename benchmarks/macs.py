"""Weights and multiply-adds of a recipe's network, by the side of the picture.

python benchmarks/macs.py resnet tiny resnet_large
"""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from fer_core import networks
from fer_core.emotions import FER2013_LABELS
from fer_core.recipes import recipe_config

if TYPE_CHECKING:
    import keras


def multiply_adds(network: "keras.Model") -> int:
    """Returns the multiply-adds of all convolutions and dense layers for one picture; FLOPs are twice as many."""
    nested = sum(multiply_adds(member) for member in network.layers if hasattr(member, "layers"))  # of an ensemble
    return nested + sum(_of_layer(layer) for layer in network.layers if hasattr(layer, "kernel"))


def _of_layer(layer: "keras.Layer") -> int:
    paths = layer.output.shape[1:-1]
    return math.prod(paths) * math.prod(layer.kernel.shape)


def main() -> None:
    """Prints a line for each recipe and side."""
    for name in sys.argv[1:] or ["resnet", "tiny", "resnet_large"]:
        for side in (48, 44, 40, 32):
            network = networks.build(recipe_config(name).model_copy(update={"image_size": side}), FER2013_LABELS)
            print(
                f"{name}, {side} pixels: {network.count_params():,} weights, {multiply_adds(network) / 1e6:.1f} million"
            )


if __name__ == "__main__":
    main()
