"""Augmentation: random changes of pose and light that leave the emotion alone. Seen by training only, never saved.

Made of `keras.ops`, so it runs on any backend and device. Imports Keras: only imported by training itself.
"""

import math

import keras
from keras import ops

from fer_core.config import TrainConfig

_GAMMA = 0.5
"""Gammas are between exp(-0.5) and exp(0.5)."""
_LEAST_AREA, _LARGEST_AREA = 0.02, 0.2
_LARGEST_ASPECT = 3.0


class Augmentation(keras.layers.Layer):
    """Turns, shifts, scales, mirrors and crops in one warp, then changes light, camera and what is covered.

    Takes pixels 0..255, float32 (batch, side, side, channels), and gives the same, or a window of `config.crop`
    pixels. What lies outside is mirrored in.
    """

    def __init__(self, config: TrainConfig):
        super().__init__(name="augmentation", dtype="float32")
        self.config = config
        self.seed_generator = keras.random.SeedGenerator(config.seed)
        # A variable, so that the compiled step need not be compiled again for each epoch.
        anneals = config.annealing > 0
        self.strength = self.add_weight(name="strength", initializer="ones", trainable=False) if anneals else 1.0

    def begin_epoch(self, epoch: int) -> None:
        """Sets how strong the changes are in this epoch (from 1)."""
        if self.config.annealing:
            self.strength.assign(strength(self.config, epoch))

    def call(self, pixels, training=False):
        """Returns changed pixels while training, the same pixels otherwise."""
        pixels = ops.cast(pixels, "float32")
        if not training:
            return pixels
        if self.moves:
            pixels = self._warped(pixels)
        if self.config.crop:
            pixels = _middle(pixels, self.config.crop)
        if self.config.contrast or self.config.brightness:
            pixels = self._relit(pixels)
        if self.config.camera:
            often = self.config.camera * self.strength
            pixels = as_seen_by_a_camera(pixels, self._uniform(pixels, 6), often=often)
        if self.config.erasing:
            pixels = erased(pixels, self._uniform(pixels, 6), often=self.config.erasing * self.strength)
        return pixels

    @property
    def moves(self) -> bool:
        """Whether there is a warp."""
        config = self.config
        return bool(config.rotation or config.shift or config.scale or config.flip or config.crop)

    def _warped(self, pixels):
        transforms = _transforms(self._uniform(pixels, 7), self.config, side=pixels.shape[1], strength=self.strength)
        return ops.image.affine_transform(
            pixels, transforms, interpolation="bilinear", fill_mode="reflect", data_format="channels_last"
        )

    def _relit(self, pixels):
        draws = self.strength * self._uniform(pixels, 2)[:, None, None, :]
        contrast, brightness = 1 + self.config.contrast * draws[..., :1], 255 * self.config.brightness * draws[..., 1:]
        mean = ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
        return ops.clip((pixels - mean) * contrast + mean + brightness, 0, 255)

    def _uniform(self, pixels, count: int):
        return keras.random.uniform((ops.shape(pixels)[0], count), -1.0, 1.0, dtype="float32", seed=self.seed_generator)


def strength(config: TrainConfig, epoch: int) -> float:
    """Returns how strong augmentation is in an epoch (from 1): 1, and in the last part of them down to 0."""
    if not config.annealing:
        return 1.0
    return min(1.0, (config.epochs - epoch) / (config.annealing * config.epochs))


def _transforms(draws, config: TrainConfig, *, side: int, strength=1.0):
    """Returns the rows of `affine_transform`, (batch, 8): from places in the result to places in the picture.

    Args:
        draws: in -1..1, (batch, 7): for angle, scale, shift across, shift down, mirror, and the window's two places.
    """
    angle = draws[:, 0] * (strength * config.rotation * math.pi / 180)
    zoom = 1 / (1 + draws[:, 1] * (strength * config.scale))
    mirror = ops.where(draws[:, 4] < 0, -1.0, 1.0) if config.flip else ops.ones_like(angle)
    a, b = ops.cos(angle) * zoom * mirror, -ops.sin(angle) * zoom
    c, d = ops.sin(angle) * zoom * mirror, ops.cos(angle) * zoom
    centre = (side - 1) / 2
    # A random window is the middle one of a picture that is moved as much: cropping costs no second warp.
    room = (side - (config.crop or side)) / 2
    across = centre - a * centre - b * centre + (draws[:, 2] * (config.shift * side) + draws[:, 5] * room) * strength
    down = centre - c * centre - d * centre + (draws[:, 3] * (config.shift * side) + draws[:, 6] * room) * strength
    nothing = ops.zeros_like(angle)
    return ops.stack([a, b, across, c, d, down, nothing, nothing], axis=1)


def _middle(pixels, side: int):
    start = (pixels.shape[1] - side) // 2
    return pixels[:, start : start + side, start : start + side, :]


def as_seen_by_a_camera(pixels, draws, *, often):
    """Returns the pictures, some of them blurred, with another gamma, or with half their resolution.

    Args:
        draws: (batch, 6): for each of the three whether and how much.
        often: how probable each of the three is, 0..1.
    """
    draws = draws[:, None, None, :]
    blur, gamma, coarse = ((draws[..., place : place + 1] + 1) / 2 < often for place in (0, 2, 4))
    amount = (draws[..., 1:2] + 1) / 2
    pixels = ops.where(blur, pixels + amount * (_blurred(pixels) - pixels), pixels)
    curve = 255 * ops.power(ops.clip(pixels / 255, 1e-3, 1), ops.exp(_GAMMA * draws[..., 3:4]))
    pixels = ops.where(gamma, curve, pixels)
    return ops.where(coarse, _coarse(pixels), pixels)


def erased(pixels, draws, *, often):
    """Returns the pictures, some of them with a rectangle of one gray over 2 to 20 % of them (arXiv 1708.04896).

    Args:
        draws: (batch, 6): for whether, area, aspect, place across, place down, gray.
        often: how probable it is, 0..1.
    """
    height, width = pixels.shape[1:3]
    chance = (draws + 1) / 2
    area = _LEAST_AREA + (_LARGEST_AREA - _LEAST_AREA) * chance[:, 1]
    aspect = ops.exp(math.log(_LARGEST_ASPECT) * draws[:, 2])
    rows = _covered(height, chance[:, 4], ops.sqrt(area * aspect))
    columns = _covered(width, chance[:, 3], ops.sqrt(area / aspect))
    hit = (chance[:, 0] < often)[:, None, None]
    mask = ops.logical_and(hit, ops.logical_and(rows[:, :, None], columns[:, None, :]))[..., None]
    return ops.where(mask, 255 * chance[:, 5][:, None, None, None], pixels)


def _covered(pixels: int, centre, length):
    """Returns which places lie less than half of `length` from `centre`, both as parts of the side: (batch, pixels)."""
    paths = (ops.arange(pixels, dtype="float32") + 0.5) / pixels
    return ops.abs(paths[None, :] - centre[:, None]) < length[:, None] / 2


def _blurred(pixels):
    for _ in range(2):
        pixels = ops.average_pool(pixels, 3, strides=1, padding="same", data_format="channels_last")
    return pixels


def _coarse(pixels):
    small = ops.average_pool(pixels, 2, strides=2, padding="same", data_format="channels_last")
    return ops.image.resize(small, pixels.shape[1:3], interpolation="bilinear", data_format="channels_last")
