"""Blends the heat map of a face over it: what mattered glows from violet to yellow, the rest stays as it is."""

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from fer_core.live.drawing import Stamp, paste

if TYPE_CHECKING:
    from fer_core.faces.face import Box

MOST_OPACITY = 0.72
FAINT = 0.12
"""Of the map's range: below it nothing is drawn, so that noise does not veil the face."""


class Heat(NamedTuple):
    """A heat map and where it belongs."""

    values: np.ndarray
    """float32 (side, side), 0 nothing to 1 mattered most."""
    square: "Box"
    """In pixels of the frame; may reach outside it."""


def blend_heat(canvas_bgr: np.ndarray, heat: Heat) -> None:
    """Blends a map over its square of the picture, in place; what reaches outside is left out."""
    height, width = canvas_bgr.shape[:2]
    x, y, across, down = heat.square
    left, right = round(max(x, 0)), round(min(x + across, width))
    top, bottom = round(max(y, 0)), round(min(y + down, height))
    if left >= right or top >= bottom:
        return
    levels = np.rint(np.clip(np.nan_to_num(heat.values), 0, 1) * 255).astype(np.uint8)
    rows, columns = levels.shape
    # Pixel centres: frame (left + i + 0.5 - x) / across * columns - 0.5.
    scale_x, scale_y = columns / across, rows / down
    from_frame = np.array(
        [[scale_x, 0, (left + 0.5 - x) * scale_x - 0.5], [0, scale_y, (top + 0.5 - y) * scale_y - 0.5]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (right - left, bottom - top)
    levels = cv2.warpAffine(levels, from_frame, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    paste(canvas_bgr, Stamp(cv2.applyColorMap(levels, _colours()), _keeps(levels)), left, top)


def _opacities() -> np.ndarray:
    """By level 0..255, 0..1: rises from FAINT, steeply at first."""
    share = np.clip((np.arange(256) / 255 - FAINT) / (1 - FAINT), 0, 1)
    return MOST_OPACITY * share**0.7


def _colours() -> np.ndarray:
    """uint8 (256, 1, 3): the inferno map's colours by level, multiplied by their opacity."""
    inferno = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)
    return np.rint(inferno * _opacities()[:, None, None]).astype(np.uint8)


def _keeps(levels: np.ndarray) -> np.ndarray:
    keeps = np.rint(255 * (1 - _opacities())).astype(np.uint8)
    return cv2.applyColorMap(levels, np.repeat(keeps[:, None, None], 3, axis=2))
