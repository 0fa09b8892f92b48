"""What the detectors share: the smaller picture that they look at, and the way back to the frame's pixels."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from fer_core.faces.face import Box, Face

MOST_COVERED = 0.6
"""Two faces seen by one camera cover each other less; a second find of the same face covers more."""


class Shrunk(NamedTuple):
    """A picture to look at, and how many pixels of the frame lie along one of its pixels, across and down."""

    picture: np.ndarray
    across: float
    down: float

    def in_frame(self, x: float, y: float, width: float, height: float) -> Box:
        """Returns a box of this picture in pixels of the frame."""
        return Box(x * self.across, y * self.down, width * self.across, height * self.down)


def shrunk(frame: np.ndarray, longest: int) -> Shrunk:
    """Returns the frame (uint8, gray or BGR) with a longer side of at most `longest` pixels; never enlarged."""
    height, width = frame.shape[:2]
    factor = min(1.0, longest / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    picture = frame if size == (width, height) else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return Shrunk(picture, width / size[0], height / size[1])


def without_doubles(faces: list[Face]) -> list[Face]:
    """Returns the faces, largest first as they came, but none of which a larger one covers most."""
    kept: list[Face] = []
    for face in faces:
        if all(_covered(face.box, larger.box) <= MOST_COVERED for larger in kept):
            kept.append(face)
    return kept


def _covered(box: Box, by: Box) -> float:
    """Returns how much of a box another one covers, 0..1."""
    across = min(box.x + box.width, by.x + by.width) - max(box.x, by.x)
    down = min(box.y + box.height, by.y + by.height) - max(box.y, by.y)
    return max(across, 0.0) * max(down, 0.0) / max(box.width * box.height, 1e-9)


def largest_first(faces: Iterable[Face], min_face_pixels: int) -> list[Face]:
    """Returns the faces of at least this size (the square root of the box's area), sorted."""

    def area(face: Face) -> float:
        return face.box.width * face.box.height

    return sorted((face for face in faces if area(face) >= min_face_pixels**2), key=area, reverse=True)
