"""The epochs at which trials are compared: the first lies after the warm-up, each later one at FACTOR times that."""

import math
from collections.abc import Iterator

from fer_core.config import TrainConfig

FACTOR = 3


def rungs_up_to(epochs: int, base: TrainConfig) -> Iterator[int]:
    """Yields the rungs among the first `epochs` of a search around `base`.

    While the learning rate still rises, the order of trials is noise: the first rung is an epoch after that.
    """
    rung = math.ceil(base.warmup_epochs) + 1
    while rung <= epochs:
        yield rung
        rung *= FACTOR
