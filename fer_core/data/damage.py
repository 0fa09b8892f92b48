"""What cameras and hands do to a picture of a face: blur, gamma, few pixels, a covered part. Functions of `keras.ops`.

Pixels are 0..255, float32 (batch, height, width, channels); draws are in -1..1, one row for each picture, so that all
chance is the caller's. Imports Keras: only imported by training itself.
"""

import math

from keras import ops

_GAMMA = 0.5
"""Gammas are between exp(-0.5) and exp(0.5)."""
_LEAST_AREA, _LARGEST_AREA = 0.02, 0.2
_LARGEST_ASPECT = 3.0


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
