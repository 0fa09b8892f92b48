"""Augmentation: random changes of pose and light that leave the emotion alone. Seen by training only, never saved.

Made of `keras.ops`, so it runs on any backend and device. Imports Keras: only imported by training itself.
"""

import math

import keras
from keras import ops

from fer_core.config import TrainConfig


class Augmentation(keras.layers.Layer):
    """Turns, shifts, scales and mirrors in one warp, then changes contrast and brightness.

    Takes and gives pixels 0..255, float32 (batch, side, side, channels). What lies outside is mirrored in.
    """

    def __init__(self, config: TrainConfig):
        super().__init__(name="augmentation", dtype="float32")
        self.config = config
        self.seed_generator = keras.random.SeedGenerator(config.seed)

    def call(self, pixels, training=False):
        """Returns changed pixels while training, the same pixels otherwise."""
        pixels = ops.cast(pixels, "float32")
        if not training:
            return pixels
        if self.moves:
            pixels = self._warped(pixels)
        if self.config.contrast or self.config.brightness:
            pixels = self._relit(pixels)
        return pixels

    @property
    def moves(self) -> bool:
        """Whether there is a warp."""
        config = self.config
        return bool(config.rotation or config.shift or config.scale or config.flip)

    def _warped(self, pixels):
        transforms = _transforms(self._uniform(pixels, 5), self.config, side=pixels.shape[1])
        return ops.image.affine_transform(
            pixels, transforms, interpolation="bilinear", fill_mode="reflect", data_format="channels_last"
        )

    def _relit(self, pixels):
        draws = self._uniform(pixels, 2)[:, None, None, :]
        contrast, brightness = 1 + self.config.contrast * draws[..., :1], 255 * self.config.brightness * draws[..., 1:]
        mean = ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
        return ops.clip((pixels - mean) * contrast + mean + brightness, 0, 255)

    def _uniform(self, pixels, count: int):
        return keras.random.uniform((ops.shape(pixels)[0], count), -1.0, 1.0, dtype="float32", seed=self.seed_generator)


def _transforms(draws, config: TrainConfig, *, side: int):
    """Returns the rows of `affine_transform`, (batch, 8): from places in the result to places in the picture.

    Args:
        draws: in -1..1, (batch, 5): for angle, scale, shift across, shift down, mirror.
    """
    angle = draws[:, 0] * (config.rotation * math.pi / 180)
    zoom = 1 / (1 + draws[:, 1] * config.scale)
    mirror = ops.where(draws[:, 4] < 0, -1.0, 1.0) if config.flip else ops.ones_like(angle)
    a, b = ops.cos(angle) * zoom * mirror, -ops.sin(angle) * zoom
    c, d = ops.sin(angle) * zoom * mirror, ops.cos(angle) * zoom
    centre = (side - 1) / 2
    across = centre - a * centre - b * centre + draws[:, 2] * (config.shift * side)
    down = centre - c * centre - d * centre + draws[:, 3] * (config.shift * side)
    nothing = ops.zeros_like(angle)
    return ops.stack([a, b, across, c, d, down, nothing, nothing], axis=1)
