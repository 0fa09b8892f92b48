"""Batches for one epoch, in an order that depends on nothing but the seed and the epoch.

So a resumed training sees the batches that the uninterrupted one saw, without any state to keep. Imports Keras: only
imported by training itself.
"""

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.augment import strength
from fer_core.data.dataset import Split
from fer_core.errors import ConfigError
from fer_core.training.mixing import draw_mixture

_MIRROR_STREAM = 2
"""Tells these draws from those of the order."""


class Epoch(keras.utils.PyDataset):
    """The training images of one epoch as (pixels uint8, one-hot labels float32, class weights float32).

    With mixup, pixels come with each image's share and partner, for `Augmented`; labels and weights are mixed already.
    Every batch is whole (one compiled step, all devices equally busy); the few images left over are others each epoch.
    """

    def __init__(self, split: Split, config: TrainConfig, *, epoch: int, class_weights: np.ndarray, devices: int = 1):
        super().__init__(workers=1, max_queue_size=8)
        self.split, self.config, self.epoch, self.class_weights = split, config, epoch, class_weights
        self.devices = devices
        self.batch_size = whole_batch(split, config, devices=devices)
        self.order = np.random.default_rng((config.seed, epoch)).permutation(len(split))

    def __len__(self) -> int:
        return len(self.split) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray, np.ndarray]:
        # Rising positions read a memory map from front to back; the order within a batch does not matter.
        positions = np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size])
        pixels, labels = self.split.images(positions), self.split.labels[positions]
        if self.config.alternating_flip:
            turn = mirrored_first(self.config.seed, len(self.split))[positions] ^ (self.epoch % 2 == 0)
            pixels = np.where(turn[:, None, None, None], pixels[:, :, ::-1], pixels)
        targets, weights = one_hot(labels, len(self.class_weights)), self.class_weights[labels]
        return self._mixed(index, pixels, targets, weights) if self.config.mixup else (pixels, targets, weights)

    def _mixed(self, index: int, pixels: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple:
        where = {"epoch": self.epoch, "batch": index, "devices": self.devices}
        mixture = draw_mixture(self.config, len(pixels), strength=strength(self.config, self.epoch), **where)
        return {"pixels": pixels, **mixture._asdict()}, mixture.of(targets), mixture.of(weights)


def mirrored_first(seed: int, images: int) -> np.ndarray:
    """Returns which images are mirrored in the first epoch where they take turns: bool (images,)."""
    return np.random.default_rng((seed, images, _MIRROR_STREAM)).random(images) < 0.5


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
