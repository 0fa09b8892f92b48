"""Batches for one epoch, in an order that depends on nothing but the seed and the epoch.

So a resumed training sees the batches that the uninterrupted one saw, without any state to keep. Imports Keras: only
imported by training itself.
"""

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Split
from fer_core.errors import ConfigError


class Epoch(keras.utils.PyDataset):
    """The training images of one epoch as (pixels uint8, one-hot labels float32, class weights float32).

    Every batch is whole (one compiled step, all devices equally busy); the few images left over are others each epoch.
    """

    def __init__(self, split: Split, config: TrainConfig, *, epoch: int, class_weights: np.ndarray, devices: int = 1):
        super().__init__(workers=1, max_queue_size=8)
        self.split, self.class_weights = split, class_weights
        self.batch_size = whole_batch(split, config, devices=devices)
        self.order = np.random.default_rng((config.seed, epoch)).permutation(len(split))

    def __len__(self) -> int:
        return len(self.split) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Rising positions read a memory map from front to back; the order within a batch does not matter.
        positions = np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size])
        labels = self.split.labels[positions]
        return self.split.images(positions), one_hot(labels, len(self.class_weights)), self.class_weights[labels]


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns float32 (n, classes)."""
    return np.eye(classes, dtype=np.float32)[labels]


def whole_batch(split: Split, config: TrainConfig, *, devices: int = 1) -> int:
    """Returns the images of a step: as many as were asked for and there are, the same number for each device.

    Raises:
        ConfigError: if that leaves a device without an image.
    """
    wanted = min(config.batch_size, len(split))
    if wanted < devices:
        raise ConfigError(
            f"A batch of {wanted} images is too small for {devices} devices.", hint="Use fewer --devices."
        )
    return wanted - wanted % devices


def steps_per_epoch(split: Split, config: TrainConfig, *, devices: int = 1) -> int:
    """Returns the number of whole batches in an epoch, at least one."""
    return len(split) // whole_batch(split, config, devices=devices)
