"""Measures in the pictures how faces moved from one frame to the next, where no detection runs.

Pyramidal Lucas-Kanade (Bouguet 2000, in OpenCV) on a small gray picture; the median over a grid of points.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from fer_core.faces.face import Box
from fer_core.live.tracker import Move

WIDTH = 320
"""Of the picture that is measured in. Half a pixel there is a hundredth of a face that fills a fifth of the frame."""

_POINTS = 5
_MIDDLE = 0.6
"""The points lie in this share of the box: outside there are hair and background."""
_WINDOW = (13, 13)
_LEVELS = 2
_LARGEST_GROWTH = 1.1


class Flow:
    """Remembers the last frame; one for each source."""

    def __init__(self, width: int = WIDTH):
        self._width = width
        self._before: np.ndarray | None = None

    def remember(self, frame_gray: np.ndarray) -> None:
        """Keeps a small copy of the frame (uint8 (height, width)) to compare the next one with."""
        self._before = self._small(frame_gray)

    def moves(self, frame_gray: np.ndarray, boxes: Sequence[Box]) -> list[Move | None]:
        """Returns how each box of the last frame moved, in pixels of the frame; None where it cannot be told."""
        before, self._before = self._before, self._small(frame_gray)
        if not boxes or before is None or before.shape != self._before.shape:
            return [None] * len(boxes)
        scale = self._before.shape[1] / frame_gray.shape[1]
        points = np.concatenate([_grid(box, scale) for box in boxes])
        after, found, _ = cv2.calcOpticalFlowPyrLK(
            before, self._before, points, None, winSize=_WINDOW, maxLevel=_LEVELS
        )
        each = (len(boxes), _POINTS * _POINTS)
        parts = zip(points.reshape(*each, 2), after.reshape(*each, 2), found.reshape(each) == 1, strict=True)
        return [_move(old[kept], new[kept], scale) for old, new, kept in parts]

    def _small(self, frame_gray: np.ndarray) -> np.ndarray:
        height, width = frame_gray.shape
        if width <= self._width:
            return frame_gray
        size = (self._width, max(1, round(height * self._width / width)))
        return cv2.resize(frame_gray, size, interpolation=cv2.INTER_AREA)


def _grid(box: Box, scale: float) -> np.ndarray:
    steps = 0.5 + _MIDDLE * np.linspace(-0.5, 0.5, _POINTS)
    across, down = np.meshgrid(box.x + box.width * steps, box.y + box.height * steps)
    return (np.stack([across.ravel(), down.ravel()], axis=1) * scale).astype(np.float32)


def _move(old: np.ndarray, new: np.ndarray, scale: float) -> Move | None:
    if len(old) < _POINTS * _POINTS // 2:
        return None
    right, down = np.median(new - old, axis=0) / scale
    spread = np.linalg.norm(old - np.median(old, axis=0), axis=1)
    spread_after = np.linalg.norm(new - np.median(new, axis=0), axis=1)
    growth = np.median(spread_after[spread > 0] / spread[spread > 0])
    return Move(float(right), float(down), float(np.clip(growth, 1 / _LARGEST_GROWTH, _LARGEST_GROWTH)))
