"""Mixup: which images of a batch are mixed with which, and how much of each (arXiv 1710.09412).

What is drawn depends on seed, epoch and batch alone, so a resumed training draws the same without any state.
"""

from typing import NamedTuple

import numpy as np

from fer_core.config import TrainConfig

_STREAM = 1
"""Tells these draws from those of the order."""


class Mixture(NamedTuple):
    """For each image of a batch: its own share, float32 (batch,), and who gives the rest, int32 (batch,)."""

    share: np.ndarray
    partner: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Returns the values, (batch,) or (batch, n), mixed."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return (share * values + (1 - share) * values[self.partner]).astype(np.float32)


def draw_mixture(config: TrainConfig, size: int, *, epoch: int, batch: int, strength: float, devices: int) -> Mixture:
    """Returns the mixture of a batch; partners are images of the same device's share of it.

    Args:
        strength: 0..1, how much of `mixup_part` is mixed.
    """
    chance = np.random.default_rng((config.seed, epoch, batch, _STREAM))
    share = chance.beta(config.mixup, config.mixup, size)
    # The larger share is the image's own: its label then stays what the training accuracy counts.
    share = np.where(chance.random(size) < config.mixup_part * strength, np.maximum(share, 1 - share), 1)
    of_device = size // devices
    partner = [start + chance.permutation(of_device) for start in range(0, size, of_device)]
    return Mixture(share.astype(np.float32), np.concatenate(partner).astype(np.int32))
