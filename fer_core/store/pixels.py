"""The grey values that a model wants. Ours take them as they are, 0..255; models from elsewhere may not."""

from typing import Literal

import numpy as np

PixelRange = Literal["0..255", "0..1", "-1..1"]

_SCALE_AND_OFFSET = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (2 / 255, -1.0)}


def in_range(images: np.ndarray, pixels: PixelRange) -> np.ndarray:
    """Returns images, uint8 0..255 of any shape, as float32 in the range that a model was trained on."""
    scale, offset = _SCALE_AND_OFFSET[pixels]
    return images.astype(np.float32) * np.float32(scale) + np.float32(offset)
