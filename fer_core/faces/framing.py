"""From a detector's box to the square picture that the networks were trained on. Scales nothing: that comes after."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fer_core.faces.face import Box

_LARGEST_CROP = 4
"""In longer sides of the frame. A larger crop would show repeated edges alone, and could ask for any memory."""
_REPEATED_EDGE = cv2.BORDER_REPLICATE | cv2.BORDER_ISOLATED


@dataclass(frozen=True)
class Framing:
    """How a detector's boxes relate to the frame of FER-2013's pictures.

    A box's reference length is the geometric mean of its width and height. `scale` is the picture's side in reference
    lengths; `right` and `down` lead from the centre of the box to that of the picture, also in reference lengths.
    """

    scale: float
    right: float = 0.0
    down: float = 0.0


def square_of(box: Box, framing: Framing) -> Box:
    """Returns the square around the face as FER-2013 would have framed it, in pixels of the frame, unrounded."""
    reference = math.sqrt(max(box.width, 0) * max(box.height, 0))
    side = framing.scale * reference
    center_x = box.x + box.width / 2 + framing.right * reference
    center_y = box.y + box.height / 2 + framing.down * reference
    return Box(center_x - side / 2, center_y - side / 2, side, side)


def crop_face(frame_gray: np.ndarray, box: Box, *, framing: Framing) -> np.ndarray:
    """Returns the face as the square picture that the network was trained on, at the frame's own resolution.

    Args:
        frame_gray: uint8 (height, width), 0..255.
        box: in pixels of `frame_gray`; may reach outside it, or lie there: the edge is repeated, nothing is squeezed.
        framing: how this detector's boxes relate to FER-2013's framing.

    Returns:
        uint8 (side, side), 0..255, a copy; side is at least 1 and at most four times the frame's longer side.
    """
    square = square_of(box, framing)
    height, width = frame_gray.shape
    side = min(max(_rounded(square.width), 1), _LARGEST_CROP * max(height, width))
    left, right, columns = _span(square.x, square.width, side=side, limit=width)
    top, bottom, rows = _span(square.y, square.height, side=side, limit=height)
    return cv2.copyMakeBorder(frame_gray[rows, columns], top, bottom, left, right, _REPEATED_EDGE)


def _span(start: float, length: float, *, side: int, limit: int) -> tuple[int, int, slice]:
    """Returns along one direction: pixels to repeat before, pixels to repeat after, and what is taken between them."""
    # From the centre, so that rounding the side shifts the picture by half a pixel at most.
    start = _rounded(start + length / 2 - side / 2)
    first = min(max(start, 0), limit - 1)
    last = max(min(start + side, limit), first + 1)
    before = min(max(first - start, 0), side - (last - first))
    return before, side - (last - first) - before, slice(first, last)


def _rounded(value: float) -> int:
    """Rounds halves up: Python's own rounding, to even, would let a box that moves evenly move unevenly."""
    return math.floor(value + 0.5)
