"""What a detector finds: the words of this room. Finds nothing itself."""

from typing import NamedTuple

MIN_FACE_PIXELS = 40
"""Smaller faces (the square root of the box's area, in pixels of the frame) are not looked for: enlarged to the 48
pixels that FER-2013 has, they show less than it does."""


class Box(NamedTuple):
    """A rectangle in pixels of the frame, from its left upper corner; may reach outside the frame."""

    x: float
    y: float
    width: float
    height: float


class Face(NamedTuple):
    """One face found. `score` is 0..1, and 1.0 where the detector gives none."""

    box: Box
    score: float
