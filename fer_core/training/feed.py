"""Batches for one epoch, in an order that depends on nothing but the seed and the epoch.

So a resumed training sees the batches that the uninterrupted one saw, without any state to keep. Imports Keras: only
imported by training itself.
"""

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.augment import strength
from fer_core.data.dataset import Split
from fer_core.data.views import views_in_turn
from fer_core.errors import ConfigError
from fer_core.training.mixup import draw_mixture

_MIRROR_STREAM, _VIEW_STREAM = 2, 3
"""Tell these draws from those of the order."""
SMALLEST_WEIGHT = np.float32(1e-7)
"""Of an image: classes may weigh nothing."""


class Epoch(keras.utils.PyDataset):
    """The training images of one epoch as (pixels uint8, one-hot labels float32, class weights float32).

    With mixup, pixels come with each image's share and partner, for `Augmented`; labels and weights are mixed already.
    Every batch is whole (one compiled step, all devices equally busy); the few images left over are others each epoch.
    """

    def __init__(
        self,
        split: Split,
        config: TrainConfig,
        *,
        epoch: int,
        class_weights: np.ndarray,
        devices: int = 1,
        soft_labels: np.ndarray | None = None,
    ):
        """`soft_labels`: the teachers' predictions for fixed views, (images, views, labels), to train on."""
        super().__init__(workers=1, max_queue_size=8)
        self.split, self.config, self.epoch, self.class_weights = split, config, epoch, class_weights
        self.devices, self.soft_labels = devices, soft_labels
        self.batch_size = whole_batch(split, config, devices=devices)
        drawn = {"seed": config.seed, "epoch": epoch}
        self._mirrored = mirrored(len(split), **drawn) if config.alternating_flip else None
        self._views = None if soft_labels is None else views_of_epoch(len(split), soft_labels.shape[1], **drawn)
        self.order = np.random.default_rng((config.seed, epoch)).permutation(len(split))

    def __len__(self) -> int:
        return len(self.split) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray, np.ndarray]:
        # Rising positions read a memory map from front to back; the order within a batch does not matter.
        positions = np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size])
        pixels, labels = self.split.images(positions), self.split.labels[positions]
        targets, weights = one_hot(labels, len(self.class_weights)), self.class_weights[labels]
        # Here and not in the loss, which would smooth what teachers say as well.
        targets = smoothed(targets, self.config.label_smoothing)
        if self.config.alternating_flip:
            turn = self._mirrored[positions]
            pixels = np.where(turn[:, None, None, None], pixels[:, :, ::-1], pixels)
        if self.soft_labels is not None:
            pixels, targets = self._distilled(positions, pixels, targets)
        return self._mixed(index, pixels, targets, weights) if self.config.mixup else (pixels, targets, weights)

    def _distilled(
        self, positions: np.ndarray, pixels: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        numbers = self._views[positions]
        said, weight = self.soft_labels[positions, numbers].astype(np.float32), np.float32(self.config.teacher_weight)
        return views_in_turn(pixels, numbers), (1 - weight) * targets + weight * said

    def _mixed(self, index: int, pixels: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple:
        where = {"epoch": self.epoch, "batch": index, "devices": self.devices}
        mixture = draw_mixture(self.config, len(pixels), strength=strength(self.config, self.epoch), **where)
        # Each image's part of the loss has the weight of its own class.
        weighted = mixture.of(weights[:, None] * targets)
        weights = np.maximum(weighted.sum(axis=1), SMALLEST_WEIGHT)
        return {"pixels": pixels, **mixture._asdict()}, weighted / weights[:, None], weights


def mirrored(images: int, *, seed: int, epoch: int) -> np.ndarray:
    """Returns which images are mirrored in this epoch where each is in every second one: bool (images,)."""
    return (np.random.default_rng((seed, 0, _MIRROR_STREAM)).random(images) < 0.5) ^ (epoch % 2 == 0)


def views_of_epoch(images: int, views: int, *, seed: int, epoch: int) -> np.ndarray:
    """Returns the number of the view in which each image is shown where it is shown in all in turn: int (images,)."""
    return (np.random.default_rng((seed, 0, _VIEW_STREAM)).integers(views, size=images) + epoch) % views


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns float32 (n, classes)."""
    return np.eye(classes, dtype=np.float32)[labels]


def smoothed(targets: np.ndarray, part: float) -> np.ndarray:
    """Returns the targets with `part` of each label spread evenly over all labels (arXiv 1512.00567)."""
    return (1 - np.float32(part)) * targets + np.float32(part / targets.shape[1]) if part else targets


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
