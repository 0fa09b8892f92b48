"""The batches of a training, in an order that depends on nothing but the seed and the epoch.

So a resumed training sees the batches that the uninterrupted one saw, without any state to keep. Imports Keras: only
imported by training itself.
"""

from typing import NamedTuple

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.augment import strength
from fer_core.data.dataset import Split
from fer_core.errors import ConfigError
from fer_core.evaluation.predict import views_in_turn
from fer_core.training.distillation import softened_labels

_MIXUP_STREAM, _MIRROR_STREAM, _VIEW_STREAM, _VOTE_STREAM = 1, 2, 3, 4
"""Tell these draws from those of the order."""
SMALLEST_WEIGHT = np.float32(1e-7)
"""Of an image: classes may weigh nothing."""


class TrainingBatches(keras.utils.PyDataset):
    """The training images of an epoch as (pixels uint8, one-hot labels float32, class weights float32).

    `begin_epoch` comes before each epoch. With mixup, pixels come with each image's share and partner, for
    `Augmented`; labels and weights are mixed already.
    Every batch is whole (one compiled step, all devices equally busy); the few images left over are others each epoch.
    """

    def __init__(
        self,
        split: Split,
        config: TrainConfig,
        *,
        class_weights: np.ndarray,
        epoch: int = 1,
        devices: int = 1,
        soft_labels: np.ndarray | None = None,
    ):
        """`soft_labels`: the teachers' predictions for fixed views, (images, views, labels), to train on."""
        super().__init__(workers=1, max_queue_size=8)
        self.split, self.config, self.class_weights = split, config, class_weights
        self.devices, self.soft_labels = devices, soft_labels
        self._softened = softened_labels(split) if config.vote_target == "softened" else None
        self.batch_size = whole_batch(split, config, devices=devices)
        self.begin_epoch(epoch)

    def begin_epoch(self, epoch: int) -> None:
        """Draws the order of the images for this epoch (from 1), and how each is shown."""
        images, seed = len(self.split), self.config.seed
        self.epoch = epoch
        if self.config.alternating_flip:  # each image in every second epoch
            first = np.random.default_rng((seed, 0, _MIRROR_STREAM)).random(images) < 0.5
            self._mirrored = first ^ (epoch % 2 == 0)
        if self.soft_labels is not None:  # each image in all views in turn
            views = self.soft_labels.shape[1]
            first = np.random.default_rng((seed, 0, _VIEW_STREAM)).integers(views, size=images)
            self._views = (first + epoch) % views
        self.order = np.random.default_rng((seed, epoch)).permutation(images)

    def __len__(self) -> int:
        return len(self.split) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray, np.ndarray]:
        # Rising positions read a memory map from front to back; the order within a batch does not matter.
        positions = np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size])
        pixels, labels = self.split.images(positions), self.split.labels[positions]
        targets, weights = self._targets(positions, labels), self.class_weights[labels]
        if smoothing := self.config.label_smoothing:  # arXiv 1512.00567; the loss would smooth soft labels as well
            targets = (1 - np.float32(smoothing)) * targets + np.float32(smoothing / targets.shape[1])
        if self.config.alternating_flip:
            turn = self._mirrored[positions]
            pixels = np.where(turn[:, None, None, None], pixels[:, :, ::-1], pixels)
        if self.soft_labels is not None:
            views, weight = self._views[positions], np.float32(self.config.teacher_weight)
            pixels = views_in_turn(pixels, views)
            targets = (1 - weight) * targets + weight * self.soft_labels[positions, views].astype(np.float32)
        return self._mixed(index, pixels, targets, weights) if self.config.mixup else (pixels, targets, weights)

    def _targets(self, positions: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns float32 (n, classes): what votes say where there are some, otherwise one-hot labels."""
        shares, classes = self.split.shares, len(self.class_weights)
        if shares is None or self.config.vote_target == "majority":
            return one_hot(labels, classes)
        if self._softened is not None:
            return self._softened[positions]
        if self.config.vote_target == "cross-entropy":
            return shares[positions].astype(np.float32)
        drawn = np.random.default_rng((self.config.seed, self.epoch, _VOTE_STREAM)).random(len(self.split))[positions]
        return one_hot((drawn[:, None] >= shares[positions].cumsum(axis=1)[:, :-1]).sum(axis=1), classes)

    def _mixed(self, index: int, pixels: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple:
        where = {"epoch": self.epoch, "batch": index, "devices": self.devices}
        mixture = draw_mixture(self.config, len(pixels), strength=strength(self.config, self.epoch), **where)
        # Each image's part of the loss has the weight of its own class.
        weighted = mixture.of(weights[:, None] * targets)
        weights = np.maximum(weighted.sum(axis=1), SMALLEST_WEIGHT)
        return {"pixels": pixels, **mixture._asdict()}, weighted / weights[:, None], weights


def for_backend(batches: TrainingBatches):
    """Returns the batches as `fit` of this backend takes them fastest; an epoch is begun before it is iterated."""
    if keras.backend.backend() != "tensorflow":
        return batches
    from fer_core.training.fast_tensorflow import as_tensorflow_dataset

    return as_tensorflow_dataset(batches)


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


class Mixture(NamedTuple):
    """For each image of a batch: its own share, float32 (batch,), and who gives the rest, int32 (batch,)."""

    share: np.ndarray
    partner: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Returns the values, (batch, n), mixed."""
        share = self.share[:, None]
        return (share * values + (1 - share) * values[self.partner]).astype(np.float32)


def draw_mixture(config: TrainConfig, size: int, *, epoch: int, batch: int, strength: float, devices: int) -> Mixture:
    """Returns what mixup (arXiv 1710.09412) does to a batch; partners are images of the same device's share of it.

    Args:
        strength: 0..1, how much of `mixup_probability` is mixed.
    """
    chance = np.random.default_rng((config.seed, epoch, batch, _MIXUP_STREAM))
    share = chance.beta(config.mixup, config.mixup, size)
    # The larger share is the image's own: its label then stays what the training accuracy counts.
    share = np.where(chance.random(size) < config.mixup_probability * strength, np.maximum(share, 1 - share), 1)
    of_device = size // devices
    partner = [start + chance.permutation(of_device) for start in range(0, size, of_device)]
    return Mixture(share.astype(np.float32), np.concatenate(partner).astype(np.int32))
