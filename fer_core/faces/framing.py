"""The smaller picture that a detector looks at and the way back to the frame; and from its box to the network's crop.

The crop is not scaled: that comes after. How far a face is turned is measured by its eyes; training and live reading
undo it in the same way.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from fer_core.faces import MIN_FACE_PIXELS, Box, Detector, Face

MOST_COVERED = 0.6
"""Two faces seen by one camera cover each other less; a second find of the same face covers more."""
_LARGEST_CROP = 4
"""In longer sides of the frame. A larger crop would show repeated edges alone, and could ask for any memory."""
_REPEATED_EDGE = cv2.BORDER_REPLICATE | cv2.BORDER_ISOLATED

_LOOKS = 2
"""YuNet puts the eyes nearer to a level line than they are: of images of FER-2013 turned by 30 degrees, the middle
error is 11 degrees after one look and 4 after a second one at the face turned back; by 15 degrees, 4 and 1."""
_SIDE = 224
"""Of the picture of the face alone that is looked at. In smaller ones the eyes hardly follow the turn: of a face that
is 90 pixels wide, turned by 30 degrees, 3 are seen."""


@dataclass(frozen=True)
class Framing:
    """How a detector's boxes relate to the frame of FER-2013's pictures.

    A box's reference length is the geometric mean of its width and height. `scale` is the picture's side in reference
    lengths; `right` and `down` lead from the centre of the box to that of the picture, also in reference lengths.
    """

    scale: float
    right: float = 0.0
    down: float = 0.0


_AROUND = Framing(scale=1.1)


def square_of(box: Box, framing: Framing, *, roll: float = 0.0) -> Box:
    """Returns the square around the face as FER-2013 would have framed it, in pixels of the frame, unrounded.

    Of a face that is turned by `roll` degrees (clockwise), it is that square before it is turned about its centre.
    """
    reference = math.sqrt(max(box.width, 0) * max(box.height, 0))
    side, turned = framing.scale * reference, math.radians(roll)
    right = framing.right * math.cos(turned) - framing.down * math.sin(turned)
    down = framing.right * math.sin(turned) + framing.down * math.cos(turned)
    center_x = box.x + box.width / 2 + right * reference
    center_y = box.y + box.height / 2 + down * reference
    return Box(center_x - side / 2, center_y - side / 2, side, side)


def crop_face(frame: np.ndarray, box: Box, *, framing: Framing, roll: float = 0.0) -> np.ndarray:
    """Returns the face as the square picture that the network was trained on, at the frame's own resolution.

    Args:
        frame: uint8 (height, width), or with colours as a third dimension.
        box: in pixels of `frame`; may reach outside it, or lie there: the edge is repeated, nothing is squeezed.
        framing: how this detector's boxes relate to FER-2013's framing.
        roll: of a face that is to be aligned: by how many degrees it is turned clockwise, which is undone.

    Returns:
        uint8 (side, side), with the frame's colours, a copy; at least 1 and at most four times the frame's longer side.
    """
    square = square_of(box, framing, roll=roll)
    return _cut(frame, square) if not roll else _aligned(frame, square, roll)


def _aligned(frame: np.ndarray, square: Box, roll: float) -> np.ndarray:
    turned = math.radians(roll)
    reach = (abs(math.sin(turned)) + abs(math.cos(turned))) * square.width
    center_x, center_y = square.x + square.width / 2, square.y + square.height / 2
    # Cut out first: OpenCV turns no picture with a side of more than 32,767 pixels.
    around = _cut(frame, Box(center_x - reach / 2, center_y - reach / 2, reach, reach))
    side = min(max(_rounded(square.width), 1), len(around))
    middle = (len(around) - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), roll, 1)
    matrix[:, 2] += (side - len(around)) / 2
    return cv2.warpAffine(around, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _cut(frame: np.ndarray, square: Box) -> np.ndarray:
    height, width = frame.shape[:2]
    side = min(max(_rounded(square.width), 1), _LARGEST_CROP * max(height, width))
    left, right, columns = _span(square.x, square.width, side=side, limit=width)
    top, bottom, rows = _span(square.y, square.height, side=side, limit=height)
    return cv2.copyMakeBorder(frame[rows, columns], top, bottom, left, right, _REPEATED_EDGE)


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
        if all(common_area(face.box, one.box) <= MOST_COVERED * max(_area(face), 1e-9) for one in kept):
            kept.append(face)
    return kept


def largest_first(faces: Iterable[Face]) -> list[Face]:
    """Returns the faces of at least `MIN_FACE_PIXELS`, sorted."""
    return sorted((face for face in faces if _area(face) >= MIN_FACE_PIXELS**2), key=_area, reverse=True)


def common_area(box: Box, other: Box) -> float:
    """Returns how many pixels two boxes share."""
    width = min(box.x + box.width, other.x + other.width) - max(box.x, other.x)
    height = min(box.y + box.height, other.y + other.height) - max(box.y, other.y)
    return max(0.0, width) * max(0.0, height)


def overlap(box: Box, other: Box) -> float:
    """Returns the intersection of two boxes over their union, 0..1."""
    common = common_area(box, other)
    return common / max(box.width * box.height + other.width * other.height - common, 1e-9)


def _area(face: Face) -> float:
    return face.box.width * face.box.height


def find_faces(picture: np.ndarray, picture_gray: np.ndarray, detector: Detector) -> list[Face]:
    """Returns the faces in a picture, the largest first.

    Args:
        picture: uint8, gray (height, width), BGR or BGRA; picture_gray: the same, gray.
    """
    has_colour = picture.ndim == 3 and picture.shape[2] == 3  # transparent parts are the same gray in both
    return detector.find(picture if has_colour else picture_gray)


def aligned(face: Face, frame_gray: np.ndarray, detector: Detector) -> Face:
    """Returns the face with a `roll` that is measured nearby; as it is where the detector finds no eyes.

    Args:
        face: as the detector found it.
        frame_gray: uint8 (height, width), in which it was found.
    """
    if face.roll is None:
        return face
    roll = 0.0
    for _ in range(_LOOKS):
        around = crop_face(frame_gray, face.box, framing=_AROUND, roll=roll)
        shrinks = len(around) > _SIDE
        near = cv2.resize(around, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        found = detector.find(near)
        if not found:
            break
        roll += found[0].roll
    return face._replace(roll=roll)
